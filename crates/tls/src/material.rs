//! Certificates and keys as bytes: PEM in, PEM out.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
    pem::{self, PemObject},
};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::{Zeroize, Zeroizing};

use crate::{Fingerprint, provider};

/// A certificate and what stands between it and its authority, leaf first. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateChain(Vec<CertificateDer<'static>>);

/// A private key. Wiped when dropped, never shown.
pub struct PrivateKey(PrivateKeyDer<'static>);

/// Why bytes can't serve as a certificate or key.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// No `BEGIN CERTIFICATE` block.
    #[error("there is no certificate in it; expected a PEM block \"BEGIN CERTIFICATE\"")]
    NoCertificate,
    /// No private key block.
    #[error("there is no private key in it; expected a PEM block \"BEGIN PRIVATE KEY\" without a passphrase")]
    NoPrivateKey,
    /// A block that is cut short, or not base64.
    #[error("the PEM is damaged: {0}")]
    DamagedPem(String),
    /// Not X.509.
    #[error("the certificate can't be read: {0}")]
    DamagedCertificate(String),
    /// A key of a kind that isn't supported, or damaged.
    #[error("the private key can't be used: {0}")]
    UnusableKey(String),
    /// A certificate that may not issue others.
    #[error("the certificate isn't an authority's; expected one with basic constraints CA:TRUE")]
    NoAuthority,
    /// The key belongs to another certificate.
    #[error("the private key doesn't belong to the certificate; one of the two is from another pair")]
    Mismatch,
}

impl CertificateChain {
    /// A chain from DER certificates, leaf first.
    ///
    /// # Errors
    /// [`MaterialError`] if there is none, or one isn't X.509.
    pub fn from_der(certificates: Vec<CertificateDer<'static>>) -> Result<Self, MaterialError> {
        if certificates.is_empty() {
            return Err(MaterialError::NoCertificate);
        }
        certificates
            .iter()
            .try_for_each(|certificate| parse(certificate).map(drop))?;
        Ok(Self(certificates))
    }

    /// All certificates of a PEM text, leaf first. Other blocks are passed over.
    ///
    /// # Errors
    /// [`MaterialError`] if there is none, or one is damaged.
    pub fn from_pem(pem: &[u8]) -> Result<Self, MaterialError> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|e| MaterialError::DamagedPem(damage(&e)))?;
        Self::from_der(certificates)
    }

    /// The PEM text.
    pub fn pem(&self) -> String {
        self.0
            .iter()
            .map(|certificate| block("CERTIFICATE", certificate))
            .collect()
    }

    /// The certificates, leaf first.
    pub fn der(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// The certificate itself.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.0[0]
    }

    /// The leaf's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.leaf())
    }

    /// The end of the leaf's validity.
    pub fn not_after(&self) -> jiff::Timestamp {
        // It was parsed when the chain was made.
        parse(self.leaf()).map_or(jiff::Timestamp::UNIX_EPOCH, |c| timestamp(c.validity().not_after))
    }

    /// The beginning of the leaf's validity.
    pub fn not_before(&self) -> jiff::Timestamp {
        parse(self.leaf()).map_or(jiff::Timestamp::MAX, |c| timestamp(c.validity().not_before))
    }

    /// Whether a client may show the leaf: its extended key usage says so, or it has none.
    pub fn is_for_clients(&self) -> bool {
        parse(self.leaf()).is_ok_and(|leaf| match leaf.extended_key_usage() {
            Ok(usage) => usage.is_none_or(|usage| usage.value.client_auth),
            Err(_) => false,
        })
    }
}

impl PrivateKey {
    /// The first key of a PEM text: PKCS #8, PKCS #1 or SEC 1, without a passphrase.
    ///
    /// # Errors
    /// [`MaterialError`] if there is none, or it is damaged.
    pub fn from_pem(pem: &[u8]) -> Result<Self, MaterialError> {
        PrivateKeyDer::from_pem_slice(pem).map(Self).map_err(|e| match e {
            pem::Error::NoItemsFound => MaterialError::NoPrivateKey,
            other => MaterialError::DamagedPem(damage(&other)),
        })
    }

    /// The PEM text.
    pub fn pem(&self) -> Zeroizing<String> {
        let label = match &self.0 {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        Zeroizing::new(block(label, self.0.secret_der()))
    }

    pub(crate) fn from_pkcs8(der: Vec<u8>) -> Self {
        Self(PrivatePkcs8KeyDer::from(der).into())
    }

    pub(crate) fn der(&self) -> &PrivateKeyDer<'static> {
        &self.0
    }
}

impl Clone for PrivateKey {
    fn clone(&self) -> Self {
        Self(self.0.clone_key())
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// What rustls signs handshakes with, once it is sure that the key belongs to the leaf.
pub(crate) fn certified(chain: &CertificateChain, key: &PrivateKey) -> Result<CertifiedKey, MaterialError> {
    CertifiedKey::from_der(chain.0.clone(), key.0.clone_key(), &provider()).map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => MaterialError::Mismatch,
        rustls::Error::InvalidCertificate(e) => MaterialError::DamagedCertificate(format!("{e:?}")),
        other => MaterialError::UnusableKey(other.to_string()),
    })
}

/// Parses one certificate, with nothing behind it.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, MaterialError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(MaterialError::DamagedCertificate(
            "there are bytes behind its end".to_owned(),
        )),
        Err(e) => Err(MaterialError::DamagedCertificate(e.to_string())),
    }
}

/// An X.509 time; what is out of jiff's range is as good as its limits.
pub(crate) fn timestamp(time: x509_parser::time::ASN1Time) -> jiff::Timestamp {
    let seconds = time.timestamp();
    jiff::Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    })
}

/// What is wrong with a PEM text, in words, and without quoting it: it may be a key.
pub(crate) fn damage(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!(
                "the line \"-----END {}-----\" is missing",
                String::from_utf8_lossy(end_marker)
            )
        }
        pem::Error::IllegalSectionStart { .. } => "a \"-----BEGIN\" line is broken".to_owned(),
        pem::Error::Base64Decode(_) => "a block isn't base64".to_owned(),
        pem::Error::NoItemsFound => "the expected block isn't in it".to_owned(),
        pem::Error::SectionTooLarge => "a block is too large".to_owned(),
        _ => "it can't be read".to_owned(),
    }
}

/// A PEM block (RFC 7468).
pub(crate) fn block(label: &str, der: &[u8]) -> String {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    // Sized beforehand, so that no half of a key stays behind in a buffer that was outgrown.
    let mut text = String::with_capacity(encoded.len() + encoded.len() / 64 + 2 * label.len() + 40);
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for (at, character) in encoded.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}
