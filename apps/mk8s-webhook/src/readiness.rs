//! Whether reviews should be sent here.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use mk8s_serving::ServedCertificate;

/// What readiness depends on.
pub(crate) struct Readiness {
    served: Arc<ServedCertificate>,
    stopping: AtomicBool,
}

impl Readiness {
    pub(crate) fn new(served: Arc<ServedCertificate>) -> Arc<Self> {
        Arc::new(Self {
            served,
            stopping: AtomicBool::new(false),
        })
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
        self.served.objection(now)
    }
}
