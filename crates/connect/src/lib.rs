//! How a program reaches an API server: with a pod's service account ([`in_cluster`]), by a kubeconfig ([`kubeconfig`]), or
//! by a mounted Secret ([`secret`]). Each gives a [`Target`], which becomes an upstream of the one path.
//!
//! Nothing is dialled here, and nothing is read but what is named: no variable of the environment, no default place. Nothing is run,
//! either, but a person's own credential plugin for a program that they started ([`plugin`], behind a feature).

#[cfg(feature = "client")]
mod client;
pub mod in_cluster;
pub mod kubeconfig;
pub mod plugin;
pub mod secret;
mod settings;
mod target;

#[cfg(feature = "client")]
pub use client::client;
pub use settings::{ConnectError, Settings};
pub use target::{Target, TargetError};
