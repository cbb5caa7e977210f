//! The certificate in use: what handshakes are made with, and whether it can be believed yet.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use mk8s_tls::{CertificateAuthority, ReloadingCertificate};
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use crate::{
    kept,
    settings::{BundlesIn, Tls},
};

/// The certificate in use, shared by whoever serves it and whoever keeps it.
pub struct ServedCertificate {
    certificate: Arc<ReloadingCertificate>,
    is_there: AtomicBool,
    /// What is said as long as it isn't.
    missing: &'static str,
    /// The hash of the authority's key in the Secret that the replicas share.
    shared: ArcSwapOption<[u8; 32]>,
}

impl std::fmt::Debug for ServedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServedCertificate")
            .field("is_there", &self.is_there)
            .finish_non_exhaustive()
    }
}

impl ServedCertificate {
    /// The certificate to begin with. In the mode `self` it is one that nobody believes, so that probes are answered until
    /// the real one is there.
    ///
    /// # Errors
    /// If the files can't be read, or don't go together.
    pub fn first(tls: &Tls) -> anyhow::Result<Arc<Self>> {
        let (certificate, missing) = match tls {
            Tls::SelfMade(own) => {
                let now = Timestamp::now();
                let program = own.place.program;
                let authority = CertificateAuthority::generate(&format!("{program}, not ready"), now)?;
                let names = [format!("{program}.invalid")];
                let issued = authority.issue_server(&names, Duration::from_secs(24 * 3600), now)?;
                let missing = match own.place.bundles {
                    BundlesIn::MutatingWebhookConfigurations(_) => {
                        "no certificate yet: the leader makes it once the MutatingWebhookConfiguration is there"
                    }
                    BundlesIn::ApiServices(_) => {
                        "no certificate yet: the leader makes it once the APIService is there"
                    }
                };
                (ReloadingCertificate::from_issued(&issued)?, missing)
            }
            Tls::Files { certificate, key, .. } => {
                let read = ReloadingCertificate::from_files(certificate, key);
                (read.context("tls.certificateFile and tls.keyFile")?, "")
            }
        };
        Ok(Arc::new(Self {
            certificate,
            is_there: AtomicBool::new(matches!(tls, Tls::Files { .. })),
            missing,
            shared: ArcSwapOption::empty(),
        }))
    }

    /// What handshakes are made with.
    pub fn certificate(&self) -> &Arc<ReloadingCertificate> {
        &self.certificate
    }

    /// Why nothing should be sent here yet, or any more; nothing if all is well.
    pub fn objection(&self, now: Timestamp) -> Option<String> {
        if !self.is_there.load(Ordering::Relaxed) {
            return Some(self.missing.to_owned());
        }
        let not_after = self.certificate.not_after();
        (not_after <= now).then(|| format!("the certificate expired at {not_after:.0}"))
    }

    /// A secret for this purpose, made of what the replicas share: the same for all of them, and another one from the next
    /// authority on. None where nothing is shared, or isn't yet.
    pub fn shared_key(&self, purpose: &str) -> Option<[u8; 32]> {
        let shared = self.shared.load();
        shared.as_ref().map(|shared| derived_key(purpose, &shared[..]))
    }

    /// Serves what is in the Secret.
    pub(crate) fn take(&self, secret: &str, data: &BTreeMap<String, ByteString>) {
        let issued = match kept::serving(data) {
            None => return,
            Some(Ok(issued)) => issued,
            Some(Err(error)) => {
                warn!(%secret, %error, "the Secret's certificate can't be used");
                return;
            }
        };
        if issued.chain != self.certificate.chain() {
            if let Err(error) = self.certificate.replace(&issued) {
                warn!(%secret, %error, "the Secret's certificate can't be used");
                return;
            }
            info!(not_after = %self.certificate.not_after(), "serving the certificate in the Secret");
        }
        let shared = kept::authority_key(data).map(|key| Arc::new(Sha256::digest(key).into()));
        self.shared.store(shared);
        self.is_there.store(true, Ordering::Relaxed);
    }
}

/// A secret for this purpose of one that nobody can guess. Another purpose has another.
pub fn derived_key(purpose: &str, secret: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(purpose.as_bytes());
    hash.update([0]);
    hash.update(secret);
    hash.finalize().into()
}
