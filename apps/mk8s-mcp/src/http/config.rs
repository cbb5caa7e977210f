//! `mcp.yaml` of `mk8s-mcp serve`, read once, here.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use mk8s_federation::CredentialMode;
use mk8s_mcp_core::{
    plan::PlanKey,
    settings::{Mode, Settings},
};
use mk8s_model::ClusterName;
use mk8s_telemetry::LogSettings;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What `mk8s-mcp serve` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s-mcp serve --config mcp.yaml
  curl http://localhost:8080/readyz

Everybody as themselves, by an OAuth issuer that the cluster's API server trusts, too:
  server: {port: 8080, allowedHosts: [mcp.example.com]}
  oauth:
    issuer: https://login.example.com
    resource: https://mcp.example.com/mcp
    kubernetes: {exchange: {audience: kubernetes, client: {secret: {id: mcp, file: /oauth/client-secret}}}}
  enableDownstreamOAuth: true

Everybody with the rights of this pod's service account, and nobody asked who they are:
  server: {port: 8080, allowedHosts: [mk8s-mcp.tools.svc]}
  allowAnonymous: true")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(
        long,
        short,
        env = "MK8S_MCP_CONFIG",
        value_name = "FILE",
        default_value = "/etc/mk8s-mcp/mcp.yaml"
    )]
    config: PathBuf,
}

/// Everything the program needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) kubernetes: mk8s_connect::Settings,
    pub(crate) cluster_name: ClusterName,
    pub(crate) people: PeopleSettings,
    /// How Cluster API's clusters are reached, if they are to be.
    pub(crate) federation: Option<mk8s_federation::Settings>,
    pub(crate) settings: Settings,
    /// What plans are sealed with, the same for all replicas; without it, each takes its own alone.
    pub(crate) plan_key: Option<PlanKey>,
    pub(crate) audit_file: Option<PathBuf>,
    pub(crate) traces: Option<Traces>,
    pub(crate) log: LogSettings,
}

/// Who may come, and as whom clusters are asked.
#[derive(Debug)]
pub(crate) enum PeopleSettings {
    /// Whoever reaches the port, as our service account.
    Anybody,
    /// Who has a token, as our service account.
    Known(mk8s_oauth::Settings),
    /// Who has a token, as themselves.
    Themselves(mk8s_oauth::Settings),
}

/// Where we listen.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Server {
    bind: IpAddr,
    port: u16,
    /// Where MCP is spoken.
    pub(crate) path: String,
    /// Our certificate, and its chain; without one whoever stands before us ends TLS.
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    /// Where `/metrics` is, in the clear; absent: nowhere.
    pub(crate) metrics: Option<SocketAddr>,
    /// What a request's Host may be, beside this machine's own names and the OAuth resource's: a name, or name:port.
    pub(crate) allowed_hosts: Vec<String>,
    /// The Origins of web pages that may ask: `https://app.example.com`.
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) drain_seconds: u64,
}

/// Where spans go.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Traces {
    /// `http://HOST:PORT` of a collector (OTLP over gRPC).
    pub(crate) otlp_endpoint: String,
    /// How many of the requests that come without a trace begin one, between 0 and 1.
    #[serde(default)]
    pub(crate) share: f64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 8080,
            path: "/mcp".to_owned(),
            cert_file: None,
            key_file: None,
            metrics: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            drain_seconds: 25,
        }
    }
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }

    fn check(&self) -> anyhow::Result<()> {
        if !self.path.starts_with('/') || self.path.contains(['?', '#', ' ']) {
            bail!(
                "server.path is {:?}: write a path that begins with a slash, as /mcp",
                self.path
            );
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            bail!("server: give both certFile and keyFile, or neither");
        }
        for origin in &self.allowed_origins {
            let is_one = origin
                .parse::<http::Uri>()
                .is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some() && uri.path() == "/");
            if !is_one || origin.ends_with('/') {
                bail!("server.allowedOrigins has {origin:?}: write https://HOST or https://HOST:PORT");
            }
        }
        Ok(())
    }
}

impl Config {
    /// Reads what is said, and refuses what can't be meant.
    pub(crate) fn load(arguments: &Arguments) -> anyhow::Result<Self> {
        let path = &arguments.config;
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("can't read {shown}"))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::read(&text, directory).with_context(|| shown.to_string())
    }

    /// Files are named from `directory`, where they aren't named from the root.
    fn read(text: &str, directory: &Path) -> anyhow::Result<Self> {
        // One struct a key, and what is left is the settings of the tools: each refuses what it doesn't know.
        let mut map: BTreeMap<String, Value> = serde_saphyr::from_str(text)?;
        let mut server: Server = take(&mut map, "server")?.unwrap_or_default();
        server.check()?;
        for file in [&mut server.cert_file, &mut server.key_file]
            .into_iter()
            .flatten()
        {
            *file = directory.join(&*file);
        }
        let oauth: Option<mk8s_oauth::Settings> = take(&mut map, "oauth")?;
        let is_downstream = take(&mut map, "enableDownstreamOAuth")?.unwrap_or(false);
        let is_anonymous = take(&mut map, "allowAnonymous")?.unwrap_or(false);
        let people = match (oauth, is_downstream, is_anonymous) {
            (Some(_), _, true) => bail!("allowAnonymous and oauth are opposites: remove one"),
            (Some(oauth), true, _) if oauth.kubernetes().is_none() => {
                bail!(
                    "enableDownstreamOAuth needs oauth.kubernetes: write there how users get tokens for Kubernetes"
                )
            }
            (Some(oauth), true, _) => PeopleSettings::Themselves(oauth),
            (Some(oauth), false, _) => PeopleSettings::Known(oauth),
            (None, true, _) => bail!("enableDownstreamOAuth needs oauth: write there whose tokens are taken"),
            (None, false, true) => PeopleSettings::Anybody,
            (None, false, false) => bail!(
                "nobody could come in: write oauth (whose tokens are taken), or allowAnonymous: true for whoever reaches the port"
            ),
        };
        let federation: Option<mk8s_federation::Settings> = take(&mut map, "capiMode")?;
        let federation = federation.filter(|federation| federation.enabled);
        let named = take::<String>(&mut map, "clusterName")?;
        let cluster_name = match (&federation, named) {
            (Some(_), Some(_)) => bail!(
                "clusterName: with capiMode the cluster is called by capiMode.managementName: write it there"
            ),
            (Some(federation), None) => federation.management_name.clone(),
            (None, Some(name)) => name.parse().context("clusterName")?,
            (None, None) => "local".parse()?,
        };
        if let Some(federation) = &federation {
            federation.check()?;
            let is_user = federation.credentials == CredentialMode::User;
            if is_user && !matches!(people, PeopleSettings::Themselves(_)) {
                bail!(
                    "capiMode.credentials: users have rights of their own on the management cluster only with enableDownstreamOAuth: \
                     set that, or write service-account"
                );
            }
        }
        let plan_key: Option<PathBuf> = take(&mut map, "planKeyFile")?;
        let config = Self {
            server,
            plan_key: plan_key
                .map(|file| read_key(&directory.join(file)))
                .transpose()
                .context("planKeyFile")?,
            kubernetes: take(&mut map, "kubernetes")?.unwrap_or_default(),
            cluster_name,
            people,
            federation,
            audit_file: take(&mut map, "auditFile")?,
            traces: take(&mut map, "traces")?,
            log: take(&mut map, "log")?.unwrap_or_default(),
            settings: serde_json::from_value(Value::Object(map.into_iter().collect()))?,
        };
        config.settings.check()?;
        let is_changing = config.settings.mode != Mode::ReadOnly && !config.settings.dry_run;
        if is_changing && matches!(config.people, PeopleSettings::Anybody) {
            bail!(
                "mode: who approves of a change must be known: write oauth instead of allowAnonymous, or dryRun: true, or mode: read-only"
            );
        }
        Ok(config)
    }
}

/// A key out of a file: whatever is in it, as long as it can't be guessed.
fn read_key(path: &Path) -> anyhow::Result<PlanKey> {
    /// In hexadecimal that is a key of 128 bits.
    const LEAST: usize = 32;
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("can't read {shown}"))?;
    if bytes.trim_ascii().len() < LEAST {
        bail!("{shown} has less than {LEAST} characters: write random ones (openssl rand -hex 32)");
    }
    Ok(PlanKey::new(Sha256::digest(bytes.trim_ascii()).into()))
}

fn take<T: DeserializeOwned>(
    map: &mut BTreeMap<String, Value>,
    key: &'static str,
) -> anyhow::Result<Option<T>> {
    let value = map.remove(key).map(serde_json::from_value).transpose();
    value.context(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OAUTH: &str =
        "oauth: {issuer: 'https://login.example.com', resource: 'https://mcp.example.com/mcp'";

    fn read(text: &str) -> Result<Config, String> {
        Config::read(text, Path::new("/etc/x")).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn who_may_come_must_be_said() {
        assert!(matches!(
            read("allowAnonymous: true").expect("read").people,
            PeopleSettings::Anybody
        ));
        assert!(matches!(
            read(&format!("{OAUTH}}}")).expect("read").people,
            PeopleSettings::Known(_)
        ));
        let exchange = "kubernetes: {exchange: {audience: k, client: {secret: {id: a, file: b}}}}";
        assert!(matches!(
            read(&format!("{OAUTH}, {exchange}}}\nenableDownstreamOAuth: true"))
                .expect("read")
                .people,
            PeopleSettings::Themselves(_)
        ));
        for (text, said) in [
            ("log: {}".to_owned(), "nobody could come in"),
            ("enableDownstreamOAuth: true".to_owned(), "needs oauth"),
            (
                format!("{OAUTH}}}\nenableDownstreamOAuth: true"),
                "needs oauth.kubernetes",
            ),
            (format!("{OAUTH}}}\nallowAnonymous: true"), "opposites"),
        ] {
            let error = read(&text).expect_err(&text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_written_wrong_is_named() {
        for (text, said) in [
            ("server: {ports: 1}", "unknown field `ports`"),
            ("server: {path: mcp}", "begins with a slash"),
            ("server: {certFile: a}", "both certFile and keyFile"),
            ("server: {allowedOrigins: [app.example.com]}", "https://HOST"),
            (
                "server: {allowedOrigins: ['https://app.example.com/x']}",
                "https://HOST",
            ),
            ("answerToken: 1", "unknown field `answerToken`"),
            ("clusterName: A B", "clusterName"),
            ("capiMode: {enable: true}", "unknown field `enable`"),
            ("capiMode: {enabled: true}", "enableDownstreamOAuth"),
            (
                "capiMode: {enabled: true, credentials: service-account}",
                "no Secret could be read",
            ),
            (
                "capiMode: {enabled: true, managementName: a}\nclusterName: a",
                "capiMode.managementName",
            ),
            ("traces: {share: 1}", "otlpEndpoint"),
            ("planKeyFile: none", "planKeyFile: can't read /etc/x/none"),
            ("mode: full", "who approves of a change must be known"),
            ("mode: non-destructive", "who approves of a change must be known"),
            ("oauth: {issuer: 'http://x', resource: 'https://y'}", "oauth"),
        ] {
            let error = read(&format!("allowAnonymous: true\n{text}")).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn the_management_cluster_is_called_by_its_own_setting() {
        let account = "credentials: service-account, rbac: {clusterWideSecrets: true}";
        for (text, name, federates) in [
            (String::new(), "local", false),
            (
                "capiMode: {enabled: false, managementName: a}".to_owned(),
                "local",
                false,
            ),
            (
                format!("capiMode: {{enabled: true, {account}}}"),
                "management",
                true,
            ),
            (
                format!("capiMode: {{enabled: true, managementName: hub, {account}}}"),
                "hub",
                true,
            ),
        ] {
            let config = read(&format!("allowAnonymous: true\n{text}")).expect("read");
            assert_eq!(
                (config.cluster_name.as_str(), config.federation.is_some()),
                (name, federates),
                "{text}"
            );
        }
    }

    #[test]
    fn nobody_knows_who_approves_where_anybody_may_come() {
        assert!(read("allowAnonymous: true\nmode: full\ndryRun: true").is_ok());
        assert!(read(&format!("{OAUTH}}}\nmode: full")).is_ok());
    }

    #[test]
    fn a_key_that_can_be_guessed_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let with = |key: &str| {
            std::fs::write(directory.path().join("key"), key).expect("written");
            let text = "allowAnonymous: true\nplanKeyFile: key";
            Config::read(text, directory.path()).map_err(|error| format!("{error:#}"))
        };
        assert!(with(&"k".repeat(32)).expect("read").plan_key.is_some());
        let error = with("short\n").expect_err("a short key");
        assert!(error.contains("openssl rand -hex 32"), "{error}");
    }

    #[test]
    fn files_are_beside_the_configuration() {
        let config =
            read("allowAnonymous: true\nserver: {certFile: tls.crt, keyFile: /tls/tls.key}").expect("read");
        assert_eq!(
            config.server.cert_file.as_deref(),
            Some(Path::new("/etc/x/tls.crt"))
        );
        assert_eq!(config.server.key_file.as_deref(), Some(Path::new("/tls/tls.key")));
    }
}
