//! What pages are sealed with: the same for all replicas, as the next page may be asked of another one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use mk8s_serving::{ServedCertificate, Tls, derived_key};
use tracing::warn;

/// Nothing else is made of the same secret for the same purpose.
const PURPOSE: &str = "mk8s-apiserver continue";
/// How often a file is read again.
const REFRESH: Duration = Duration::from_secs(5);

/// The key as of now. It is another one once the certificate's key or authority is; lists that are being paged through then
/// have to be begun anew.
pub(crate) enum SealKey {
    /// Of the certificate's key, which all replicas have and nobody else.
    OfFile { file: PathBuf, key: ArcSwap<[u8; 32]> },
    /// Of what the replicas share in their Secret.
    Shared(Arc<ServedCertificate>),
}

impl SealKey {
    /// What it is made of goes by where the certificate comes from.
    pub(crate) fn new(tls: &Tls, served: Arc<ServedCertificate>) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(match tls {
            Tls::SelfMade(_) => Self::Shared(served),
            Tls::Files { key: file, .. } => Self::OfFile {
                key: ArcSwap::from_pointee(of_file(file)?),
                file: file.clone(),
            },
        }))
    }

    /// None if the replicas share nothing yet.
    pub(crate) fn now(&self) -> Option<[u8; 32]> {
        match self {
            Self::OfFile { key, .. } => Some(**key.load()),
            Self::Shared(served) => served.shared_key(PURPOSE),
        }
    }

    /// Follows the file, if there is one.
    pub(crate) async fn follow(self: Arc<Self>) {
        if let Self::Shared(_) = &*self {
            return;
        }
        loop {
            tokio::time::sleep(REFRESH).await;
            if let Err(error) = self.refresh() {
                warn!("{error:#}; the last good key stays");
            }
        }
    }

    fn refresh(&self) -> anyhow::Result<()> {
        if let Self::OfFile { file, key } = self {
            key.store(Arc::new(of_file(file)?));
        }
        Ok(())
    }
}

fn of_file(file: &Path) -> anyhow::Result<[u8; 32]> {
    let key = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    Ok(derived_key(PURPOSE, &key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(file: &Path) -> SealKey {
        SealKey::OfFile {
            file: file.to_owned(),
            key: ArcSwap::from_pointee(of_file(file).expect("read")),
        }
    }

    #[test]
    fn replicas_with_the_same_file_agree_and_go_along_when_it_changes() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("tls.key");
        std::fs::write(&file, "one").expect("written");
        let (old, other) = (replica(&file), replica(&file));
        let before = old.now().expect("a key");
        assert_eq!(other.now(), Some(before));
        assert_ne!(&before[..3], b"one");
        std::fs::write(&file, "two").expect("written");
        let late = replica(&file);
        assert_ne!(late.now(), Some(before));
        old.refresh().expect("read");
        assert_eq!(old.now(), late.now());
    }

    #[test]
    fn a_file_that_went_away_is_said_and_the_last_key_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("tls.key");
        std::fs::write(&file, "one").expect("written");
        let key = replica(&file);
        let before = key.now();
        std::fs::remove_file(&file).expect("removed");
        let error = key.refresh().expect_err("it is gone").to_string();
        assert!(error.contains("tls.key"), "{error}");
        assert_eq!(key.now(), before);
    }

    #[test]
    fn as_long_as_nothing_is_shared_there_is_no_key() {
        let settings: mk8s_serving::TlsSettings = serde_saphyr::from_str("{}").expect("valid");
        let lease: mk8s_serving::LeaseSettings = serde_saphyr::from_str("{}").expect("valid");
        let place = || {
            Ok(mk8s_serving::Place {
                program: "mk8s-apiserver",
                namespace: "n".to_owned(),
                service: "s".to_owned(),
                bundles: mk8s_serving::BundlesIn::ApiServices(Vec::new()),
                lease: lease.checked("mk8s-apiserver")?,
            })
        };
        let tls = settings.checked(place).expect("valid");
        let served = ServedCertificate::first(&tls).expect("a certificate");
        assert_eq!(SealKey::new(&tls, served).expect("made").now(), None);
    }
}
