//! What a program's configuration file says of tokens.

use std::{path::PathBuf, sync::Arc, time::Duration};

use mk8s_model::duration;
use reqwest::Url;
use serde::Deserialize;

use crate::{
    Algorithm, Scope,
    broker::KubernetesSettings,
    kept::Lifetimes,
    url::{Taken, is_canonical},
};

/// Whose tokens are taken, and what of them. What is written wrong is an error of one line.
///
/// ```yaml
/// issuer: https://login.example.com/realm
/// resource: https://mcp.example.com/mcp
/// requiredScopes: [mcp:read]
/// username: {claim: email, prefix: ''}
/// groups: {claim: groups, prefix: 'oidc:'}
/// kubernetes:
///   exchange:
///     audience: https://kubernetes.default.svc
///     client: {secret: {id: mcp, file: /etc/mcp/client-secret}}
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    pub(crate) issuer: Identifier,
    pub(crate) resource: Identifier,
    /// Those that every token must have.
    pub(crate) required_scopes: Arc<[Scope]>,
    /// Those that there are.
    pub(crate) supported_scopes: Arc<[Scope]>,
    pub(crate) algorithms: Arc<[Algorithm]>,
    pub(crate) username: MappedClaim,
    pub(crate) groups: Option<MappedClaim>,
    pub(crate) rules: Rules,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) timeout: Duration,
    pub(crate) taken: Taken,
    pub(crate) resource_name: Option<String>,
    pub(crate) resource_documentation: Option<Url>,
    pub(crate) kubernetes: Option<KubernetesSettings>,
}

/// A URL that is somebody's name: compared as it is written, fetched as it is parsed.
#[derive(Clone, Debug)]
pub(crate) struct Identifier {
    pub(crate) text: Arc<str>,
    pub(crate) url: Url,
}

/// A claim that becomes a name for Kubernetes, as the API server's structured authentication has it.
#[derive(Clone, Debug)]
pub(crate) struct MappedClaim {
    /// The claim's name.
    pub(crate) claim: String,
    /// What is put before its value.
    pub(crate) prefix: String,
}

/// What is asked of a token beside its signature, issuer and audience.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Duration,
    pub(crate) require_at_jwt: bool,
    pub(crate) id_token_claims: Vec<String>,
    pub(crate) authorized_parties: Vec<String>,
}

/// Why settings can't be used: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {reason}")]
pub struct SettingsError {
    setting: &'static str,
    reason: String,
}

/// The file's own form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    /// The issuer identifier, as its discovery document and its tokens have it.
    issuer: String,
    /// What we are called: the `aud` of tokens that are for us.
    resource: String,
    #[serde(default)]
    required_scopes: Vec<Scope>,
    #[serde(default)]
    supported_scopes: Vec<Scope>,
    #[serde(default = "all_algorithms")]
    algorithms: Vec<Algorithm>,
    #[serde(default = "subject")]
    username: WrittenClaim,
    groups: Option<WrittenClaim>,
    #[serde(default = "leeway", deserialize_with = "duration::or_none")]
    leeway: Duration,
    #[serde(default = "max_lifetime", deserialize_with = "duration::positive")]
    max_lifetime: Duration,
    /// Only what calls itself an access token (RFC 9068) is taken.
    #[serde(default)]
    require_at_jwt: bool,
    /// Claims by which an id token gives itself away, where the header doesn't say.
    #[serde(default = "id_token_claims")]
    id_token_claims: Vec<String>,
    /// The clients whose tokens are taken, by `azp` or `client_id`; if empty, any.
    #[serde(default)]
    authorized_parties: Vec<String>,
    /// The authorities that the issuer's certificate must come from, instead of the system's.
    ca_file: Option<PathBuf>,
    #[serde(default)]
    keys: WrittenLifetimes,
    #[serde(default = "timeout", deserialize_with = "duration::positive")]
    timeout: Duration,
    #[serde(default)]
    allow_loopback_http: bool,
    resource_name: Option<String>,
    resource_documentation: Option<String>,
    kubernetes: Option<KubernetesSettings>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenClaim {
    claim: String,
    prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct WrittenLifetimes {
    #[serde(deserialize_with = "duration::positive")]
    refresh: Duration,
    #[serde(deserialize_with = "duration::positive")]
    min_interval: Duration,
    #[serde(deserialize_with = "duration::positive")]
    keep: Duration,
}

impl Default for WrittenLifetimes {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(15 * 60),
            min_interval: Duration::from_secs(10),
            keep: Duration::from_secs(24 * 60 * 60),
        }
    }
}

fn all_algorithms() -> Vec<Algorithm> {
    Algorithm::ALL.to_vec()
}

/// Names of an issuer that share nothing with those of another way in.
fn subject() -> WrittenClaim {
    WrittenClaim {
        claim: "sub".to_owned(),
        prefix: Some("oidc:".to_owned()),
    }
}

fn leeway() -> Duration {
    Duration::from_secs(60)
}

fn max_lifetime() -> Duration {
    Duration::from_secs(24 * 60 * 60)
}

fn timeout() -> Duration {
    Duration::from_secs(5)
}

fn id_token_claims() -> Vec<String> {
    ["at_hash", "c_hash", "s_hash", "nonce"]
        .map(str::to_owned)
        .to_vec()
}

impl Settings {
    /// What we are called: the audience of tokens for us.
    pub fn resource(&self) -> &str {
        &self.resource.text
    }

    /// The issuer whose tokens are taken.
    pub fn issuer(&self) -> &str {
        &self.issuer.text
    }

    /// The scopes that every token must have.
    pub fn required_scopes(&self) -> &[Scope] {
        &self.required_scopes
    }

    /// How users become known to Kubernetes, if they are to be by tokens of their own.
    pub fn kubernetes(&self) -> Option<&KubernetesSettings> {
        self.kubernetes.as_ref()
    }
}

impl TryFrom<Written> for Settings {
    type Error = SettingsError;

    fn try_from(written: Written) -> Result<Self, SettingsError> {
        let taken = if written.allow_loopback_http {
            Taken::HttpsAndLoopback
        } else {
            Taken::Https
        };
        let issuer = Identifier::read("issuer", written.issuer, taken)?;
        let resource = Identifier::read("resource", written.resource, taken)?;
        if !is_canonical(&resource.text, &resource.url) {
            let reason = format!("must be written as everybody writes it; write {}", resource.url);
            return Err(refused("resource", reason));
        }
        if written.algorithms.is_empty() {
            return Err(refused(
                "algorithms",
                "is empty, so no token could be good; leave it out for all",
            ));
        }
        if written.leeway > Duration::from_secs(5 * 60) {
            return Err(refused(
                "leeway",
                "is more than 5m; set the clocks by NTP instead",
            ));
        }
        let resource_documentation = written
            .resource_documentation
            .map(|text| taken.check(&text))
            .transpose()
            .map_err(|reason| refused("resourceDocumentation", reason))?;
        if let Some(kubernetes) = &written.kubernetes {
            kubernetes
                .check(taken)
                .map_err(|(setting, reason)| refused(setting, reason))?;
        }
        let mut supported = written.supported_scopes;
        for scope in &written.required_scopes {
            if !supported.contains(scope) {
                supported.push(scope.clone());
            }
        }
        Ok(Self {
            issuer,
            resource,
            required_scopes: written.required_scopes.into(),
            supported_scopes: supported.into(),
            algorithms: written.algorithms.into(),
            username: written.username.checked("username")?,
            groups: written
                .groups
                .map(|groups| groups.checked("groups"))
                .transpose()?,
            rules: Rules {
                leeway: written.leeway,
                max_lifetime: written.max_lifetime,
                require_at_jwt: written.require_at_jwt,
                id_token_claims: written.id_token_claims,
                authorized_parties: written.authorized_parties,
            },
            ca_file: written.ca_file,
            lifetimes: written.keys.checked()?,
            timeout: written.timeout,
            taken,
            resource_name: written.resource_name,
            resource_documentation,
            kubernetes: written.kubernetes,
        })
    }
}

impl Identifier {
    fn read(setting: &'static str, text: String, taken: Taken) -> Result<Self, SettingsError> {
        let url = taken
            .check_identifier(&text)
            .map_err(|reason| refused(setting, reason))?;
        Ok(Self {
            text: text.into(),
            url,
        })
    }
}

impl WrittenClaim {
    fn checked(self, setting: &'static str) -> Result<MappedClaim, SettingsError> {
        if self.claim.is_empty() {
            return Err(refused(setting, "has an empty claim; name one, as sub or email"));
        }
        // It must be said, be it empty: without one an issuer may name anybody.
        let prefix = self.prefix.ok_or_else(|| {
            refused(
                setting,
                "has no prefix; write one that only this issuer's names have, as 'oidc:', or '' for none",
            )
        })?;
        Ok(MappedClaim {
            claim: self.claim,
            prefix,
        })
    }
}

impl WrittenLifetimes {
    fn checked(self) -> Result<Lifetimes, SettingsError> {
        if self.keep < self.refresh {
            return Err(refused(
                "keys.keep",
                "is shorter than keys.refresh; make it longer",
            ));
        }
        Ok(Lifetimes {
            refresh: self.refresh,
            min_interval: self.min_interval,
            keep: self.keep,
        })
    }
}

fn refused(setting: &'static str, reason: impl Into<String>) -> SettingsError {
    SettingsError {
        setting,
        reason: reason.into(),
    }
}
