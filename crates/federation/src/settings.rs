//! What a program's configuration file says of federation.

use std::{fmt, sync::Arc, time::Duration};

use mk8s_model::{ClusterName, duration};
use serde::Deserialize;

/// `capiMode`. Unknown keys are refused.
///
/// ```yaml
/// capiMode:
///   enabled: true
///   managementName: management
///   credentials: user
///   cache: {ttl: 10m, entries: 1000}
///   rbac: {allowedNamespaces: [team-a, team-b], clusterWideSecrets: false}
///   connectSeconds: 5
///   requestSeconds: 30
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Settings {
    /// Whether a program that reads this federates at all.
    pub enabled: bool,
    /// What the management cluster is called. Workload clusters have a dot in their names, so it has none.
    pub management_name: ClusterName,
    /// Who reads kubeconfigs.
    pub credentials: CredentialMode,
    /// How long and how many ways to clusters are kept.
    pub cache: CacheSettings,
    /// Where.
    pub rbac: RbacSettings,
    /// How long a connection to a workload cluster may take, TLS included, in seconds.
    pub connect_seconds: u64,
    /// How long a workload cluster may take to begin its answer, and the management cluster to give one, in seconds.
    pub request_seconds: u64,
}

/// Who reads the Secrets that kubeconfigs are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialMode {
    /// Each user, with their own rights.
    #[default]
    User,
    /// The server's own account, for whoever may see the Cluster.
    ServiceAccount,
}

/// How long and how many ways to clusters are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct CacheSettings {
    /// How long; no longer than a user's token is good. With `0s` each request reads the Secret.
    #[serde(deserialize_with = "duration::or_none")]
    pub ttl: Duration,
    /// How many, one for each user, token and cluster.
    pub entries: u64,
}

/// Where Clusters and Secrets are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct RbacSettings {
    /// Where users who may not list all Clusters are shown those that they may list; and where the server's own account reads
    /// Secrets.
    pub allowed_namespaces: Vec<Namespace>,
    /// The server's own account reads Secrets everywhere.
    pub cluster_wide_secrets: bool,
}

/// A namespace's name (RFC 1123 label).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Namespace(Arc<str>);

/// Settings that can't be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("capiMode.{setting}: {what}")]
pub struct InvalidSettings {
    setting: &'static str,
    what: String,
}

impl InvalidSettings {
    /// The server's own account is to read Secrets, and it has none.
    pub(crate) fn no_account() -> Self {
        Self {
            setting: "credentials",
            what: "service-account needs an account of the server's own on the management cluster".to_owned(),
        }
    }
}

/// The text is no namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no namespace: lower-case letters, digits and '-', 63 at most")]
pub struct InvalidNamespace(String);

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            management_name: default_name(),
            credentials: CredentialMode::default(),
            cache: CacheSettings::default(),
            rbac: RbacSettings::default(),
            connect_seconds: 5,
            request_seconds: 30,
        }
    }
}

fn default_name() -> ClusterName {
    const NAME: &str = "management";
    match NAME.parse() {
        Ok(name) => name,
        Err(_) => unreachable!("{NAME} is a name"),
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10 * 60),
            entries: 1_000,
        }
    }
}

impl Settings {
    /// Whether they can be meant.
    ///
    /// # Errors
    /// The first that can't, with what to write instead.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let invalid = |setting, what: &str| {
            Err(InvalidSettings {
                setting,
                what: what.to_owned(),
            })
        };
        if self.management_name.as_str().contains('.') {
            return invalid(
                "managementName",
                "a name with a dot could be a workload cluster's: write one without",
            );
        }
        if self.cache.entries == 0 {
            return invalid(
                "cache.entries",
                "give 1 or more; to keep nothing, set cache.ttl to 0s",
            );
        }
        if self.cache.ttl > LONGEST_TTL {
            return invalid("cache.ttl", "give 24h or less");
        }
        for (setting, seconds) in [
            ("connectSeconds", self.connect_seconds),
            ("requestSeconds", self.request_seconds),
        ] {
            if !(1..=600).contains(&seconds) {
                return invalid(setting, "give 1 to 600");
            }
        }
        let rbac = &self.rbac;
        match self.credentials {
            CredentialMode::ServiceAccount
                if rbac.allowed_namespaces.is_empty() && !rbac.cluster_wide_secrets =>
            {
                invalid(
                    "rbac",
                    "with credentials: service-account no Secret could be read: name allowedNamespaces, or set clusterWideSecrets",
                )
            }
            CredentialMode::User if rbac.cluster_wide_secrets => invalid(
                "rbac.clusterWideSecrets",
                "users read with their own rights: leave it out, or set credentials: service-account",
            ),
            _ => Ok(()),
        }
    }

    /// Whether the kubeconfigs of a namespace's clusters are read at all.
    pub(crate) fn reads_secrets_in(&self, namespace: &Namespace) -> bool {
        self.credentials == CredentialMode::User
            || self.rbac.cluster_wide_secrets
            || self.rbac.allowed_namespaces.contains(namespace)
    }

    pub(crate) fn connect_limit(&self) -> Duration {
        Duration::from_secs(self.connect_seconds)
    }

    pub(crate) fn request_limit(&self) -> Duration {
        Duration::from_secs(self.request_seconds)
    }
}

const LONGEST_TTL: Duration = Duration::from_secs(24 * 60 * 60);

impl Namespace {
    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Namespace {
    type Err = InvalidNamespace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_label = (1..=63).contains(&text.len())
            && text.bytes().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if is_label {
            Ok(Self(text.into()))
        } else {
            Err(InvalidNamespace(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for Namespace {
    type Error = InvalidNamespace;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<Settings, String> {
        let settings: Settings = serde_json::from_value(value).map_err(|error| error.to_string())?;
        settings.check().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn what_isnt_said_is_as_it_is_documented() {
        let settings = read(json!({"enabled": true})).expect("settings");
        assert_eq!(settings.management_name.as_str(), "management");
        assert_eq!(settings.credentials, CredentialMode::User);
        assert_eq!(settings.cache.ttl, Duration::from_secs(600));
        assert_eq!(settings.cache.entries, 1_000);
        assert_eq!((settings.connect_seconds, settings.request_seconds), (5, 30));
        assert!(!Settings::default().enabled);
    }

    #[test]
    fn all_of_it_can_be_said() {
        let settings = read(json!({"enabled": true, "managementName": "hub", "credentials": "service-account",
            "cache": {"ttl": "0s", "entries": 5}, "rbac": {"allowedNamespaces": ["team-a"], "clusterWideSecrets": false},
            "connectSeconds": 1, "requestSeconds": 2}))
        .expect("settings");
        let reads = |namespace: &str| settings.reads_secrets_in(&namespace.parse().expect("a namespace"));
        assert!(reads("team-a") && !reads("team-b"));
    }

    #[test]
    fn what_cant_be_meant_is_refused_with_what_to_write_instead() {
        for (written, said) in [
            (json!({"enable": true}), "unknown field `enable`"),
            (json!({"cache": {"ttl": "soon"}}), "no duration"),
            (
                json!({"cache": {"ttl": "25h"}}),
                "capiMode.cache.ttl: give 24h or less",
            ),
            (json!({"cache": {"entries": 0}}), "cache.entries"),
            (json!({"managementName": "a.b"}), "without"),
            (json!({"managementName": "../x"}), "no cluster name"),
            (json!({"connectSeconds": 0}), "connectSeconds"),
            (json!({"requestSeconds": 601}), "requestSeconds"),
            (json!({"credentials": "root"}), "unknown variant `root`"),
            (
                json!({"rbac": {"allowedNamespaces": ["../kube-system"]}}),
                "is no namespace",
            ),
            (json!({"rbac": {"clusterWideSecrets": true}}), "their own rights"),
            (
                json!({"credentials": "service-account"}),
                "no Secret could be read",
            ),
        ] {
            let error = read(written.clone()).expect_err("refused");
            assert!(error.contains(said), "{written}: {error}");
        }
    }
}
