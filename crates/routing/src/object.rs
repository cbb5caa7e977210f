//! `Cluster` and `Route` as people write them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

/// The API group.
pub const GROUP: &str = "mca.k8s.io";
/// Group and version.
pub const API_VERSION: &str = "mca.k8s.io/v1alpha1";

/// Either kind. Lines are known only if both are read as one type, so what belongs to the other kind is found afterwards.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Object {
    pub(crate) api_version: Spanned<String>,
    pub(crate) kind: Spanned<String>,
    pub(crate) metadata: Metadata,
    pub(crate) spec: Spanned<Spec>,
    #[serde(default, rename = "status")]
    _status: serde::de::IgnoredAny,
}

/// Of an object's metadata, the name alone is ours.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) name: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Spec {
    // Of a Cluster.
    pub(crate) server: Option<Spanned<String>>,
    pub(crate) tls_server_name: Option<String>,
    pub(crate) certificate_authority_data: Option<Spanned<String>>,
    pub(crate) credentials: Option<Spanned<String>>,
    pub(crate) central: Option<Central>,
    pub(crate) members: Option<Spanned<Vec<Spanned<String>>>>,
    // Of a Route.
    pub(crate) priority: Option<i32>,
    #[serde(rename = "match")]
    pub(crate) matches: Option<Spanned<Vec<Criteria>>>,
    pub(crate) clusters: Option<Spanned<Vec<Spanned<String>>>>,
}

/// A cluster behind a gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Central {
    pub(crate) cluster: Spanned<String>,
}

/// What a request must be, all of it; what isn't said may be anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Criteria {
    pub(crate) requested: Option<Vec<String>>,
    pub(crate) namespaces: Option<Vec<String>>,
    pub(crate) api_groups: Option<Vec<String>>,
    pub(crate) resources: Option<Vec<String>>,
    pub(crate) verbs: Option<Vec<Spanned<String>>>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

impl Spec {
    /// The fields that are there and are none of this kind's.
    pub(crate) fn foreign(&self, kind: &str) -> Vec<&'static str> {
        let of_cluster = [
            (self.server.is_some(), "server"),
            (self.tls_server_name.is_some(), "tlsServerName"),
            (
                self.certificate_authority_data.is_some(),
                "certificateAuthorityData",
            ),
            (self.credentials.is_some(), "credentials"),
            (self.central.is_some(), "central"),
            (self.members.is_some(), "members"),
        ];
        let of_route = [
            (self.priority.is_some(), "priority"),
            (self.matches.is_some(), "match"),
            (self.clusters.is_some(), "clusters"),
        ];
        let fields: &[(bool, &'static str)] = if kind == "Cluster" { &of_route } else { &of_cluster };
        fields
            .iter()
            .filter(|(is_there, _)| *is_there)
            .map(|(_, name)| *name)
            .collect()
    }
}
