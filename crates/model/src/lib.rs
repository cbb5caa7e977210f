//! What every door, decision and record speaks about: who asks ([`Identity`]), for what ([`KubeRequest`]),
//! what was decided ([`Decision`]) and what is written down ([`AuditEvent`]). And what several
//! programs have to read alike: a [`duration`], a [`GroupResource`], a [`label`], whose namespaces are whose ([`Teams`]).
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
pub mod duration;
mod group_resource;
mod identity;
pub mod label;
mod request;
mod teams;

pub use audit::{AuditClose, AuditEvent, AuditId, AuditOpen, Outcome};
pub use cluster::{ClusterName, InvalidClusterName};
pub use decision::{Decision, Denial, Grant};
pub use group_resource::{GroupResource, InvalidGroupResource};
pub use identity::{AuthMethod, Identity, InvalidIdentity, MAX_NAME_BYTES};
pub use request::{Interactive, InvalidRequest, KubeRequest, ResourceRequest, Verb, query};
pub use teams::{InvalidTeams, Teams, TeamsOfGroup};
