//! Whether reviews should be sent here.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use mk8s_tls::ReloadingCertificate;

/// What readiness depends on.
pub(crate) struct Readiness {
    certificate: Arc<ReloadingCertificate>,
    has_certificate: AtomicBool,
    stopping: AtomicBool,
}

impl Readiness {
    pub(crate) fn new(certificate: Arc<ReloadingCertificate>) -> Arc<Self> {
        Arc::new(Self {
            certificate,
            has_certificate: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        })
    }

    /// From now on the certificate in use is one that is believed.
    pub(crate) fn certificate_is_there(&self) {
        self.has_certificate.store(true, Ordering::Relaxed);
    }

    /// From now on no reviews should come.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Why not, if not.
    pub(crate) fn objection(&self, now: Timestamp) -> Option<String> {
        if self.stopping.load(Ordering::Relaxed) {
            return Some("stopping".to_owned());
        }
        if !self.has_certificate.load(Ordering::Relaxed) {
            return Some(
                "no certificate yet: the leader makes it once the MutatingWebhookConfiguration is there"
                    .to_owned(),
            );
        }
        let not_after = self.certificate.not_after();
        (not_after <= now).then(|| format!("the certificate expired at {not_after:.0}"))
    }
}
