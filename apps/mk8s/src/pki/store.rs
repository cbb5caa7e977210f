//! The files of an authority, and who may change them at a time.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use mk8s_tls::{AuthorityError, CertificateAuthority};

use super::Index;
use crate::{
    error::{Failure, Result},
    home,
    lock::Lock,
};

/// How long to wait for another mk8s that changes the same authority.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where an authority is, or will be.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
}

/// An authority in use by this process alone.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    store: &'a Store,
    pub(crate) authority: CertificateAuthority,
    pub(crate) index: Index,
    _lock: Lock,
}

impl Store {
    /// The one in this directory, an absolute path.
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn list_file(&self) -> PathBuf {
        self.directory.join("crl.pem")
    }

    /// Makes an authority with an empty index and an empty list.
    pub(crate) fn init(
        &self,
        name: &str,
        validity: Duration,
        next_update: SignedDuration,
        now: Timestamp,
    ) -> Result<CertificateAuthority> {
        home::create_private_directory(&self.directory)?;
        let lock = self.lock()?;
        if home::read_large(&self.index_file())?.is_some() {
            return Err(already(&self.index_file()));
        }
        let authority = CertificateAuthority::create(&self.directory, name, validity, now);
        let mut opened = Opened {
            store: self,
            authority: authority.map_err(failure)?,
            index: Index::new(now),
            _lock: lock,
        };
        opened.write_list(next_update, now)?;
        Ok(opened.authority)
    }

    /// What was issued.
    pub(crate) fn index(&self) -> Result<Index> {
        match home::read_large(&self.index_file())? {
            Some(json) => Index::from_json(&json).map_err(|reason| {
                Failure::new(format!("{} is damaged: {reason}", self.index_file().display()))
                    .hint("restore it from a backup; without it, what was revoked would be forgotten")
            }),
            None if self.directory.join("ca.crt").exists() => Err(Failure::new(format!(
                "{} is missing, and the authority beside it is there",
                self.index_file().display()
            ))
            .hint("restore it from a backup; if nothing was issued yet, move ca.crt and ca.key away and run `mk8s pki init`")),
            None => Err(self.no_authority()),
        }
    }

    /// Everything, for a change. Nobody else changes it until it is dropped.
    pub(crate) fn open(&self, now: Timestamp) -> Result<Opened<'_>> {
        if !self.directory.is_dir() {
            return Err(self.no_authority());
        }
        let lock = self.lock()?;
        let authority = CertificateAuthority::open(&self.directory, now).map_err(failure)?;
        Ok(Opened {
            store: self,
            authority: authority.ok_or_else(|| self.no_authority())?,
            index: self.index()?,
            _lock: lock,
        })
    }

    fn index_file(&self) -> PathBuf {
        self.directory.join("index.json")
    }

    fn lock(&self) -> Result<Lock> {
        Lock::acquire(&self.directory.join("pki.lock"), PATIENCE)
    }

    fn no_authority(&self) -> Failure {
        Failure::new(format!(
            "there is no certificate authority in {}",
            self.directory.display()
        ))
        .hint("mk8s pki init makes one; --dir names another directory")
    }
}

impl Opened<'_> {
    /// Keeps the index.
    pub(crate) fn save(&self) -> Result<()> {
        let json = serde_json::to_vec_pretty(&self.index)
            .map_err(|error| Failure::new(format!("can't write the index: {error}")))?;
        home::write_private(&self.store.index_file(), &json)
    }

    /// Makes the next revocation list, keeps the index, and writes the list.
    pub(crate) fn write_list(&mut self, next_update: SignedDuration, now: Timestamp) -> Result<()> {
        self.index.list_number += 1;
        self.index.next_update = now.checked_add(next_update).unwrap_or(Timestamp::MAX);
        let list = self.authority.sign_revocation_list(
            &self.index.revoked(now),
            self.index.list_number,
            now,
            self.index.next_update,
        );
        let list = list.map_err(failure)?;
        // The index first: what is in it comes back with the next list.
        self.save()?;
        home::write_public(&self.store.list_file(), list.pem().as_bytes())
    }
}

/// Why the authority can't do what was asked.
pub(crate) fn failure(error: AuthorityError) -> Failure {
    match error {
        AuthorityError::AlreadyThere { path } => already(&path),
        AuthorityError::Identity(_) => Failure::usage(error.to_string()),
        AuthorityError::BadName(..) | AuthorityError::NoNames => Failure::usage(error.to_string()),
        AuthorityError::Request(_) => Failure::new(error.to_string())
            .hint("make one with: openssl req -new -key KEYFILE -subj /CN=anything -out CSRFILE"),
        _ => Failure::new(error.to_string()),
    }
}

fn already(path: &Path) -> Failure {
    Failure::new(format!(
        "{} is there already; an authority is never overwritten",
        path.display()
    ))
    .hint("use it, or make another with --dir")
}
