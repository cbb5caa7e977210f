//! What every door, decision and record speaks about: who asks ([`Identity`]), for what ([`KubeRequest`]),
//! what was decided ([`Decision`]) and what is written down ([`AuditEvent`]).
//!
//! Plain data: no I/O, no clock, no async runtime. Two invariants are kept by construction:
//!
//! * an [`Identity`] that came from outside never names a `system:` user or group, and never carries a character
//!   that could end a header;
//! * a [`KubeRequest`] is what the API server itself would make of the same method and URI; what the two could read
//!   differently (`..`, encoded slashes, control characters) has no `KubeRequest` and so can't be decided on.

mod audit;
mod cluster;
mod decision;
mod identity;
mod request;

pub use audit::{AuditClose, AuditEvent, AuditId, AuditOpen, Outcome};
pub use cluster::{ClusterName, InvalidClusterName};
pub use decision::{Decision, Denial, Grant};
pub use identity::{AuthMethod, Identity, InvalidIdentity, MAX_NAME_BYTES};
pub use request::{Interactive, InvalidRequest, KubeRequest, ResourceRequest, Verb, query};
