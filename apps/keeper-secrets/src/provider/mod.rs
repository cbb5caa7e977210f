//! Whom records come from.

mod keeper;
mod kubernetes;

use std::time::Duration;

use async_trait::async_trait;
use mk8s_secrets::{
    Hidden,
    contract::{Auth, Request},
    outputs::{Fetched, FileToDownload},
};

use self::{keeper::Keeper, kubernetes::Kubernetes};
use crate::cli::Settings;

/// Where records are kept.
#[async_trait]
pub(crate) trait Provider: Send {
    /// All records that the request could mean; folders if it asks for some. One call, however many.
    ///
    /// # Errors
    /// [`FetchError`], which shows no secret.
    async fn fetch(&mut self, request: &Request) -> Result<Fetched, FetchError>;

    /// An attached file's content.
    ///
    /// # Errors
    /// [`FetchError`].
    async fn download(&mut self, file: &FileToDownload) -> Result<Hidden, FetchError>;
}

/// Nothing came.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct FetchError {
    /// What is wrong, and what to do.
    pub(crate) why: String,
    /// Whether it may be over in a moment.
    pub(crate) is_passing: bool,
    /// When to ask again, if somebody said so.
    pub(crate) after: Option<Duration>,
}

impl FetchError {
    /// Something that stays until somebody mends it.
    pub(crate) fn lasting(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            is_passing: false,
            after: None,
        }
    }
}

/// The provider that a request asks for.
pub(crate) fn of(request: &Request, settings: &Settings) -> anyhow::Result<Box<dyn Provider>> {
    Ok(match request.auth {
        Auth::Kubernetes {} => Box::new(Kubernetes::new(settings.source_dir.clone())),
        _ => Box::new(Keeper::new(request, settings)?),
    })
}
