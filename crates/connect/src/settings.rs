//! What a program's configuration file says of its API server.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{
    Target,
    in_cluster::{self, InClusterError, SERVICE_ACCOUNT},
    kubeconfig::{self, KubeconfigError},
};

/// `kubernetes: {kubeconfig: FILE, context: NAME}`; without a kubeconfig, the pod's own service account is used.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// Its context, if it isn't the current one.
    pub context: Option<String>,
}

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig can't be used.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// There is none, and this is no pod.
    #[error(transparent)]
    InCluster(#[from] InClusterError),
}

impl Settings {
    /// The API server that is meant. `variable` reads the environment, for pods.
    ///
    /// # Errors
    /// [`ConnectError`], naming what can't be used.
    pub fn target(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Target, ConnectError> {
        Ok(match &self.kubeconfig {
            Some(path) => kubeconfig::from_file(path, self.context.as_deref())?,
            None => in_cluster::target(Path::new(SERVICE_ACCOUNT), variable)?,
        })
    }
}
