//! Why there is no authority, or no certificate from it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use mk8s_model::InvalidIdentity;

use crate::{CsrError, MaterialError};

/// Why there is no authority, or no certificate from it.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file or directory can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key can be read by others than its owner.
    #[error(
        "{}: the authority's key has mode {mode:04o}, so others can read it; run: chmod 600 {}",
        path.display(),
        path.display()
    )]
    ReadableByOthers {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// One of the two files is there, the other isn't.
    #[error(
        "{} is there, but {} is missing; restore it from a backup, or move the other away to have a new authority made \
         (people and agents must then trust its new fingerprint)",
        present.display(),
        missing.display()
    )]
    HalfPair {
        /// The file that is there.
        present: PathBuf,
        /// The file that isn't.
        missing: PathBuf,
    },
    /// An authority is there already.
    #[error("{} is there already; an authority is never overwritten", path.display())]
    AlreadyThere {
        /// One of its files.
        path: PathBuf,
    },
    /// A file is there and can't be used.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: MaterialError,
    },
    /// The certificate is no authority's.
    #[error("{}: this certificate isn't an authority's (basic constraints without CA)", path.display())]
    NoAuthority {
        /// The certificate's file.
        path: PathBuf,
    },
    /// The authority's time is over.
    #[error(
        "the authority's certificate expired at {not_after}; move ca.crt and ca.key away to have a new authority made \
         (people and agents must then trust its new fingerprint)"
    )]
    Expired {
        /// When.
        not_after: Timestamp,
    },
    /// A server certificate for nobody.
    #[error("a server certificate needs at least one DNS name or IP address")]
    NoNames,
    /// A name that can't stand in a certificate.
    #[error("{0:?} can't stand in a certificate: {1}")]
    BadName(String, &'static str),
    /// A name that no client may have.
    #[error(transparent)]
    Identity(#[from] InvalidIdentity),
    /// Validity that is zero, or beyond what dates can say.
    #[error("a validity of {0:?} is no length of time that a certificate can have")]
    BadValidity(Duration),
    /// A revocation list that would be out of date at once.
    #[error("a revocation list needs a next update later than now, not {0}")]
    BadNextUpdate(Timestamp),
    /// The certificate request isn't acceptable.
    #[error(transparent)]
    Request(#[from] CsrError),
    /// Cryptography failed: no random numbers, or no signature.
    #[error("the certificate couldn't be signed: {0}")]
    Signing(String),
}

impl AuthorityError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
