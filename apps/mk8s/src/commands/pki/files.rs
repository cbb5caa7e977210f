//! Where a certificate and its key are written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    cli::pki::Common,
    context::Context,
    error::{Failure, Result},
    home,
    pki::{Store, file_stem},
};

/// The two files of a certificate.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Files {
    /// For whoever has this name. Refuses to replace what will be written unless told to.
    pub(super) fn choose(
        context: &Context<'_>,
        store: &Store,
        common: &Common,
        name: &str,
        with_key: bool,
    ) -> Result<Self> {
        let directory = match &common.out {
            Some(out) => context.environment.absolute(out),
            None => store.directory().join("issued"),
        };
        if is_same(&directory, store.directory()) {
            return Err(
                Failure::usage("certificates aren't written among the authority's own files")
                    .hint("name another directory with --out"),
            );
        }
        let file = |ending: &str| directory.join(format!("{}.{ending}", file_stem(name)));
        let files = Self {
            certificate: file("crt"),
            key: file("key"),
        };
        let there = [Some(&files.certificate), with_key.then_some(&files.key)]
            .into_iter()
            .flatten()
            .find(|path| path.symlink_metadata().is_ok());
        match there {
            Some(path) if !common.force => Err(Failure::new(format!("{} is there already", path.display()))
                .hint("--force replaces it, --out names another directory")),
            _ => {
                home::create_private_directory(&directory)?;
                Ok(files)
            }
        }
    }

    /// Writes the certificate, readable by all, after the key, readable by this user alone.
    pub(super) fn write(&self, certificate: &str, key: Option<&str>) -> Result<()> {
        if let Some(key) = key {
            home::write_private(&self.key, key.as_bytes())?;
        }
        home::write_public(&self.certificate, certificate.as_bytes())
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}
