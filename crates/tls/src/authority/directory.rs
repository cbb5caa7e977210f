//! An authority that somebody keeps in a directory and makes on purpose.

use std::{path::Path, time::Duration};

use jiff::Timestamp;

use super::{AuthorityError, CERTIFICATE_FILE, CertificateAuthority, KEY_FILE, LOCK_FILE};
use crate::files;

impl CertificateAuthority {
    /// Makes an authority and writes `ca.crt` and `ca.key` (mode 0600) into the directory, which is made if need be.
    ///
    /// # Errors
    /// [`AuthorityError::AlreadyThere`] if either file is there; else as [`CertificateAuthority::generate_for`], or if
    /// nothing can be written.
    pub fn create(
        directory: &Path,
        common_name: &str,
        validity: Duration,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        files::ensure_directory(directory).map_err(AuthorityError::at(directory))?;
        let lock = directory.join(LOCK_FILE);
        let _held = files::lock(&lock).map_err(AuthorityError::at(&lock))?;
        let (certificate, key) = (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
        for path in [&certificate, &key] {
            // A link that leads nowhere would be overwritten, too.
            if path.symlink_metadata().is_ok() {
                return Err(AuthorityError::AlreadyThere { path: path.clone() });
            }
        }
        let made = Self::generate_for(common_name, validity, now)?;
        made.write(&certificate, &key)?;
        Ok(made)
    }

    /// Reads the authority from `ca.crt` and `ca.key` in the directory; none if neither is there.
    ///
    /// # Errors
    /// [`AuthorityError`] if one of the files is missing or can't be used, the key can be read by others, or the
    /// authority has expired.
    pub fn open(directory: &Path, now: Timestamp) -> Result<Option<Self>, AuthorityError> {
        let (certificate, key) = (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
        match (certificate.exists(), key.exists()) {
            (true, false) => Err(AuthorityError::HalfPair {
                present: certificate,
                missing: key,
            }),
            (false, true) => Err(AuthorityError::HalfPair {
                present: key,
                missing: certificate,
            }),
            _ => Self::load(&certificate, &key, now),
        }
    }

    /// Writes both files, each whole or not at all, the key first.
    pub(super) fn write(&self, certificate: &Path, key: &Path) -> Result<(), AuthorityError> {
        files::write_atomically(key, self.key_pem().as_bytes(), 0o600).map_err(AuthorityError::at(key))?;
        files::write_atomically(certificate, self.certificate_pem().as_bytes(), 0o644)
            .map_err(AuthorityError::at(certificate))
    }
}
