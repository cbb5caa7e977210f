//! Certificates that were taken back before their time.
//!
//! [`ReloadingClientAuth`] is what a door needs: it verifies clients' certificates against authorities and revocation
//! lists (RFC 5280, section 5) that are read again while the door stands open. New handshakes with a revoked certificate
//! fail; for connections that stand already there is [`RevocationLists::revoked`] and a channel that tells of new
//! lists.

mod client_auth;
mod error;
mod list;
mod lists;
mod reason;

use jiff::Timestamp;

pub use client_auth::{ClientTrust, ExpiredLists, ReloadingClientAuth};
pub use error::RevocationError;
pub use list::ListInfo;
pub use lists::RevocationLists;
pub use reason::{RevocationReason, UnknownReason};

use crate::SerialNumber;

/// One certificate that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number.
    pub serial: SerialNumber,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}
