//! Writing down who did what: once before a request leaves, once when it ended.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, Method, Uri, header};
use jiff::Timestamp;
use mk8s_model::{AuditClose, AuditId, AuditOpen, ClusterName, Identity, KubeRequest, Outcome};
use tracing::debug;

/// Nothing can be written down now, so nothing may be done now.
#[derive(Debug, thiserror::Error)]
#[error("the audit log can't be written: {0}")]
pub struct AuditUnavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where events go. Both calls return quickly; after `open` returns, the event survives the death of this process.
pub trait AuditLog: Send + Sync + 'static {
    /// Writes the first half down.
    ///
    /// # Errors
    /// If it can't be kept; the request is then refused.
    fn open(&self, event: &AuditOpen<'_>) -> Result<(), AuditUnavailable>;

    /// Writes the second half down. Failing to is the log's own affair: the request has happened.
    fn close(&self, event: &AuditClose);
}

/// Keeps nothing: events are log lines at "debug". For where somebody else writes the audit log.
#[derive(Clone, Copy, Debug)]
pub struct LogOnly;

impl AuditLog for LogOnly {
    fn open(&self, event: &AuditOpen<'_>) -> Result<(), AuditUnavailable> {
        debug!(audit_id = %event.id, user = %event.user, method = %event.method, uri = %event.uri, "request");
        Ok(())
    }

    fn close(&self, event: &AuditClose) {
        debug!(audit_id = %event.id, status = event.status, outcome = event.outcome.as_str(), "request ended");
    }
}

/// What a request says about itself before anything was decided on.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) source: IpAddr,
    pub(crate) cluster: &'a ClusterName,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// What came of it.
pub(crate) enum Verdict<'a> {
    Allowed(&'a mk8s_model::Grant),
    Denied { reason: &'a str, policy_version: u64 },
}

impl<'a> Facts<'a> {
    pub(crate) fn open(
        &self,
        id: AuditId,
        at: Timestamp,
        request: Option<&'a KubeRequest<'a>>,
        verdict: &Verdict<'a>,
    ) -> AuditOpen<'a> {
        let resource = match request {
            Some(KubeRequest::Resource(resource)) => Some(resource),
            _ => None,
        };
        let (rule, denied, policy_version) = match *verdict {
            Verdict::Allowed(grant) => (Some((&*grant.rule).into()), None, grant.policy_version),
            Verdict::Denied {
                reason,
                policy_version,
            } => (None, Some(reason.into()), policy_version),
        };
        let path_and_query = self.uri.path_and_query().map_or("/", |p| p.as_str());
        AuditOpen {
            id,
            at,
            user: self.identity.user().into(),
            groups: self.identity.groups().map(Into::into).collect(),
            source: self.source.to_string().into(),
            user_agent: self
                .headers
                .get(header::USER_AGENT)
                .and_then(|v| v.to_str().ok())
                .map(Into::into),
            cluster: Some(self.cluster.as_str().into()),
            method: self.method.as_str().into(),
            uri: path_and_query.into(),
            verb: request.map_or("", KubeRequest::verb).into(),
            resource: resource.map_or("".into(), |r| r.resource_path()),
            api_group: resource
                .filter(|r| !r.group.is_empty())
                .map(|r| (&*r.group).into()),
            namespace: resource.and_then(|r| r.namespace.as_deref()).map(Into::into),
            name: resource.and_then(|r| r.name.as_deref()).map(Into::into),
            rule,
            denied,
            policy_version,
        }
    }
}

/// An open event that closes itself: at [`Ticket::end`], or as [`Outcome::ClientGone`] when it is dropped without.
pub struct Ticket {
    log: Arc<dyn AuditLog>,
    id: AuditId,
    started: Instant,
    status: u16,
    bytes_sent: u64,
    ended: bool,
}

impl Ticket {
    /// Writes the first half down and hands out the promise to write the second.
    ///
    /// # Errors
    /// [`AuditUnavailable`], if it couldn't be.
    pub fn open(
        log: Arc<dyn AuditLog>,
        event: &AuditOpen<'_>,
        started: Instant,
    ) -> Result<Self, AuditUnavailable> {
        log.open(event)?;
        Ok(Self {
            log,
            id: event.id,
            started,
            status: 0,
            bytes_sent: 0,
            ended: false,
        })
    }

    /// The event's id, which the API server's own audit log will have too.
    pub fn id(&self) -> AuditId {
        self.id
    }

    /// Notes the status that was answered.
    pub fn answered(&mut self, status: u16) {
        self.status = status;
    }

    /// Notes bytes of the answer's body that went out.
    pub fn sent(&mut self, bytes: u64) {
        self.bytes_sent += bytes;
    }

    /// Writes the second half down. Only the first call counts.
    pub fn end(&mut self, outcome: Outcome) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.log.close(&AuditClose {
            id: self.id,
            status: self.status,
            outcome,
            duration_ms: millis(self.started.elapsed()),
            bytes_sent: self.bytes_sent,
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(Outcome::ClientGone);
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket")
            .field("id", &self.id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
