//! Sending a permitted request to its cluster.

mod account;
mod replay;
mod upgrade;

pub(crate) use account::Accounted;
pub(crate) use replay::{Outbound, OutboundBody, send};
pub(crate) use upgrade::{OutboundUpgrade, Switched, Upgraded, send_upgrade};
