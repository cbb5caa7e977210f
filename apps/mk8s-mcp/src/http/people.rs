//! Who asks.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderMap;
use jiff::Timestamp;
use mk8s_mcp_core::principal::Principal;
use mk8s_model::{AuthMethod, Identity, InvalidIdentity};
use mk8s_oauth::{Challenge, Issuer, Verified, Verifier};
use secrecy::SecretString;

/// What those who come are called whom nobody asks.
const ANYBODY: &str = "anybody";

/// Finds out who asks.
pub(crate) enum People {
    /// Nobody is asked.
    Anybody(Identity),
    /// By their tokens.
    Known {
        verifier: Box<Verifier>,
        issuer: Arc<Issuer>,
    },
}

/// What is known of somebody who came with a token, for whoever asks clusters in their name.
pub(crate) struct Known {
    pub(crate) verified: Verified,
    pub(crate) bearer: SecretString,
}

impl People {
    /// Nobody is asked.
    pub(crate) fn anybody() -> Result<Self, InvalidIdentity> {
        Identity::new(ANYBODY, [""; 0], AuthMethod::Anybody).map(Self::Anybody)
    }

    /// Who sends this, or what to answer instead.
    pub(crate) async fn principal(
        &self,
        headers: &HeaderMap,
        source: IpAddr,
    ) -> Result<Principal, Box<Challenge>> {
        match self {
            Self::Anybody(identity) => Ok(Principal {
                identity: identity.clone(),
                source,
                until: None,
                proof: None,
                held: None,
            }),
            Self::Known { verifier, .. } => {
                let (bearer, verified) = verifier.authenticate(headers).await.map_err(Box::new)?;
                Ok(Principal {
                    identity: verified.identity.clone(),
                    source,
                    until: Some(instant(verified.expires)),
                    proof: Some(verified.token_digest.to_bytes()),
                    held: Some(Arc::new(Known { verified, bearer })),
                })
            }
        }
    }

    /// Why nobody could be let in now.
    pub(crate) async fn objection(&self) -> Option<String> {
        match self {
            Self::Anybody(_) => None,
            Self::Known { issuer, .. } => {
                let error = issuer.ready().await.err()?;
                Some(format!("the issuer's keys can't be fetched: {error}"))
            }
        }
    }
}

/// The same moment by the clock that never goes back.
fn instant(at: Timestamp) -> Instant {
    let left = at.duration_since(Timestamp::now());
    Instant::now() + Duration::try_from(left).unwrap_or_default()
}
