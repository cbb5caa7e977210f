//! Trust on first use: look at what a server presents, show the authority's fingerprint, and trust that authority
//! from then on. The probe believes nothing and sends nothing but the handshake; only what
//! [`PresentedChain::authority`] returns, after a person or a configuration has compared its fingerprint, may become
//! [`Roots`].

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{CertificateChain, ConfigError, Fingerprint, Roots, client, material, provider};

/// What a server presented, and proved to have the key of.
#[derive(Clone, Debug)]
pub struct PresentedChain {
    name: ServerName<'static>,
    certificates: Vec<CertificateDer<'static>>,
}

/// The authority that a presented chain ends in.
#[derive(Clone, Debug)]
pub struct PresentedAuthority {
    certificate: CertificateDer<'static>,
    /// What to compare.
    pub fingerprint: Fingerprint,
    /// Its subject, as people write names: `CN=mk8s`.
    pub subject: String,
    /// When it expires.
    pub not_after: Timestamp,
}

/// Why there is nothing to trust.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// Neither a DNS name nor an IP address.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    BadHost(String),
    /// No connection.
    #[error("no connection to {host} port {port}: {source}")]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// Nothing within the time given.
    #[error("{host} port {port} didn't answer a TLS handshake within {seconds} s")]
    Timeout {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The time given, in seconds.
        seconds: u64,
    },
    /// The server doesn't speak TLS, or broke the handshake off.
    #[error("the TLS handshake failed: {0}; is it an https port?")]
    Handshake(String),
    /// The chain has no authority in it that signed the certificate.
    #[error(
        "the server presents no authority that signed its certificate; name the authority's file (--ca-file)"
    )]
    NoAuthority,
    /// The certificate is for other names.
    #[error("the server's certificate is not for {0}; call it by a name that is in the certificate")]
    WrongName(String),
    /// The certificate isn't valid now.
    #[error("the server's certificate {0}; compare the clocks of both machines, or renew the certificate")]
    NotValidNow(&'static str),
    /// The certificate is wrong in another way.
    #[error("the server's certificate can't be used: {0}")]
    BadCertificate(String),
    /// TLS can't be configured.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Connects, notes what the server presents, and hangs up. `timeout` covers all of it.
///
/// # Errors
/// [`PinError`] if there is no connection or no handshake.
pub async fn probe(host: &str, port: u16, timeout: Duration) -> Result<PresentedChain, PinError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let attempt = async {
        let stream = TcpStream::connect((bare, port))
            .await
            .map_err(|source| PinError::Connect {
                host: host.to_owned(),
                port,
                source,
            })?;
        probe_stream(stream, bare).await
    };
    tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| {
        Err(PinError::Timeout {
            host: host.to_owned(),
            port,
            seconds: timeout.as_secs(),
        })
    })
}

/// The same over a connection that stands already, without a time limit.
///
/// # Errors
/// [`PinError`] if there is no handshake.
pub async fn probe_stream<S>(stream: S, host: &str) -> Result<PresentedChain, PinError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned()).map_err(|_| PinError::BadHost(host.to_owned()))?;
    let recorder = Arc::new(Recorder {
        provider: provider(),
        seen: Mutex::default(),
    });
    let config = client::build(recorder.clone(), None, &[], &[&TLS13, &TLS12])?;
    let outcome = TlsConnector::from(config).connect(name.clone(), stream).await;
    let seen = std::mem::take(&mut *recorder.seen.lock().unwrap_or_else(PoisonError::into_inner));
    match outcome {
        Ok(mut stream) => {
            // A server that is gone by now has presented its chain all the same.
            let _ = stream.shutdown().await;
        }
        // One that wants a client certificate ends a TLS 1.2 handshake, but only after proving its own.
        Err(_) if seen.proven => {}
        Err(e) => return Err(PinError::Handshake(e.to_string())),
    }
    Ok(PresentedChain {
        name,
        certificates: seen.certificates,
    })
}

impl PresentedChain {
    /// What a server called by this name would present, to be looked at before it does.
    ///
    /// # Errors
    /// [`PinError::BadHost`] if that is no name of a server.
    pub fn planned(host: &str, chain: &CertificateChain) -> Result<Self, PinError> {
        Ok(Self {
            name: ServerName::try_from(host.to_owned()).map_err(|_| PinError::BadHost(host.to_owned()))?,
            certificates: chain.der().to_vec(),
        })
    }

    /// The certificates, leaf first.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Whether the roots vouch for the server, so that nobody needs to be asked.
    ///
    /// # Errors
    /// [`PinError`] if they don't, or can't be read.
    pub fn verify(&self, roots: &Roots, now: Timestamp) -> Result<(), PinError> {
        let verifier = client::verifier(roots)?;
        let now = u64::try_from(now.as_second()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let (leaf, rest) = self.certificates.split_first().ok_or(PinError::NoAuthority)?;
        match verifier.verify_server_cert(leaf, rest, &self.name, &[], now) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(why)) => Err(self.explain(why)),
            Err(other) => Err(PinError::BadCertificate(other.to_string())),
        }
    }

    /// The last presented certificate that is an authority's and vouches for the leaf: its signature, its validity
    /// now, its purpose, and the name the server was called by.
    ///
    /// # Errors
    /// [`PinError`] saying what keeps the chain from vouching for the server.
    pub fn authority(&self, now: Timestamp) -> Result<PresentedAuthority, PinError> {
        let mut reason = PinError::NoAuthority;
        for candidate in self.certificates.iter().rev() {
            let Ok(parsed) = material::parse(candidate) else {
                continue;
            };
            if !parsed.is_ca() {
                continue;
            }
            match self.verify(&Roots::Certificates(vec![candidate.clone()]), now) {
                Ok(()) => {
                    return Ok(PresentedAuthority {
                        certificate: candidate.clone(),
                        fingerprint: Fingerprint::of(candidate),
                        subject: shown(&parsed.subject().to_string()),
                        not_after: material::timestamp(parsed.validity().not_after),
                    });
                }
                Err(PinError::NoAuthority) => {}
                Err(other) => reason = other,
            }
        }
        Err(reason)
    }

    fn explain(&self, why: CertificateError) -> PinError {
        match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => PinError::NoAuthority,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                PinError::WrongName(self.name.to_str().into_owned())
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                PinError::NotValidNow("has expired")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                PinError::NotValidNow("is not valid yet")
            }
            other => PinError::BadCertificate(other.to_string()),
        }
    }
}

impl PresentedAuthority {
    /// The authority as the only one to trust. Call it after the fingerprint was compared.
    pub fn roots(&self) -> Roots {
        Roots::Certificates(vec![self.certificate.clone()])
    }

    /// The authority's certificate as PEM, to be kept.
    pub fn pem(&self) -> String {
        material::block("CERTIFICATE", &self.certificate)
    }
}

/// A name from a stranger, fit for a terminal.
fn shown(name: &str) -> String {
    name.chars()
        .take(200)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Notes the chain instead of verifying it; that the server has the leaf's key is verified.
struct Recorder {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    certificates: Vec<CertificateDer<'static>>,
    proven: bool,
}

impl Recorder {
    fn prove(&self, valid: HandshakeSignatureValid) -> HandshakeSignatureValid {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).proven = true;
        valid
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .certificates = chain
            .map(|certificate| certificate.clone().into_owned())
            .collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms).map(|valid| self.prove(valid))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms).map(|valid| self.prove(valid))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
