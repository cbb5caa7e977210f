//! How a program reaches an API server: with a pod's service account ([`in_cluster`]), or by a kubeconfig
//! ([`kubeconfig`]). Either gives a [`Target`], which becomes an upstream of the one path.
//!
//! Nothing is dialled here, and nothing is read but what is named: no variable of the environment, no default place.

pub mod in_cluster;
pub mod kubeconfig;
mod target;

pub use target::{Target, TargetError};
