//! What is written down of every request: one [`AuditOpen`] before anything is forwarded, one [`AuditClose`] when the
//! last byte went, failed to go, or nobody wanted it any more. Together they are an [`AuditEvent`].

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An event's id, also sent to the API server as `Audit-ID`, so that its own audit log names the same request
/// (`k8s.io/apiserver/pkg/endpoints/filters/audit_init.go`). UUID version 7: ids sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuditId(pub Uuid);

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The first half of an event: known before anything is forwarded. It borrows from the request it describes, so that
/// writing it down copies nothing twice; read back, it owns its text (`AuditOpen<'static>`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditOpen<'a> {
    /// The event.
    pub id: AuditId,
    /// When the request came in.
    pub at: Timestamp,
    /// Who asked; empty if that could not be found out.
    pub user: Cow<'a, str>,
    /// Their groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Cow<'a, str>>,
    /// From which address, without the port.
    pub source: Cow<'a, str>,
    /// With which program (`User-Agent`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Cow<'a, str>>,
    /// Of which cluster; none for the gateway's own API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cow<'a, str>>,
    /// The HTTP method.
    pub method: Cow<'a, str>,
    /// Path and query as they will be sent; for the gateway's own API, the path alone.
    pub uri: Cow<'a, str>,
    /// What Kubernetes calls it (`get`, `watch`, …); empty outside the Kubernetes API.
    pub verb: Cow<'a, str>,
    /// Resource and subresource (`pods/exec`), or empty.
    pub resource: Cow<'a, str>,
    /// The API group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<Cow<'a, str>>,
    /// The namespace, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Cow<'a, str>>,
    /// The object's name, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// The rule that allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'a, str>>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Cow<'a, str>>,
    /// The version of the policy that decided.
    pub policy_version: u64,
}

/// The second half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditClose {
    /// The event it closes.
    pub id: AuditId,
    /// The HTTP status answered; 0 if none was.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// From the first byte of the request to the end, in milliseconds.
    pub duration_ms: u64,
    /// Bytes of the answer's body.
    pub bytes_sent: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Answered to the last byte.
    Complete,
    /// The client went away before the end.
    ClientGone,
    /// The upstream broke off, or could not be reached.
    UpstreamFailed,
    /// Refused by policy or as malformed; nothing was forwarded.
    Refused,
    /// Cut by us: the identity expired or was revoked, or we shut down.
    Ended,
    /// The process died in the middle; concluded from an open without a close.
    Interrupted,
}

impl Outcome {
    /// The word used in rows, logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client-gone",
            Self::UpstreamFailed => "upstream-failed",
            Self::Refused => "refused",
            Self::Ended => "ended",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A whole event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent<'a> {
    /// What was known at the start.
    pub open: AuditOpen<'a>,
    /// What was known at the end; none while it runs.
    pub close: Option<AuditClose>,
}
