//! Roles as they are written down, in YAML or in a database.

use serde::{Deserialize, Serialize};

/// A whole policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// The roles. Their names are unique.
    pub roles: Vec<RoleSpec>,
    /// Who has which. Users may also be given roles elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserSpec>,
}

/// A role: what it gives, cluster by cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSpec {
    /// The name people are given it by.
    pub name: String,
    /// Its rules.
    pub clusters: Vec<ClusterRule>,
}

/// What a role gives on the clusters that match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClusterRule {
    /// The cluster's name, or a pattern.
    pub name: String,
    /// In which namespaces; patterns. Exactly `*` also means what is in no namespace, and all namespaces at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// To do what.
    pub verbs: Vec<String>,
    /// With what: `pods`, `pods/status`, `deployments.apps`, `*`; patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Of which API groups; patterns, and `""` is the core group. All if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Paths that belong to no resource, such as `/metrics`; patterns.
    #[serde(default, rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

/// A user and their roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// The user, by e-mail address.
    pub email: String,
    /// Names of roles.
    pub roles: Vec<String>,
}
