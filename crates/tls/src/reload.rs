//! A certificate that can change while connections are being made with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use crate::{CertificateChain, Fingerprint, Issued, MaterialError, PrivateKey, material};

/// A certificate and key for either side of a connection, from files or from memory. Each new handshake uses the
/// newest that was good; connections that stand keep theirs.
#[derive(Debug)]
pub struct ReloadingCertificate {
    current: ArcSwap<Current>,
    files: Option<Files>,
}

/// What a refresh found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// A new pair is in use from now on.
    Changed,
    /// The files say what they said.
    Unchanged,
}

/// Why a certificate isn't in use.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file was read and can't be used.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: MaterialError,
    },
}

#[derive(Debug)]
struct Current {
    chain: CertificateChain,
    certified: Arc<CertifiedKey>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What the files said when they were last good.
    known: Mutex<Option<Content>>,
}

/// Both files' content, recognisable but not readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    certificate: Fingerprint,
    key: Fingerprint,
}

struct Pems {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl ReloadingCertificate {
    /// From a certificate chain and a key in PEM files.
    ///
    /// # Errors
    /// [`ReloadError`] naming the file that can't be read or used.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Arc<Self>, ReloadError> {
        let files = Files::new(certificate, key);
        let (content, pems) = files.read()?;
        let current = files.parse(&pems)?;
        *files.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(content);
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(current),
            files: Some(files),
        }))
    }

    /// From memory.
    ///
    /// # Errors
    /// [`MaterialError`] if the key isn't the certificate's.
    pub fn from_issued(issued: &Issued) -> Result<Arc<Self>, MaterialError> {
        let current = Current::new(issued.chain.clone(), &issued.key)?;
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(current),
            files: None,
        }))
    }

    /// Reads the files again and uses them from the next handshake on if they changed and are good. Call it every
    /// minute or so: it reads two small files, whatever their times say (a mounted Secret changes through symbolic
    /// links, and a clock may step).
    ///
    /// # Errors
    /// [`ReloadError`] if the files can't be read or used, as when one of the two was written and the other not
    /// yet. The last good pair stays in use.
    pub fn refresh(&self) -> Result<Refresh, ReloadError> {
        let Some(files) = &self.files else {
            return Ok(Refresh::Unchanged);
        };
        // Held to the end, so that two refreshes can't cross.
        let mut known = files.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (content, pems) = files.read()?;
        if *known == Some(content) {
            return Ok(Refresh::Unchanged);
        }
        self.current.store(Arc::new(files.parse(&pems)?));
        *known = Some(content);
        Ok(Refresh::Changed)
    }

    /// Uses another pair from the next handshake on.
    ///
    /// # Errors
    /// [`MaterialError`] if the key isn't the certificate's; the last good pair stays in use.
    pub fn replace(&self, issued: &Issued) -> Result<(), MaterialError> {
        self.current
            .store(Arc::new(Current::new(issued.chain.clone(), &issued.key)?));
        Ok(())
    }

    /// The chain in use.
    pub fn chain(&self) -> CertificateChain {
        self.current.load().chain.clone()
    }

    /// The end of the validity of the certificate in use.
    pub fn not_after(&self) -> jiff::Timestamp {
        self.current.load().chain.not_after()
    }
}

impl ResolvesServerCert for ReloadingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().certified.clone())
    }
}

impl ResolvesClientCert for ReloadingCertificate {
    /// The certificate, whatever authorities the server hints at: there is no other, and a hint may be left out.
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().certified.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Current {
    fn new(chain: CertificateChain, key: &PrivateKey) -> Result<Self, MaterialError> {
        let certified = Arc::new(material::certified(&chain, key)?);
        Ok(Self { chain, certified })
    }
}

impl Files {
    fn new(certificate: &Path, key: &Path) -> Self {
        Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            known: Mutex::default(),
        }
    }

    fn read(&self) -> Result<(Content, Pems), ReloadError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| ReloadError::Read {
                path: path.to_owned(),
                source,
            })
        };
        let pems = Pems {
            certificate: read(&self.certificate)?,
            key: Zeroizing::new(read(&self.key)?),
        };
        let content = Content {
            certificate: Fingerprint::of(&pems.certificate),
            key: Fingerprint::of(&pems.key),
        };
        Ok((content, pems))
    }

    fn parse(&self, pems: &Pems) -> Result<Current, ReloadError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| ReloadError::Unusable { path, source }
        };
        let chain = CertificateChain::from_pem(&pems.certificate).map_err(unusable(&self.certificate))?;
        let key = PrivateKey::from_pem(&pems.key).map_err(unusable(&self.key))?;
        Current::new(chain, &key).map_err(unusable(&self.key))
    }
}
