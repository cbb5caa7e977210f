//! Tokens with which Kubernetes is asked in a user's own name.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{Exchange, Issuer, Settings, TokenDigest, Verified, exchange::ExchangeSettings, url::Taken};

/// Gets a token for Kubernetes that is of the same user.
#[async_trait]
pub trait KubernetesTokens: Send + Sync {
    /// For a user whose bearer token was verified.
    async fn token(&self, user: &Verified, bearer: &SecretString) -> Result<SecretString, NoToken>;

    /// Kubernetes didn't take what [`KubernetesTokens::token`] gave: it isn't given again.
    async fn forget(&self, user: &Verified);
}

/// Why there is no token for Kubernetes. No token is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// The token endpoint was asked, and says no.
    #[error("the identity provider gives no token for Kubernetes ({code}); {remedy}")]
    Refused {
        /// By which error of RFC 6749 section 5.2 or RFC 8693 section 2.2.2.
        code: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The token endpoint can't be asked.
    #[error("no token for Kubernetes can be fetched now ({0}); try again soon")]
    Unavailable(String),
    /// It gives what can't be used.
    #[error("the identity provider's token for Kubernetes can't be used: {0}")]
    Unusable(&'static str),
    /// What we prove ourselves by there can't be read.
    #[error("this server can't prove itself to the identity provider: {0}")]
    Credentials(String),
    /// The user's own token isn't for Kubernetes too.
    #[error(
        "the token's audiences do not include Kubernetes' ({0}); have the issuer add it, or exchange tokens instead"
    )]
    NotForKubernetes(Arc<str>),
    /// A mistake in this program: the two things handed over don't belong together.
    #[error("the token is not the one that was verified")]
    NotTheSame,
}

impl NoToken {
    /// Whether the same may go well later, with nothing changed.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// How users' tokens become Kubernetes': by one of the two.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum KubernetesSettings {
    /// The issuer exchanges them.
    Exchange(ExchangeSettings),
    /// They are passed on as they are.
    PassThrough(PassThroughSettings),
}

/// Settings of [`PassThrough`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PassThroughSettings {
    audience: Arc<str>,
    #[serde(default)]
    i_accept_that_mcp_forbids_this: bool,
}

/// Passes a user's own token on to Kubernetes.
///
/// Not conformant: MCP's specification forbids a server to pass on the tokens it was sent, because whoever is next then can't tell
/// it from the user's client, and a stolen token opens both. It is for issuers that exchange nothing, and must be asked for by
/// a setting that says so. Even then only a token whose audiences include Kubernetes' beside ours is passed on.
#[derive(Clone, Debug)]
pub struct PassThrough {
    audience: Arc<str>,
}

/// What the settings ask for; nothing if users' tokens aren't to become Kubernetes'.
pub fn kubernetes_tokens(settings: &Settings, issuer: &Arc<Issuer>) -> Option<Arc<dyn KubernetesTokens>> {
    Some(match settings.kubernetes()? {
        KubernetesSettings::Exchange(exchange) => {
            Arc::new(Exchange::new(exchange, settings, Arc::clone(issuer)))
        }
        KubernetesSettings::PassThrough(settings) => Arc::new(PassThrough {
            audience: Arc::clone(&settings.audience),
        }),
    })
}

impl KubernetesSettings {
    pub(crate) fn check(&self, taken: Taken) -> Result<(), (&'static str, &'static str)> {
        match self {
            Self::Exchange(exchange) => exchange.check(taken),
            Self::PassThrough(settings) if settings.audience.is_empty() => Err((
                "kubernetes.passThrough.audience",
                "is empty; write one that the API server takes",
            )),
            Self::PassThrough(settings) if !settings.i_accept_that_mcp_forbids_this => Err((
                "kubernetes.passThrough",
                "is against MCP's specification; use kubernetes.exchange, or set iAcceptThatMcpForbidsThis: true",
            )),
            Self::PassThrough(_) => Ok(()),
        }
    }
}

#[async_trait]
impl KubernetesTokens for PassThrough {
    async fn token(&self, user: &Verified, bearer: &SecretString) -> Result<SecretString, NoToken> {
        check_same(user, bearer)?;
        if !user.audiences.contains(&self.audience) {
            return Err(NoToken::NotForKubernetes(Arc::clone(&self.audience)));
        }
        Ok(bearer.clone())
    }

    async fn forget(&self, _user: &Verified) {}
}

/// Whether the token is the one that the user was verified by.
pub(crate) fn check_same(user: &Verified, bearer: &SecretString) -> Result<(), NoToken> {
    if TokenDigest::of(bearer.expose_secret()) == user.token_digest {
        Ok(())
    } else {
        Err(NoToken::NotTheSame)
    }
}
