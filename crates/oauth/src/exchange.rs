//! Token exchange (RFC 8693): for a user's token, which is for us, one that is for Kubernetes.

mod answer;
mod client;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;
use mk8s_model::duration;
use moka::{Expiry, future::Cache};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tracing::debug;

use crate::{
    Issuer, KubernetesTokens, NoToken, Scope, Settings, TokenDigest, Verified,
    broker::check_same,
    clock::{age, earlier, later},
    scope::joined,
    url::Taken,
};
use client::{ClientSettings, Prover};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The largest answer taken, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// For how long a failure is the answer to all who ask alike.
const FAILURE: Duration = Duration::from_secs(1);

/// Where and how tokens are exchanged.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExchangeSettings {
    /// What Kubernetes is called: an audience that its API server takes.
    audience: Arc<str>,
    /// The same as a resource indicator, for endpoints that ask for it.
    resource: Option<String>,
    #[serde(default)]
    scopes: Vec<Scope>,
    #[serde(default)]
    requested_token_type: TokenType,
    /// Another endpoint than the issuer's own.
    token_endpoint: Option<String>,
    client: ClientSettings,
    /// How long before its end a token isn't given any more.
    #[serde(default = "leeway", deserialize_with = "duration::or_none")]
    leeway: Duration,
    /// How many tokens are kept.
    #[serde(default = "cache_entries")]
    cache_entries: u64,
}

/// RFC 8693 section 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TokenType {
    #[default]
    AccessToken,
    IdToken,
    Jwt,
}

/// Exchanges tokens, and keeps what it got until it ends.
///
/// A token is kept under its user, their issuer and the digest of the very token that it was given for, so nobody gets another's;
/// it is given as long as both are good. Of those who ask for the same at once, one asks the endpoint. Failures are kept for
/// a second.
pub struct Exchange {
    settings: ExchangeSettings,
    prover: Prover,
    /// As it is written and parsed; absent: the issuer's own.
    token_endpoint: Option<Url>,
    issuer: Arc<Issuer>,
    cache: Cache<Key, Arc<Kept>>,
}

/// Whose token, for whom.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    issuer: Arc<str>,
    subject: Arc<str>,
    token: TokenDigest,
    audience: Arc<str>,
}

struct Kept {
    outcome: Result<SecretString, NoToken>,
    /// Not given from here on.
    until: Timestamp,
    /// The same as the cache counts.
    lifetime: Duration,
}

/// Has the cache drop what isn't given any more.
struct ByLifetime;

fn leeway() -> Duration {
    Duration::from_secs(30)
}

fn cache_entries() -> u64 {
    10_000
}

impl ExchangeSettings {
    pub(crate) fn check(&self, taken: Taken) -> Result<(), (&'static str, &'static str)> {
        if self.audience.is_empty() {
            return Err((
                "kubernetes.exchange.audience",
                "is empty; write one that the API server takes",
            ));
        }
        for (setting, url) in [
            ("kubernetes.exchange.tokenEndpoint", &self.token_endpoint),
            ("kubernetes.exchange.resource", &self.resource),
        ] {
            if let Some(Err(reason)) = url.as_ref().map(|url| taken.check(url)) {
                return Err((setting, reason));
            }
        }
        Ok(())
    }
}

impl TokenType {
    fn urn(self) -> &'static str {
        match self {
            Self::AccessToken => ACCESS_TOKEN,
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
        }
    }
}

impl Exchange {
    /// With a client of the issuer's, as the settings say, which were checked as a whole.
    pub(crate) fn new(exchange: &ExchangeSettings, settings: &Settings, issuer: Arc<Issuer>) -> Self {
        let token_endpoint = exchange.token_endpoint.as_deref();
        Self {
            prover: Prover::new(&exchange.client),
            token_endpoint: token_endpoint.and_then(|text| settings.taken.check(text).ok()),
            issuer,
            cache: Cache::builder()
                .max_capacity(exchange.cache_entries)
                .expire_after(ByLifetime)
                .build(),
            settings: exchange.clone(),
        }
    }

    fn key(&self, user: &Verified) -> Key {
        Key {
            issuer: Arc::clone(&user.issuer),
            subject: Arc::clone(&user.subject),
            token: user.token_digest,
            audience: Arc::clone(&self.settings.audience),
        }
    }

    async fn ask_and_keep(&self, user: &Verified, bearer: &SecretString) -> Arc<Kept> {
        let outcome = self.ask(user, bearer).await;
        let now = (self.issuer.clock)();
        let (outcome, until) = match outcome {
            Ok(granted) => {
                // What doesn't say when it ends is used once.
                let ends = granted.expires.map_or(now, |expires| expires.min(user.expires));
                (Ok(granted.token), earlier(ends, self.settings.leeway))
            }
            Err(error) => {
                debug!(subject = %user.subject, %error, "no token for Kubernetes");
                (Err(error), later(now, FAILURE))
            }
        };
        Arc::new(Kept {
            outcome,
            until,
            lifetime: age(now, until).unwrap_or_default(),
        })
    }

    async fn ask(&self, user: &Verified, bearer: &SecretString) -> Result<answer::Granted, NoToken> {
        let unavailable = |error: crate::FetchError| NoToken::Unavailable(error.to_string());
        let own = match &self.token_endpoint {
            Some(_) => None,
            None => self
                .issuer
                .discovery
                .description()
                .await
                .map_err(unavailable)?
                .token_endpoint
                .clone(),
        };
        let endpoint = self.token_endpoint.as_ref().or(own.as_ref()).ok_or_else(|| {
            NoToken::Unavailable(
                "the issuer names no token endpoint; set kubernetes.exchange.tokenEndpoint".to_owned(),
            )
        })?;
        // Who exchanges tokens is called by the issuer's identifier; a mere endpoint, by its URL.
        let audience = match &self.token_endpoint {
            Some(endpoint) => endpoint.as_str(),
            None => self.issuer.discovery.issuer(),
        };
        let proof = self.prover.proof(audience, (self.issuer.clock)())?;
        let scopes = joined(&self.settings.scopes);
        let mut form = vec![
            ("grant_type", GRANT),
            ("subject_token", bearer.expose_secret()),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", self.settings.requested_token_type.urn()),
            ("audience", &self.settings.audience),
        ];
        form.extend(
            self.settings
                .resource
                .as_deref()
                .map(|resource| ("resource", resource)),
        );
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        form.extend(
            proof
                .fields
                .iter()
                .map(|(name, value)| (*name, value.expose_secret())),
        );
        let answered = self
            .issuer
            .client
            .post(endpoint, proof.authorization, &form, MAX_BYTES)
            .await;
        let (status, body) = answered.map_err(unavailable)?;
        let asked = answer::Asked {
            subject: &user.subject,
            audience: &self.settings.audience,
            token_type: self.settings.requested_token_type,
            now: (self.issuer.clock)(),
        };
        answer::read(status, &body, &asked)
    }
}

#[async_trait]
impl KubernetesTokens for Exchange {
    async fn token(&self, user: &Verified, bearer: &SecretString) -> Result<SecretString, NoToken> {
        check_same(user, bearer)?;
        let now = (self.issuer.clock)();
        let is_over = |kept: &Arc<Kept>| kept.until <= now;
        let ask = Box::pin(self.ask_and_keep(user, bearer));
        let entry = self
            .cache
            .entry(self.key(user))
            .or_insert_with_if(ask, is_over)
            .await;
        entry.into_value().outcome.clone()
    }

    async fn forget(&self, user: &Verified) {
        self.cache.invalidate(&self.key(user)).await;
    }
}

impl Expiry<Key, Arc<Kept>> for ByLifetime {
    fn expire_after_create(&self, _: &Key, kept: &Arc<Kept>, _: Instant) -> Option<Duration> {
        Some(kept.lifetime)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        kept: &Arc<Kept>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.lifetime)
    }
}
