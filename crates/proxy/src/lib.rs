//! The one path that every request to a Kubernetes API takes, whatever door it came in by.
//!
//! A door finds out who asks and hands over an [`Inbound`]. Then, in this order and each in a module of its own:
//!
//! 1. [`sanitize`]: what of the request's head may pass at all;
//! 2. classify: what Kubernetes will take it for ([`mk8s_model::KubeRequest`]);
//! 3. [`decide`]: may they? Only an allowed request becomes a [`Permitted`], and only a [`Permitted`] can be forwarded;
//! 4. [`audit`]: written down before anything leaves, and again when it ended, however it ended;
//! 5. [`upstream`], [`reroute`] and [`rewrite`]: to which cluster and path, with which credentials, in which name;
//! 6. [`forward`]: over pooled HTTP/2, or HTTP/1.1 for upgrades; streamed both ways, replayed only where that is safe.
//!
//! What people ask about themselves is answered by both who decide ([`review`]).
//!
//! [`path`] puts them together and reads top to bottom. Doors contain no authorization; upstreams contain no policy.

pub mod audit;
pub mod credentials;
pub mod decide;
pub mod error;
mod extra;
pub mod forward;
pub mod lifetime;
pub mod path;
pub mod reroute;
mod review;
pub mod rewrite;
pub mod sanitize;
pub mod upgrade;
pub mod upstream;
mod within;

pub use audit::{AuditLog, AuditUnavailable};
pub use decide::{Authorizer, Caller, Permitted};
pub use extra::{Extra, InvalidExtra};
pub use path::{CredentialsRefused, Inbound, Proxy, Unreached};
pub use reroute::{InvalidReroute, Reroute};
pub use upgrade::Upgrade;
pub use upstream::{Clusters, Direct, OnlyCluster, Unroutable, Upstream};
pub use within::Switched;
