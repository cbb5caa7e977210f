//! What the one path asks for, in a sidecar: nobody's leave, log lines for events. The clusters are in [`crate::routes`].

use mk8s_model::{AuditClose, AuditOpen, ClusterName, Decision, Grant, KubeRequest};
use mk8s_proxy::{AuditLog, AuditUnavailable, Authorizer, Caller};
use tokio::sync::watch;
use tracing::debug;

/// The containers of this pod may ask for anything: the API server's RBAC decides on the pod's service account.
pub(crate) struct ApiServerDecides(Grant);

impl ApiServerDecides {
    pub(crate) fn new() -> Self {
        Self(Grant {
            rule: "pod".into(),
            policy_version: 0,
        })
    }
}

impl Authorizer for ApiServerDecides {
    fn decide(&self, _: &Caller, _: &ClusterName, _: &KubeRequest<'_>) -> Decision {
        Decision::Allow(self.0.clone())
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

/// The API server writes its audit log in the service account's name; here, events are log lines.
pub(crate) struct LogOnly;

impl AuditLog for LogOnly {
    fn open(&self, event: &AuditOpen<'_>) -> Result<(), AuditUnavailable> {
        debug!(audit_id = %event.id, method = %event.method, uri = %event.uri, "request");
        Ok(())
    }

    fn close(&self, event: &AuditClose) {
        debug!(audit_id = %event.id, status = event.status, outcome = event.outcome.as_str(), "request ended");
    }
}
