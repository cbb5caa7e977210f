//! What the tests stand on: real clusters, the real programs, and ways to look at both.
//!
//! * [`cluster`]: Kubernetes clusters made by `tools/devcluster`; one with a node is shared by a whole test run, and each test
//!   gets a [`Namespace`] of its own in it.
//! * [`gateway`]: `mk8s-central`, `mk8s-agent` and a logged-in `mk8s`, as processes, behind a cluster.
//! * [`sidecar`]: `mca-proxy` as a process, with the files that it has in a pod.
//! * [`front_proxy`] and [`aggregated`]: `mk8s-front-proxy` and `mk8s-apiserver` as processes, with what a cluster needs of them.
//! * [`kubectl`]: the real client, with a kubeconfig; [`terminal`]: the same on a terminal that can be resized.
//! * [`raw`]: HTTP/1.1 byte by byte over TLS, and [`http2`]: HTTP/2 frame by frame, for what a well-behaved peer would never
//!   send; [`pki`]: certificates for both sides.
//! * [`pod`]: pods of a test, and the ordinary clients of several languages in them.
//! * [`postgres`]: a PostgreSQL server, shared by a whole test run, and a database in it for each test.
//! * [`ksm`]: a Keeper Secrets Manager server, with a vault to fill and faults to ask for.
//! * [`oidc`]: an OpenID provider, for people who sign in and tokens that are exchanged.
//! * [`program`], [`command`]: processes that are watched, and ended whatever happens to the test.
//!
//! Nothing here skips: what is missing on the machine is a failure with a line that says what to install. And as in any test,
//! what goes wrong is a panic.

pub mod aggregated;
pub mod cluster;
pub mod command;
pub mod front_proxy;
pub mod gateway;
pub mod http2;
pub mod ksm;
pub mod kubectl;
pub mod oidc;
pub mod pki;
pub mod pod;
pub mod postgres;
pub mod program;
pub mod raw;
pub mod sidecar;
pub mod terminal;
pub mod wait;
pub mod workspace;

pub use aggregated::Aggregated;
pub use cluster::{AuditLog, Cluster, Namespace};
pub use command::Ran;
pub use front_proxy::FrontProxy;
pub use gateway::{Gateway, User};
pub use ksm::KsmServer;
pub use kubectl::Kubectl;
pub use oidc::{Oidc, OidcSettings};
pub use pki::Pki;
pub use pod::InPod;
pub use program::Program;
pub use sidecar::Sidecar;
pub use wait::{eventually, soon, within};
