//! Whom to trust.

use std::{io, path::PathBuf, sync::Arc};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::material;

/// The authorities that certificates of the other side must come from.
#[derive(Clone, Debug)]
pub enum Roots {
    /// Those of the operating system (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured, as everywhere).
    System,
    /// Those in a PEM text.
    Pem(Vec<u8>),
    /// Those of the operating system, if it has any, and those in a PEM text.
    SystemAnd(Vec<u8>),
    /// Those in PEM files.
    Files(Vec<PathBuf>),
    /// These.
    Certificates(Vec<CertificateDer<'static>>),
}

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The operating system trusts nobody.
    #[error(
        "the system has no trusted authorities ({0}); install the package ca-certificates, or name a file of authorities"
    )]
    NoSystemRoots(String),
    /// A file of authorities can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no authority in what was named.
    #[error("{0} has no certificate in it; expected a PEM block \"BEGIN CERTIFICATE\"")]
    NoRoots(String),
    /// An authority can't be used.
    #[error("{origin}: an authority's certificate can't be used: {reason}")]
    BadRoot {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// rustls refuses the whole.
    #[error("TLS can't be configured: {0}")]
    Tls(String),
}

impl Roots {
    /// Reads them.
    ///
    /// # Errors
    /// [`ConfigError`] if there are none, or one can't be read.
    pub(crate) fn load(&self) -> Result<Arc<RootCertStore>, ConfigError> {
        let mut store = RootCertStore::empty();
        match self {
            Self::System => add_system(&mut store)?,
            Self::Pem(pem) => add_pem(&mut store, "the PEM text", pem)?,
            Self::SystemAnd(pem) => {
                // A container image without authorities of its own is what the PEM is for.
                let _ = add_system(&mut store);
                add_pem(&mut store, "the PEM text", pem)?;
            }
            Self::Files(paths) => {
                for path in paths {
                    let pem = std::fs::read(path).map_err(|source| ConfigError::Read {
                        path: path.clone(),
                        source,
                    })?;
                    add_pem(&mut store, &path.display().to_string(), &pem)?;
                }
            }
            Self::Certificates(certificates) => {
                certificates
                    .iter()
                    .try_for_each(|c| add(&mut store, "the certificate", c.clone()))?;
            }
        }
        if store.is_empty() {
            return Err(ConfigError::NoRoots("the list of authorities".to_owned()));
        }
        Ok(Arc::new(store))
    }
}

/// Systems carry odd certificates; one that can't be used is no reason to trust nobody.
fn add_system(store: &mut RootCertStore) -> Result<(), ConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = store.add_parsable_certificates(found.certs);
    match (added, found.errors.first()) {
        (0, Some(error)) => Err(ConfigError::NoSystemRoots(error.to_string())),
        (0, None) => Err(ConfigError::NoSystemRoots("none found".to_owned())),
        _ => Ok(()),
    }
}

fn add_pem(store: &mut RootCertStore, origin: &str, pem: &[u8]) -> Result<(), ConfigError> {
    let before = store.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| ConfigError::BadRoot {
            origin: origin.to_owned(),
            reason: material::damage(&e),
        })?;
        add(store, origin, certificate)?;
    }
    if store.len() == before {
        return Err(ConfigError::NoRoots(origin.to_owned()));
    }
    Ok(())
}

fn add(
    store: &mut RootCertStore,
    origin: &str,
    certificate: CertificateDer<'static>,
) -> Result<(), ConfigError> {
    store.add(certificate).map_err(|e| ConfigError::BadRoot {
        origin: origin.to_owned(),
        reason: e.to_string(),
    })
}
