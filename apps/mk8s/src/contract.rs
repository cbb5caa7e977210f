//! What central's endpoints take and give. Fields that we don't know are ignored: central may be newer than we are.

use std::time::Duration;

use mk8s_model::ClusterName;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::output::{duration, plain};

/// `POST /auth/login`.
#[derive(Debug, Serialize)]
pub(crate) struct LoginRequest<'a> {
    pub(crate) email: &'a str,
    #[serde(serialize_with = "exposed")]
    pub(crate) password: &'a SecretString,
}

/// `POST /auth/refresh` and `POST /auth/logout`.
#[derive(Debug, Serialize)]
pub(crate) struct RefreshRequest<'a> {
    #[serde(serialize_with = "exposed")]
    pub(crate) refresh_token: &'a SecretString,
}

/// The answer to a login and to a refresh.
#[derive(Debug, Deserialize)]
pub(crate) struct Tokens {
    /// The bearer token.
    pub(crate) token: SecretString,
    /// Seconds that the token lives from when it was sent. This, not `expires_at`, is what we go by: see [`crate::clock`].
    pub(crate) expires_in: u64,
    /// Buys the next pair of tokens, once.
    pub(crate) refresh_token: SecretString,
    /// When the session ends unless it is refreshed, by central's clock.
    #[serde(default)]
    pub(crate) refresh_expires_at: Option<String>,
}

/// `GET /auth/whoami`.
#[derive(Debug, Deserialize)]
pub(crate) struct WhoAmI {
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    #[serde(default)]
    pub(crate) clusters: Vec<ClusterPermissions>,
}

/// What the user may do on one cluster, a line per rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ClusterPermissions {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) permissions: Vec<String>,
}

/// `GET /clusters`.
#[derive(Debug, Deserialize)]
pub(crate) struct ClusterList {
    pub(crate) clusters: Vec<Cluster>,
}

/// A cluster that the user may reach.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) name: ClusterName,
    /// `connected` or `disconnected`.
    pub(crate) status: String,
    /// When its agent was last heard of, RFC 3339.
    #[serde(default)]
    pub(crate) last_seen: Option<String>,
    #[serde(default)]
    pub(crate) kubernetes_version: Option<String>,
}

impl Cluster {
    /// Whether requests to it have a way.
    pub(crate) fn is_connected(&self) -> bool {
        self.status == "connected"
    }
}

/// `application/problem+json` (RFC 9457), with our `hint`.
#[derive(Debug, Default, Clone, Deserialize)]
pub(crate) struct Problem {
    #[serde(default)]
    pub(crate) title: Option<String>,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) hint: Option<String>,
    /// From the `Retry-After` header, in seconds.
    #[serde(skip)]
    pub(crate) retry_after: Option<Duration>,
}

impl Problem {
    /// One line of what central said.
    pub(crate) fn line(&self, status: StatusCode) -> String {
        let said = self
            .detail
            .as_deref()
            .or(self.title.as_deref())
            .map(plain)
            .filter(|said| !said.is_empty());
        let said = said.unwrap_or_else(|| format!("central answered {status}"));
        said.strip_suffix('.').map(str::to_owned).unwrap_or(said)
    }

    /// What central says to do, and when.
    pub(crate) fn advice(&self) -> Option<String> {
        let hint = self.hint.as_deref().map(plain).filter(|hint| !hint.is_empty());
        let wait = self
            .retry_after
            .map(|wait| format!("try again in {}", duration(wait.as_secs())));
        match (hint, wait) {
            (Some(hint), Some(wait)) => Some(format!("{hint} ({wait})")),
            (hint, wait) => hint.or(wait),
        }
    }
}

/// Writes a secret where it belongs: into a request body or into the credentials file.
pub(crate) fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
