//! `agent.yaml`, its environment variables and flags: read once, here.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Parser;
use mk8s_connect::in_cluster::{self, SERVICE_ACCOUNT};
use mk8s_model::ClusterName;
use mk8s_telemetry::LogSettings;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// Dials mk8s-central from within a cluster and serves the cluster's API on that connection.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  mk8s-agent --config agent.yaml
  CENTRAL_URL=https://central.example.com:9090 CLUSTER_NAME=prod AGENT_TOKEN=mk8s_at_… mk8s-agent

A join token is made with `mk8s-central agent-token create --cluster NAME` and works once; from then on the agent
renews a certificate of its own, kept in the state directory or, for pods, in a Secret."
)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, short, env = "MK8S_AGENT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where central listens for agents: https://HOST:PORT
    #[arg(long, env = "CENTRAL_URL", value_name = "URL")]
    central_url: Option<String>,
    /// The name by which people will call this cluster
    #[arg(long, env = "CLUSTER_NAME", value_name = "NAME")]
    cluster_name: Option<ClusterName>,
    /// Central's CA certificate (PEM)
    #[arg(long, env = "CENTRAL_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The kubeconfig of the cluster; without it, the pod's own service account is used
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Where the agent keeps its certificate and key
    #[arg(long, env = "MK8S_AGENT_STATE", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The Secret where the agent keeps them instead, for a pod: [NAMESPACE/]NAME
    #[arg(
        long,
        env = "MK8S_AGENT_STATE_SECRET",
        value_name = "SECRET",
        conflicts_with = "state_dir"
    )]
    state_secret: Option<String>,
}

/// Everything the agent needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) central: Central,
    pub(crate) cluster: Cluster,
    pub(crate) tls: Tls,
    pub(crate) kubernetes: mk8s_connect::Settings,
    pub(crate) state: State,
    pub(crate) drain_seconds: u64,
    pub(crate) log: LogSettings,
}

/// Where the agent's certificate and key are kept.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Directory(PathBuf),
    Secret(StateSecret),
}

/// A Secret by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateSecret {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl std::fmt::Display for StateSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[derive(Debug)]
pub(crate) struct Central {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Needed for the first registration only.
    pub(crate) token: Option<SecretString>,
    pub(crate) connections: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cluster {
    pub(crate) name: ClusterName,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    insecure: bool,
    /// Central's CA; absent: the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    central: FileCentral,
    cluster: Option<Cluster>,
    tls: Tls,
    kubernetes: mk8s_connect::Settings,
    state_dir: Option<PathBuf>,
    state_secret: Option<String>,
    drain_seconds: Option<u64>,
    log: LogSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileCentral {
    url: Option<String>,
    token: Option<SecretString>,
    connections: Option<usize>,
}

impl Config {
    /// Reads the file, if one is named; flags and environment win over it.
    pub(crate) fn load(arguments: Arguments) -> anyhow::Result<Self> {
        let file: File = match &arguments.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("can't read {}", path.display()))?;
                serde_saphyr::from_str(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?
            }
        };
        if file.tls.insecure {
            bail!(
                "tls.insecure: the agent would hand its token to anybody who answers; give central's CA in tls.ca_file \
                 instead (`mk8s-central ca` prints it)"
            );
        }
        let url = arguments.central_url.or(file.central.url).context(
            "central.url is missing: where does central listen for agents? (central.url, --central-url or CENTRAL_URL)",
        )?;
        let (host, port) = host_and_port(&url)?;
        let name = arguments.cluster_name.or(file.cluster.map(|c| c.name)).context(
            "cluster.name is missing: how will people call this cluster? (cluster.name, --cluster-name or CLUSTER_NAME)",
        )?;
        let token = match file.central.token {
            Some(token) => Some(expanded(token)?),
            None => std::env::var("AGENT_TOKEN")
                .ok()
                .filter(|t| !t.is_empty())
                .map(SecretString::from),
        };
        // A flag or a variable stands above whatever the file says.
        let (dir, secret) = match (arguments.state_dir, arguments.state_secret) {
            (None, None) => (file.state_dir, file.state_secret),
            given => given,
        };
        let state = match (dir, secret) {
            (Some(_), Some(_)) => {
                bail!("state_dir and state_secret: the identity is kept in one place; give one of them")
            }
            (dir, None) => State::Directory(dir.unwrap_or_else(|| "/var/lib/mk8s-agent".into())),
            (None, Some(secret)) => State::Secret(state_secret(&secret, own_namespace)?),
        };
        Ok(Self {
            central: Central {
                host,
                port,
                token,
                connections: file.central.connections.unwrap_or(4).clamp(1, 16),
            },
            cluster: Cluster { name },
            tls: Tls {
                insecure: false,
                ca_file: arguments.ca_file.or(file.tls.ca_file),
            },
            kubernetes: mk8s_connect::Settings {
                // The file's own is meant; KUBECONFIG may be set for another purpose.
                kubeconfig: file.kubernetes.kubeconfig.or(arguments.kubeconfig),
                ..file.kubernetes
            },
            state,
            drain_seconds: file.drain_seconds.unwrap_or(25),
            log: file.log,
        })
    }
}

fn host_and_port(url: &str) -> anyhow::Result<(String, u16)> {
    let uri: http::Uri = url
        .parse()
        .with_context(|| format!("central.url {url:?} is no URL"))?;
    if uri.scheme_str() != Some("https") {
        bail!("central.url {url:?} must begin with https://");
    }
    let authority = uri
        .authority()
        .with_context(|| format!("central.url {url:?} names no host"))?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    Ok((host, authority.port_u16().unwrap_or(9090)))
}

/// `[namespace/]name`, as a Secret may be called.
fn state_secret(text: &str, own_namespace: impl Fn() -> Option<String>) -> anyhow::Result<StateSecret> {
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name),
        None => (
            own_namespace().with_context(|| {
                format!(
                    "state_secret {text:?} names no namespace, and this is no pod: write NAMESPACE/{text}"
                )
            })?,
            text,
        ),
    };
    // What comes of it is a path, so it is checked: labels of DNS (RFC 1123), in a name with dots between them.
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !is_label(&namespace) || !name.split('.').all(is_label) {
        bail!(
            "state_secret {text:?} is no name of a Secret: [NAMESPACE/]NAME, of lower-case letters, digits and \"-\""
        );
    }
    Ok(StateSecret {
        namespace,
        name: name.to_owned(),
    })
}

/// The namespace of the pod we are in.
fn own_namespace() -> Option<String> {
    in_cluster::namespace(Path::new(SERVICE_ACCOUNT))
}

/// `${NAME}` stands for an environment variable, so that the token need not stand in the file.
fn expanded(token: SecretString) -> anyhow::Result<SecretString> {
    let text = token.expose_secret();
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        None => Ok(token),
        Some(name) => match std::env::var(name) {
            Ok(value) if !value.is_empty() => Ok(value.into()),
            // Registered agents need no token any more; if one is needed, that is said then.
            _ => Ok(SecretString::default()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_https_with_a_host() {
        assert_eq!(host_and_port("https://c:1").expect("valid"), ("c".to_owned(), 1));
        assert_eq!(
            host_and_port("https://[::1]").expect("valid"),
            ("::1".to_owned(), 9090)
        );
        assert!(host_and_port("http://c:1").is_err());
        assert!(host_and_port("c:1").is_err());
    }

    #[test]
    fn a_secret_is_named_with_or_without_its_namespace() {
        let own = || Some("mk8s-system".to_owned());
        let named = |text| state_secret(text, own).map(|secret| secret.to_string());
        assert_eq!(named("identity").expect("valid"), "mk8s-system/identity");
        assert_eq!(named("other/identity.v1").expect("valid"), "other/identity.v1");
        for text in [
            "", "a/", "/a", "a/b/c", "../a", "a/..", "a?b", "A", "-a", "a..b", "a%2fb",
        ] {
            let error = named(text).expect_err(text).to_string();
            assert!(error.contains("state_secret"), "{error}");
        }
        let error = state_secret("identity", || None).expect_err("no pod").to_string();
        assert!(error.contains("NAMESPACE/identity"), "{error}");
    }

    #[test]
    fn the_seeds_example_is_read_and_unknown_keys_are_not() {
        let text = "central:\n  url: https://central.example.com:9090\n  token: ${AGENT_TOKEN}\n\ncluster:\n  name: production-us-east\n\ntls:\n  insecure: false\n  ca_file: /etc/mk8s/ca.crt\n";
        let file: File = serde_saphyr::from_str(text).expect("the example");
        assert_eq!(file.cluster.expect("cluster").name.as_str(), "production-us-east");
        let error = serde_saphyr::from_str::<File>("central:\n  uri: x\n")
            .expect_err("unknown key")
            .to_string();
        assert!(error.contains("uri") && error.contains("line 2"), "{error}");
    }
}
