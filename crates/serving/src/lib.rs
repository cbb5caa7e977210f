//! The certificate that an extension of the API server serves (a webhook, an aggregated API), kept by its replicas, and the
//! caBundle by which the API server believes it.
//!
//! [`TlsSettings`] is what people say of it, [`Tls`] what it comes to, [`ServedCertificate`] the certificate in use. [`keep`] begins the
//! work: the replicas find a leader by a Lease, who makes authority and certificate, keeps them in a Secret that all follow,
//! and puts the authority wherever [`BundlesIn`] says.
//!
//! What holds:
//! - Whatever is served was in the caBundle before, and stays there as long as it may be served.
//! - Of other people's objects the caBundle alone is written, where it belongs to our Service, and only if nothing changed
//!   since it was read.
//! - Every write names the version that was read, and the caBundle is read before the Secret: a leader of yesterday undoes
//!   nothing.
//! - Clocks of replicas are never compared.

mod bundle;
mod election;
mod files;
mod keep;
mod keeper;
mod kept;
mod served;
mod settings;

use std::time::Duration;

pub use keep::{Keeping, keep};
pub use served::{ServedCertificate, derived_key};
pub use settings::{
    BundlesIn, Lease, LeaseSettings, Lifetimes, Place, SelfMade, SettingsError, Tls, TlsMode, TlsSettings,
    own_namespace,
};

/// How long one call of the API server may take.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);
