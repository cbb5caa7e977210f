//! All revocation lists that count at a time.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject};

use super::{ListInfo, RevocationError, Revoked, list::List};
use crate::{
    SerialNumber, material,
    signature::{Signed, sequence},
};

/// How large a file of lists may be: enough for a million entries.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The revocation lists of some authorities, of each the newest. Doesn't change: a
/// [`ReloadingClientAuth`](super::ReloadingClientAuth) makes another when the files change.
#[derive(Debug, Default)]
pub struct RevocationLists {
    lists: Vec<List>,
}

impl RevocationLists {
    /// Whether the authority of this name (in DER) took back the certificate with this number. Only lists that a
    /// trusted authority signed are asked.
    pub fn find(&self, issuer: &[u8], serial: &SerialNumber) -> Option<Revoked> {
        self.lists
            .iter()
            .filter(|list| list.issuer == issuer && !list.signers.is_empty())
            .find_map(|list| list.entry(serial))
    }

    /// Whether one of a chain was taken back: the certificate that a peer showed, or one between it and its authority.
    /// Pass the chain as the connection gives it, and only one that a handshake has verified: nothing here says that
    /// the rest of it is good.
    pub fn revoked(&self, chain: &[CertificateDer<'_>]) -> Option<Revoked> {
        chain
            .iter()
            .find_map(|certificate| self.revoked_one(certificate, chain))
    }

    /// What is known of each list.
    pub fn infos(&self) -> impl ExactSizeIterator<Item = &ListInfo> {
        self.lists.iter().map(|list| &list.info)
    }

    /// The lists that should have been replaced by now.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &ListInfo> {
        self.infos().filter(move |info| info.next_update <= now)
    }

    /// Reads lists and keeps the newest of each authority.
    pub(super) fn parse(
        files: &ListFiles,
        authorities: &Arc<RootCertStore>,
    ) -> Result<Self, RevocationError> {
        let mut lists: Vec<List> = Vec::new();
        for (path, content) in &files.0 {
            for der in split(path, content)? {
                let list = List::new(der, path, authorities)?;
                if !lists
                    .iter()
                    .any(|there| there.replaces(&list) || there.repeats(&list))
                {
                    lists.retain(|there| !list.replaces(there));
                    lists.push(list);
                }
            }
        }
        Ok(Self { lists })
    }

    /// Those that count among some of the authorities: lists that one of them signed, and lists of authorities that
    /// aren't trusted by themselves.
    pub(super) fn among(&self, authorities: &RootCertStore) -> Vec<CertificateRevocationListDer<'static>> {
        let keys: Vec<_> = authorities
            .roots
            .iter()
            .map(|anchor| sequence(&anchor.subject_public_key_info))
            .collect();
        self.lists
            .iter()
            .filter(|list| list.signers.is_empty() || list.signers.iter().any(|key| keys.contains(key)))
            .map(|list| list.der.clone())
            .collect()
    }

    fn revoked_one(&self, der: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Option<Revoked> {
        let certificate = material::parse(der).ok()?;
        let serial = SerialNumber::from_bytes(certificate.raw_serial());
        let issuer = certificate.issuer().as_raw();
        let named = self.lists.iter().filter(|list| list.issuer == issuer);
        // Entries are rare, so that checking whose certificate it is costs nothing: an authority that began anew under
        // the same name may have counted from one again.
        named
            .filter_map(|list| Some((list, list.entry(&serial)?)))
            .find(|(list, _)| {
                let signed = Signed::from_der(der);
                signed.is_ok_and(|signed| signers(list, chain).iter().any(|key| signed.is_by(key)))
            })
            .map(|(_, revoked)| revoked)
    }
}

/// The keys that signed a list: trusted ones, or those of a chain.
fn signers(list: &List, chain: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
    if !list.signers.is_empty() {
        return list.signers.clone();
    }
    let Ok(signed) = Signed::from_der(&list.der) else {
        return Vec::new();
    };
    chain
        .iter()
        .filter_map(|der| material::parse(der).ok())
        .filter(|certificate| certificate.subject().as_raw() == list.issuer)
        .map(|certificate| certificate.public_key().raw.to_vec())
        .filter(|key| signed.is_by(key))
        .collect()
}

/// What the files say, not understood yet.
#[derive(Debug)]
pub(super) struct ListFiles(Vec<(PathBuf, Vec<u8>)>);

impl ListFiles {
    /// Reads files, and of directories the files named like lists.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, RevocationError> {
        let mut files = Vec::new();
        for path in paths {
            let at = |source| RevocationError::Read {
                path: path.clone(),
                source,
            };
            if fs::metadata(path).map_err(at)?.is_dir() {
                for file in members(path).map_err(at)? {
                    let content = read(&file)?;
                    files.push((file, content));
                }
            } else {
                files.push((path.clone(), read(path)?));
            }
        }
        Ok(Self(files))
    }

    /// Everything, for a fingerprint.
    pub(super) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .iter()
            .flat_map(|(path, content)| [path.as_os_str().as_encoded_bytes(), content])
    }
}

fn members(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // Through symbolic links, as a mounted Secret has them.
        if is_named_like_a_list(&path) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// `*.crl`, `*.pem`, `*.der`, and what `c_rehash` makes (`*.r0`); nothing hidden.
fn is_named_like_a_list(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let rehashed = extension
        .strip_prefix('r')
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    !hidden && (matches!(extension, "crl" | "pem" | "der") || rehashed)
}

fn read(path: &Path) -> Result<Vec<u8>, RevocationError> {
    let at = |source| RevocationError::Read {
        path: path.to_owned(),
        source,
    };
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content))
        .map_err(at)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(RevocationError::TooLarge {
            path: path.to_owned(),
            limit: MAX_FILE_BYTES,
        });
    }
    Ok(content)
}

/// The lists of a file: every block of a PEM text, or the one that DER is.
fn split(path: &Path, content: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, RevocationError> {
    const SEQUENCE: u8 = 0x30;
    if content.first() == Some(&SEQUENCE) {
        return Ok(vec![content.to_vec().into()]);
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(content)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| RevocationError::Damaged {
            path: path.to_owned(),
            reason: material::damage(&e),
        })?;
    if lists.is_empty() {
        return Err(RevocationError::NoList {
            path: path.to_owned(),
        });
    }
    Ok(lists)
}
