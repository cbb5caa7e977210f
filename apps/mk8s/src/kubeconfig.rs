//! Kubeconfigs. Those that lead through central hold no secret: the token comes from `mk8s credential` when it is needed. Those
//! for a front proxy name a certificate and its key, or hold them.

use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mk8s_model::ClusterName;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    context::Context,
    error::{Failure, Result},
    home, output,
    selection::Selection,
};

/// The version of the credential plugin protocol that we speak.
pub(crate) const EXEC_API_VERSION: &str = "client.authentication.k8s.io/v1";

/// A kubeconfig, as client-go's `clientcmd/api/v1` has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    kind: &'a str,
    clusters: Vec<NamedCluster<'a>>,
    users: Vec<NamedUser<'a>>,
    contexts: Vec<NamedContext<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_context: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct NamedCluster<'a> {
    name: &'a str,
    cluster: ClusterEntry,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<String>,
}

#[derive(Debug, Serialize)]
struct NamedUser<'a> {
    name: &'a str,
    user: UserEntry<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum UserEntry<'a> {
    Exec(ExecEntry<'a>),
    #[serde(untagged)]
    Files {
        #[serde(rename = "client-certificate")]
        certificate: String,
        #[serde(rename = "client-key")]
        key: String,
    },
    #[serde(untagged)]
    Data {
        #[serde(rename = "client-certificate-data")]
        certificate: String,
        #[serde(rename = "client-key-data")]
        key: String,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecEntry<'a> {
    api_version: &'a str,
    command: &'a str,
    args: [&'a str; 3],
    env: [EnvironmentEntry<'a>; 1],
    interactive_mode: &'a str,
    provide_cluster_info: bool,
    install_hint: &'a str,
}

#[derive(Debug, Serialize)]
struct EnvironmentEntry<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
struct NamedContext<'a> {
    name: &'a str,
    context: ContextEntry<'a>,
}

#[derive(Debug, Serialize)]
struct ContextEntry<'a> {
    cluster: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

/// The YAML of a kubeconfig with a context for each cluster; all are of one central. `current` is the context in use.
pub(crate) fn render(
    context: &Context<'_>,
    clusters: &[Selection],
    current: Option<&ClusterName>,
) -> Result<String> {
    let Some(first) = clusters.first() else {
        return Err(Failure::new("there is no cluster to write a kubeconfig for"));
    };
    let central = &first.central;
    let trust = context.trust(central)?;
    let executable = executable(context)?;
    let home = path_text(context.home.root().to_owned())?;
    let user = format!("mk8s@{}", central.authority());
    let kubeconfig = Kubeconfig {
        api_version: "v1",
        kind: "Config",
        clusters: clusters
            .iter()
            .map(|selection| NamedCluster {
                name: selection.cluster.as_str(),
                cluster: ClusterEntry {
                    server: central.cluster_server(&selection.cluster),
                    certificate_authority: None,
                    certificate_authority_data: trust.pem().map(|pem| STANDARD.encode(pem)),
                },
            })
            .collect(),
        users: vec![NamedUser {
            name: &user,
            user: UserEntry::Exec(ExecEntry {
                api_version: EXEC_API_VERSION,
                command: &executable,
                args: ["credential", "--central", central.as_str()],
                env: [EnvironmentEntry {
                    name: "MK8S_HOME",
                    value: &home,
                }],
                interactive_mode: "Never",
                provide_cluster_info: false,
                install_hint: "mk8s isn't where this kubeconfig says it is: write it anew with `mk8s kubeconfig`",
            }),
        }],
        contexts: clusters
            .iter()
            .map(|selection| NamedContext {
                name: selection.cluster.as_str(),
                context: ContextEntry {
                    cluster: selection.cluster.as_str(),
                    user: &user,
                    namespace: selection.namespace.as_deref(),
                },
            })
            .collect(),
        current_context: current.map(ClusterName::as_str),
    };
    output::yaml(&kubeconfig)
}

/// What somebody with a certificate shows, and whom they believe.
#[derive(Debug)]
pub(crate) struct Holder<'a> {
    /// `https://HOST:PORT`.
    pub(crate) server: &'a str,
    /// The server's authorities; none: those of whoever's machine it is.
    pub(crate) authority: Option<Material>,
    pub(crate) certificate: Material,
    pub(crate) key: Material,
}

/// A file's place, and what was in it.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) path: PathBuf,
    pub(crate) pem: Vec<u8>,
}

/// The YAML of a kubeconfig with one context, called `name`, for somebody called `user`. It names the files, or holds what is
/// in them.
pub(crate) fn render_for_certificate(
    name: &str,
    user: &str,
    holder: Holder<'_>,
    embed: bool,
) -> Result<String> {
    let user = format!("{user}@{name}");
    let data = |material: &Material| STANDARD.encode(&material.pem);
    let path = |material: Material| path_text(material.path);
    let (embedded, named) = match holder.authority {
        Some(material) if embed => (Some(data(&material)), None),
        Some(material) => (None, Some(path(material)?)),
        None => (None, None),
    };
    let credentials = if embed {
        UserEntry::Data {
            certificate: data(&holder.certificate),
            key: data(&holder.key),
        }
    } else {
        UserEntry::Files {
            certificate: path(holder.certificate)?,
            key: path(holder.key)?,
        }
    };
    output::yaml(&Kubeconfig {
        api_version: "v1",
        kind: "Config",
        clusters: vec![NamedCluster {
            name,
            cluster: ClusterEntry {
                server: holder.server.to_owned(),
                certificate_authority: named,
                certificate_authority_data: embedded,
            },
        }],
        users: vec![NamedUser {
            name: &user,
            user: credentials,
        }],
        contexts: vec![NamedContext {
            name,
            context: ContextEntry {
                cluster: name,
                user: &user,
                namespace: None,
            },
        }],
        current_context: Some(name),
    })
}

/// Writes the kubeconfig of one `mk8s kubectl` and gives its path. The same content has the same name, so that shells
/// side by side share a file and the directory doesn't grow.
pub(crate) fn write_for_run(context: &Context<'_>, selection: &Selection) -> Result<PathBuf> {
    let text = render(context, std::slice::from_ref(selection), Some(&selection.cluster))?;
    let digest = Sha256::digest(text.as_bytes());
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let path = context
        .home
        .run_directory()
        .join(format!("{}-{short}.kubeconfig", selection.cluster));
    // `kubectl config` may have changed it.
    if home::read(&path)?.as_deref() != Some(text.as_bytes()) {
        home::write_private(&path, text.as_bytes())?;
    }
    Ok(path)
}

/// This program, by its absolute path.
fn executable(context: &Context<'_>) -> Result<String> {
    let path = context.environment.executable.clone();
    path_text(path.ok_or_else(|| Failure::new("can't tell where the mk8s program is"))?)
}

fn path_text(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        Failure::new(format!(
            "a kubeconfig can't hold the path {}: it isn't UTF-8",
            path.display()
        ))
    })
}
