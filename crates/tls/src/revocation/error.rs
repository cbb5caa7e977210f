//! Why there is nobody to believe, or no telling who was taken back.

use std::{io, path::PathBuf};

use crate::ConfigError;

/// Why authorities and revocation lists aren't in use.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// The authorities can't be used.
    #[error(transparent)]
    Authorities(#[from] ConfigError),
    /// A file or directory can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than a list may be.
    #[error("{}: a file of revocation lists has at most {limit} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// How large it may be.
        limit: u64,
    },
    /// There is no list in the file.
    #[error(
        "{}: there is no revocation list in it; expected PEM blocks \"BEGIN X509 CRL\", or DER", path.display()
    )]
    NoList {
        /// Which.
        path: PathBuf,
    },
    /// A list is damaged, or of a kind that isn't supported.
    #[error("{}: the revocation list can't be used: {reason}", path.display())]
    Damaged {
        /// In which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A list in the name of an authority that didn't sign it.
    #[error(
        "{}: the revocation list isn't signed by the authority {issuer} that is trusted here; take the list away, or \
         trust the authority that signed it",
        path.display()
    )]
    BadSignature {
        /// In which file.
        path: PathBuf,
        /// In whose name.
        issuer: String,
    },
}
