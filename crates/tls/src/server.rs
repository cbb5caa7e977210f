//! The accepting side's configurations.

use std::sync::Arc;

use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs::Ticketer,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};

use crate::{ConfigError, ReloadingCertificate, ReloadingClientAuth, Roots, provider};

/// Whether a client shows a certificate. One that is shown must be valid and made for clients (extended key usage),
/// or the handshake fails.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// It isn't asked for one.
    None,
    /// It may, of one of these authorities.
    Optional(Roots),
    /// It must, of one of these authorities.
    Required(Roots),
    /// As this says at the time of each handshake: with authorities that can change, and revocation lists.
    Reloading(Arc<ReloadingClientAuth>),
}

/// TLS 1.3 and 1.2. `alpn` names the protocols offered, best first: `&[b"h2", b"http/1.1"]`.
///
/// Sessions are resumed by tickets (12 hours, keys turned over every 6, nothing kept in memory) unless client
/// certificates are asked for: a resumed session would bring back a certificate that may have expired meanwhile.
///
/// # Errors
/// [`ConfigError`] if the authorities can't be read.
pub fn config(
    certificate: Arc<ReloadingCertificate>,
    client_auth: &ClientAuth,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, ConfigError> {
    build(certificate, client_auth, alpn, &[&TLS13, &TLS12])
}

/// TLS 1.3 only, for the agents' port; otherwise as [`config`].
///
/// # Errors
/// [`ConfigError`] if the authorities can't be read.
pub fn config_tls13(
    certificate: Arc<ReloadingCertificate>,
    client_auth: &ClientAuth,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, ConfigError> {
    build(certificate, client_auth, alpn, &[&TLS13])
}

fn build(
    certificate: Arc<ReloadingCertificate>,
    client_auth: &ClientAuth,
    alpn: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ServerConfig>, ConfigError> {
    let verifier: Arc<dyn ClientCertVerifier> = match client_auth {
        ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Optional(roots) => verifier(roots, true)?,
        ClientAuth::Required(roots) => verifier(roots, false)?,
        ClientAuth::Reloading(current) => current.clone(),
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(tls)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match client_auth {
        ClientAuth::None => config.ticketer = Ticketer::new().map_err(tls)?,
        ClientAuth::Optional(_) | ClientAuth::Required(_) | ClientAuth::Reloading(_) => {
            config.send_tls13_tickets = 0;
        }
    }
    Ok(Arc::new(config))
}

fn verifier(roots: &Roots, optional: bool) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
    let builder = WebPkiClientVerifier::builder_with_provider(roots.load()?, provider());
    let builder = if optional {
        builder.allow_unauthenticated()
    } else {
        builder
    };
    builder.build().map_err(|e| ConfigError::Tls(e.to_string()))
}

fn tls(error: rustls::Error) -> ConfigError {
    ConfigError::Tls(error.to_string())
}
