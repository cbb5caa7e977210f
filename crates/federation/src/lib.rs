//! Cluster API (`cluster.x-k8s.io`) clusters of a management cluster, as clusters that an agent may name.
//!
//! ```text
//!            Federation : Clusters
//!  management ──────────────► the management cluster, as its user           (somebody else's `Clusters`)
//!  team-a.prod ─► Cluster prod in team-a, with the user's own rights        (capi, discovery)
//!              ─► Secret prod-kubeconfig, theirs too unless set otherwise   (secret)
//!              ─► kept for this user, this token, for a while               (ways)
//!              ─► the one path, Impersonate-User/-Group/-Extra-* ─► team-a's prod
//! ```
//!
//! Invariants:
//!
//! * a workload cluster's name says its namespace, always: what it means depends on nothing that anybody may change, and two
//!   clusters of one name aren't mixed up ([`names`]);
//! * whoever may not see a Cluster object, or not read its Secret, has no way to the cluster, whoever else has one; what is kept is
//!   kept for one identity and one proof of it, and ends with that proof ([`ways`]);
//! * which of the two it was, or that a Secret can't be used, is told to nobody but our log;
//! * a Secret's kubeconfig runs nothing, reads no file, and trusts nobody blindly ([`mk8s_connect::kubeconfig::from_text`]);
//! * on a workload cluster nobody speaks as the kubeconfig's user: each request is in the name of the identity that the door
//!   validated, which can't be a `system:` one ([`mk8s_model::Identity`]).

mod capi;
mod discovery;
mod federation;
mod management;
mod names;
mod secret;
mod settings;
mod ways;

pub use federation::Federation;
pub use management::Management;
pub use settings::{CacheSettings, CredentialMode, InvalidSettings, Namespace, RbacSettings, Settings};
