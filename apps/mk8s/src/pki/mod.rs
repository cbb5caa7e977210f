//! The directory of a certificate authority of one's own: its certificate and key, what it issued, and the list of what
//! was taken back.

mod index;
mod names;
mod store;

pub(crate) use index::{Entry, Index, Kind, Revocation, State};
pub(crate) use names::{file_stem, is_label, is_subdomain, service_names};
pub(crate) use store::{Store, failure};
