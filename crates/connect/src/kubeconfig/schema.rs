//! A kubeconfig file, as far as a server looks at one (`k8s.io/client-go/tools/clientcmd/api/v1`). What else is in it is
//! passed over, as kubectl does.

use secrecy::SecretString;
use serde::{Deserialize, de::IgnoredAny};

use crate::plugin::Plugin;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Kubeconfig {
    pub(super) current_context: Option<String>,
    #[serde(deserialize_with = "or_none")]
    pub(super) contexts: Vec<NamedContext>,
    #[serde(deserialize_with = "or_none")]
    pub(super) clusters: Vec<NamedCluster>,
    #[serde(deserialize_with = "or_none")]
    pub(super) users: Vec<NamedUser>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedContext {
    pub(super) name: String,
    pub(super) context: Option<Context>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedCluster {
    pub(super) name: String,
    pub(super) cluster: Option<Cluster>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedUser {
    pub(super) name: String,
    pub(super) user: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Context {
    pub(super) cluster: String,
    pub(super) user: String,
    pub(super) namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Cluster {
    pub(super) server: Option<String>,
    pub(super) tls_server_name: Option<String>,
    pub(super) insecure_skip_tls_verify: bool,
    pub(super) certificate_authority: Option<String>,
    pub(super) certificate_authority_data: Option<String>,
    pub(super) proxy_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct User {
    pub(super) client_certificate: Option<String>,
    pub(super) client_certificate_data: Option<String>,
    pub(super) client_key: Option<String>,
    pub(super) client_key_data: Option<SecretString>,
    pub(super) token: Option<SecretString>,
    #[serde(rename = "tokenFile")]
    pub(super) token_file: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<IgnoredAny>,
    pub(super) auth_provider: Option<IgnoredAny>,
    /// Whom it acts as.
    #[serde(rename = "as")]
    pub(super) acts_as: Option<IgnoredAny>,
    pub(super) exec: Option<Plugin>,
}

/// `contexts: null`, as kubectl writes an empty one.
fn or_none<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
