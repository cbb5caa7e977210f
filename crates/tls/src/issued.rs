//! A certificate together with its key.

use std::path::Path;

use crate::{AuthorityError, CertificateChain, MaterialError, PrivateKey, files, material};

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate; behind a server's stands its authority's, so that a first client can be shown what to trust.
    pub chain: CertificateChain,
    /// The key.
    pub key: PrivateKey,
}

impl Issued {
    /// A pair from PEM texts, certificate and key. They may be the same text.
    ///
    /// # Errors
    /// [`MaterialError`] if one can't be read, or the key isn't the certificate's.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, MaterialError> {
        Self::new(CertificateChain::from_pem(chain)?, PrivateKey::from_pem(key)?)
    }

    /// A pair, once it is known to be one.
    ///
    /// # Errors
    /// [`MaterialError::Mismatch`] if the key isn't the certificate's.
    pub fn new(chain: CertificateChain, key: PrivateKey) -> Result<Self, MaterialError> {
        material::certified(&chain, &key)?;
        Ok(Self { chain, key })
    }

    /// Writes both files, each whole or not at all, the key first and with mode 0600.
    ///
    /// # Errors
    /// [`AuthorityError::Io`] if a file can't be written.
    pub fn save(&self, certificate: &Path, key: &Path) -> Result<(), AuthorityError> {
        files::write_atomically(key, self.key.pem().as_bytes(), 0o600).map_err(AuthorityError::at(key))?;
        files::write_atomically(certificate, self.chain.pem().as_bytes(), 0o644)
            .map_err(AuthorityError::at(certificate))
    }
}
