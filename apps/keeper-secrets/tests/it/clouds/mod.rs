//! The application's configuration in clouds' stores, asked for by the clouds' own SDKs.
//!
//! The SDKs are unmodified, and call the clouds' real names: HTTPS_PROXY leads them to this machine ([`internet`]), where a test's own
//! certificate authority vouches for those names. What each asks for is checked, and answered as the cloud documents it. The
//! configuration that comes back is good for a Keeper Secrets Manager server of the test ([`program`]), so that a record that is
//! written proves all of it.

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcp")]
mod gcp;
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
#[cfg_attr(
    not(all(feature = "aws", feature = "gcp", feature = "azure")),
    allow(dead_code, reason = "each cloud needs a part of it")
)]
mod internet;
#[cfg(feature = "aws")]
mod pod_identity;
#[cfg_attr(
    not(all(feature = "aws", feature = "gcp", feature = "azure")),
    allow(dead_code, reason = "each cloud needs a part of it")
)]
mod program;
#[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
mod without;
