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
    #[serde(borrow)]
    pub user: Cow<'a, str>,
    /// Their groups.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        borrow,
        deserialize_with = "borrowed::each"
    )]
    pub groups: Vec<Cow<'a, str>>,
    /// From which address, without the port.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// With which program (`User-Agent`).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        borrow,
        deserialize_with = "borrowed::maybe"
    )]
    pub user_agent: Option<Cow<'a, str>>,
    /// Of which cluster; none for the gateway's own API.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        borrow,
        deserialize_with = "borrowed::maybe"
    )]
    pub cluster: Option<Cow<'a, str>>,
    /// The HTTP method.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// Path and query as they will be sent; for the gateway's own API, the path alone.
    #[serde(borrow)]
    pub uri: Cow<'a, str>,
    /// What Kubernetes calls it (`get`, `watch`, …); empty outside the Kubernetes API.
    #[serde(borrow)]
    pub verb: Cow<'a, str>,
    /// Resource and subresource (`pods/exec`), or empty.
    #[serde(borrow)]
    pub resource: Cow<'a, str>,
    /// The API group.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        borrow,
        deserialize_with = "borrowed::maybe"
    )]
    pub api_group: Option<Cow<'a, str>>,
    /// The namespace, if any.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        borrow,
        deserialize_with = "borrowed::maybe"
    )]
    pub namespace: Option<Cow<'a, str>>,
    /// The object's name, if any.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        borrow,
        deserialize_with = "borrowed::maybe"
    )]
    pub name: Option<Cow<'a, str>>,
    /// The rule that allowed it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        borrow,
        deserialize_with = "borrowed::maybe"
    )]
    pub rule: Option<Cow<'a, str>>,
    /// Why it was refused.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        borrow,
        deserialize_with = "borrowed::maybe"
    )]
    pub denied: Option<Cow<'a, str>>,
    /// The version of the policy that decided.
    pub policy_version: u64,
}

impl AuditEvent<'_> {
    /// The same with text of its own.
    pub fn into_owned(self) -> AuditEvent<'static> {
        AuditEvent {
            open: self.open.into_owned(),
            close: self.close,
        }
    }
}

impl AuditOpen<'_> {
    /// The same with text of its own.
    pub fn into_owned(self) -> AuditOpen<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        AuditOpen {
            id: self.id,
            at: self.at,
            user: owned(self.user),
            groups: self.groups.into_iter().map(owned).collect(),
            source: owned(self.source),
            user_agent: self.user_agent.map(owned),
            cluster: self.cluster.map(owned),
            method: owned(self.method),
            uri: owned(self.uri),
            verb: owned(self.verb),
            resource: owned(self.resource),
            api_group: self.api_group.map(owned),
            namespace: self.namespace.map(owned),
            name: self.name.map(owned),
            rule: self.rule.map(owned),
            denied: self.denied.map(owned),
            policy_version: self.policy_version,
        }
    }
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
    #[serde(borrow)]
    pub open: AuditOpen<'a>,
    /// What was known at the end; none while it runs.
    pub close: Option<AuditClose>,
}

/// Text that is read back without a copy of it. serde does so for a `Cow` alone, and not for one inside of something else.
mod borrowed {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer};

    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    pub(super) fn maybe<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'de, str>>, D::Error> {
        Ok(Option::<Text<'de>>::deserialize(from)?.map(|text| text.0))
    }

    pub(super) fn each<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Cow<'de, str>>, D::Error> {
        let texts = Vec::<Text<'de>>::deserialize(from)?;
        Ok(texts.into_iter().map(|text| text.0).collect())
    }
}
