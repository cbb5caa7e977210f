//! What the one path asks for, in an agent: one cluster, central's word for it, log lines for events.

use mk8s_model::{AuditClose, AuditOpen, ClusterName, Decision, Grant, KubeRequest};
use mk8s_proxy::{AuditLog, AuditUnavailable, Authorizer, Caller, Clusters, Unroutable, Upstream};
use tokio::sync::watch;
use tracing::debug;

/// The one cluster there is.
pub(crate) struct OnlyCluster(pub(crate) Upstream);

impl Clusters for OnlyCluster {
    fn upstream(&self, _: &ClusterName) -> Result<Upstream, Unroutable> {
        Ok(self.0.clone())
    }
}

/// Central has decided already, over a connection that proved itself by certificate.
pub(crate) struct CentralDecided(Grant);

impl CentralDecided {
    pub(crate) fn new() -> Self {
        Self(Grant {
            rule: "central".into(),
            policy_version: 0,
        })
    }
}

impl Authorizer for CentralDecided {
    fn decide(&self, _: &Caller, _: &ClusterName, _: &KubeRequest<'_>) -> Decision {
        Decision::Allow(self.0.clone())
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

/// The events are central's; here they are log lines.
pub(crate) struct LogOnly;

impl AuditLog for LogOnly {
    fn open(&self, event: &AuditOpen<'_>) -> Result<(), AuditUnavailable> {
        debug!(audit_id = %event.id, user = %event.user, method = %event.method, uri = %event.uri, "request");
        Ok(())
    }

    fn close(&self, event: &AuditClose) {
        debug!(audit_id = %event.id, status = event.status, outcome = event.outcome.as_str(), "request ended");
    }
}
