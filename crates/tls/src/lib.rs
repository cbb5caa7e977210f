//! Who is at the other end: a certificate authority of our own, the certificates it issues, and the TLS
//! configurations that verify them.
//!
//! This is the only crate of the workspace that names the TLS stack (rustls on aws-lc-rs, rcgen, x509-parser, x509-ocsp); what
//! others need of it is exported again here.
//!
//! Invariants:
//!
//! * every configuration is built on [`provider`], never on the process-wide default, so that no other crate can
//!   change what we negotiate;
//! * a configuration that asks for client certificates never resumes a session: a resumed session shows the
//!   certificate of the first handshake, whose validity nobody checks again;
//! * of a certificate request only the public key is used, and only after its holder proved to have the private key;
//! * private keys are wiped when dropped, have no printable form but PEM, and are written with mode 0600.
//!
//! Nothing here reads the clock: what needs to know the time is told. The exception is rustls itself, which reads it
//! when it verifies a handshake.

pub mod authority;
pub mod client;
mod csr;
mod der;
mod files;
mod fingerprint;
mod issued;
mod material;
pub mod ocsp;
mod peer;
pub mod pin;
mod provider;
mod reload;
pub mod revocation;
mod roots;
mod serial;
pub mod server;
mod signature;

pub use authority::{AuthorityError, CertificateAuthority, ClientSubject, SignedList, Terms};
pub use csr::{CertificateRequest, CsrError, generate_csr, generate_user_csr};
pub use fingerprint::{Fingerprint, InvalidFingerprint};
pub use issued::Issued;
pub use material::{CertificateChain, MaterialError, PrivateKey};
pub use peer::{PeerCertificate, PeerCertificateError, peer_certificate};
pub use provider::{install_default_provider, provider};
pub use reload::{Refresh, ReloadError, ReloadingCertificate};
pub use revocation::{
    ClientTrust, ExpiredLists, ReloadingClientAuth, RevocationError, RevocationLists, RevocationReason,
    Revoked,
};
pub use roots::{ConfigError, Roots};
pub use rustls::{self, ClientConfig, ClientConnection, ServerConfig, ServerConnection};
pub use rustls_pki_types::{self as pki_types, CertificateDer, ServerName};
pub use serial::{InvalidSerialNumber, SerialNumber};
pub use tokio_rustls::{
    self, TlsAcceptor, TlsConnector, client::TlsStream as ClientTlsStream,
    server::TlsStream as ServerTlsStream,
};
