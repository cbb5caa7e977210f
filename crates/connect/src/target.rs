//! An API server and who we are towards it.

use std::sync::Arc;

use mk8s_net::link::StreamCounters;
use mk8s_proxy::{
    Direct,
    credentials::Credentials,
    upstream::{InvalidServer, Naming},
};
use mk8s_tls::{ConfigError, ReloadingCertificate, Roots};

/// An API server, whom we take for it, and who we are towards it.
#[derive(Clone, Debug)]
pub struct Target {
    /// `https://host:port[/path]`.
    pub server: String,
    /// The name its certificate must have, where that isn't the host.
    pub server_name: Option<String>,
    /// The authorities its certificate must come from.
    pub roots: Roots,
    /// Our client certificate.
    pub certificate: Option<Arc<ReloadingCertificate>>,
    /// Our token.
    pub credentials: Credentials,
    /// Where we are at home: the pod's namespace, or the context's.
    pub namespace: Option<String>,
}

/// Why a target can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The URL is none.
    #[error(transparent)]
    Server(#[from] InvalidServer),
    /// The authorities or the certificate can't be used.
    #[error(transparent)]
    Tls(#[from] ConfigError),
}

impl Target {
    /// The way there, speaking in that name; streams are counted in `counters`.
    ///
    /// # Errors
    /// [`TargetError`] if the URL isn't https, or the authorities can't be read.
    pub fn direct(self, naming: Naming, counters: Arc<StreamCounters>) -> Result<Direct, TargetError> {
        let tls = |alpn: &[u8]| mk8s_tls::client::config(&self.roots, self.certificate.clone(), &[alpn]);
        let (http2, http1) = (tls(b"h2")?, tls(b"http/1.1")?);
        let direct = Direct::new(&self.server, http2, http1, self.credentials, naming, counters)?;
        Ok(match self.server_name {
            Some(name) => direct.certified_as(name),
            None => direct,
        })
    }
}
