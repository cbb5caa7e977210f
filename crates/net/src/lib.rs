//! What every program needs to speak HTTP: where to listen, on which thread, with which limits, how to stop, and how to
//! say no.
//!
//! * [`workers`]: one single-threaded runtime per core; connections are dealt out among them and never move.
//! * [`listen`], [`serve`]: accept, TLS, HTTP/1.1 or HTTP/2 by ALPN.
//! * [`drain`]: stop accepting, let requests end, then cut.
//! * [`body`]: one body type for the whole path, streamed and never collected.
//! * [`gather`]: join the pieces of a chatty stream.
//! * [`pace`]: a large stream gives way to small requests.
//! * [`link`]: HTTP/2 connections that we ask on, dialled by us or by the other side.
//! * [`upgrade`]: splice two upgraded connections.
//! * [`status`]: Kubernetes `Status` answers; [`problem`]: RFC 9457 answers.

pub mod body;
mod combine;
pub mod conceal;
pub mod drain;
pub mod gather;
pub mod link;
pub mod listen;
pub mod metrics;
pub mod pace;
pub mod problem;
pub mod serve;
mod severable;
pub mod status;
pub mod upgrade;
pub mod workers;

pub use body::{Body, BoxError};
