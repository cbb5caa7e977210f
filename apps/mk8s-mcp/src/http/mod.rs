//! `mk8s-mcp serve`: for many people at once, over streamable HTTP.
//!
//! Read on in the order of start-up: [`config`], [`serve`] (the wiring). A request meets [`door`], then [`people`] (who asks: by an
//! OAuth token, or nobody is asked), then crates/mcp. The cluster is asked in [`cluster`]: as ourselves, or as each user.

mod cluster;
pub(crate) mod config;
pub(crate) mod door;
pub(crate) mod metrics;
pub(crate) mod people;
mod serve;

pub(crate) use serve::run;
