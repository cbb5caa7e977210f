//! The dialling side's configurations.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{ConfigError, ReloadingCertificate, Roots, provider};

/// TLS 1.3 and 1.2, the server verified against the roots and the name it is called by. With a certificate of our
/// own, sessions are never resumed, so that a renewed one is shown at the next connection.
///
/// `alpn` names the protocols offered, best first: `&[b"h2", b"http/1.1"]`.
///
/// # Errors
/// [`ConfigError`] if the roots can't be read.
pub fn config(
    roots: &Roots,
    certificate: Option<Arc<ReloadingCertificate>>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, ConfigError> {
    build(verifier(roots)?, certificate, alpn, &[&TLS13, &TLS12])
}

/// TLS 1.3 only, for an agent towards central; otherwise as [`config`].
///
/// # Errors
/// [`ConfigError`] if the roots can't be read.
pub fn config_tls13(
    roots: &Roots,
    certificate: Option<Arc<ReloadingCertificate>>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, ConfigError> {
    build(verifier(roots)?, certificate, alpn, &[&TLS13])
}

/// Takes any server for the one that was meant, so that whoever stands in between reads and changes everything. For
/// `tls.insecure: true` and a kubeconfig's `insecure-skip-tls-verify`, where somebody has asked for exactly that.
///
/// # Errors
/// [`ConfigError`] if rustls refuses the whole.
pub fn config_unverified(
    certificate: Option<Arc<ReloadingCertificate>>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, ConfigError> {
    build(
        Arc::new(Unverified(provider())),
        certificate,
        alpn,
        &[&TLS13, &TLS12],
    )
}

pub(crate) fn build(
    verifier: Arc<dyn ServerCertVerifier>,
    certificate: Option<Arc<ReloadingCertificate>>,
    alpn: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ClientConfig>, ConfigError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|e| ConfigError::Tls(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match certificate {
        Some(certificate) => {
            let mut config = builder.with_client_cert_resolver(certificate);
            config.resumption = Resumption::disabled();
            config
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}

/// The usual verifier: chain, validity, purpose and name.
pub(crate) fn verifier(roots: &Roots) -> Result<Arc<WebPkiServerVerifier>, ConfigError> {
    WebPkiServerVerifier::builder_with_provider(roots.load()?, provider())
        .build()
        .map_err(|e| ConfigError::Tls(e.to_string()))
}

/// Believes every certificate; that its holder has the key is checked all the same.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
