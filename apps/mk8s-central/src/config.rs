//! `central.yaml`, read once.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use mk8s_policy::RoleSpec;
use mk8s_store::Database;
use mk8s_telemetry::LogSettings;
use serde::Deserialize;

/// Everything central needs to know.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) server: Server,
    /// The port for operators with client certificates; absent: there is none.
    #[serde(default)]
    pub(crate) operators: Option<Operators>,
    /// Keys, certificates, the audit journal, and the SQLite file if there is no other database.
    #[serde(default = "default_data_dir")]
    pub(crate) data_dir: PathBuf,
    #[serde(default)]
    database: DatabaseSection,
    #[serde(default)]
    pub(crate) auth: Auth,
    #[serde(default)]
    tls: Tls,
    /// Roles of the operator's own; without any, `admin`, `developer` and `viewer`.
    #[serde(default)]
    pub(crate) roles: Vec<RoleSpec>,
    /// Who has which roles, beside what was set through the API.
    #[serde(default)]
    pub(crate) users: Vec<mk8s_policy::UserSpec>,
    #[serde(default)]
    pub(crate) audit: Audit,
    #[serde(default)]
    pub(crate) log: LogSettings,
    /// How long running requests may take to end when central stops.
    #[serde(
        default = "default_drain",
        deserialize_with = "mk8s_model::duration::positive"
    )]
    pub(crate) drain: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// The address to listen on.
    pub(crate) bind: IpAddr,
    /// HTTPS for people.
    pub(crate) http_port: u16,
    /// gRPC and tunnels, for agents.
    pub(crate) grpc_port: u16,
    /// The DNS names and addresses that the self-issued certificate is for.
    pub(crate) names: Vec<String>,
}

/// `operators: {port: 8444, clients: {ca_files: [operators-ca.crt]}}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Operators {
    pub(crate) port: u16,
    /// Whose certificates let somebody in.
    pub(crate) clients: mk8s_operators::Settings,
    /// Whether a certificate's organizations are groups in the clusters, beside those of the account's roles. The agents must
    /// be allowed to name them.
    #[serde(default)]
    pub(crate) organizations_as_groups: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            http_port: 8080,
            grpc_port: 9090,
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()],
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DatabaseSection {
    driver: Option<String>,
    url: Option<secrecy::SecretString>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    /// How long an access token is good for.
    #[serde(deserialize_with = "mk8s_model::duration::positive")]
    pub(crate) token_expiry: Duration,
    /// How long a login lasts unused.
    #[serde(deserialize_with = "mk8s_model::duration::positive")]
    pub(crate) refresh_expiry: Duration,
    /// Known from earlier plans; tokens are RS256, and their keys are made in the data directory.
    jwt_secret: Option<secrecy::SecretString>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            token_expiry: Duration::from_secs(24 * 3600),
            refresh_expiry: Duration::from_secs(7 * 24 * 3600),
            jwt_secret: None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tls {
    enabled: Option<bool>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Audit {
    /// Bytes that may wait on disk for the database before requests are refused.
    pub(crate) max_waiting_bytes: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            max_waiting_bytes: mk8s_audit::Limits::default().max_bytes,
        }
    }
}

fn default_data_dir() -> PathBuf {
    "/var/lib/mk8s-central".into()
}

fn default_drain() -> Duration {
    Duration::from_secs(25)
}

impl Config {
    /// Reads and checks the file.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "can't read {}: give the configuration with --config",
                path.display()
            )
        })?;
        let config: Self =
            serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        if config.tls.enabled == Some(false) {
            bail!(
                "{}: tls.enabled: passwords and tokens are never sent in the clear; remove the line",
                path.display()
            );
        }
        if config.tls.cert_file.is_some() != config.tls.key_file.is_some() {
            bail!(
                "{}: tls: give both cert_file and key_file, or neither",
                path.display()
            );
        }
        if config.server.http_port == config.server.grpc_port {
            bail!("{}: server: http_port and grpc_port must differ", path.display());
        }
        if config.server.names.is_empty() {
            bail!(
                "{}: server.names: give at least one name by which clients reach central",
                path.display()
            );
        }
        config
            .database()
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        Ok(config)
    }

    /// Which database.
    pub(crate) fn database(&self) -> Result<Database, mk8s_store::StoreError> {
        let driver = self.database.driver.as_deref().unwrap_or("sqlite");
        match &self.database.url {
            Some(url) => Database::parse(driver, secrecy::ExposeSecret::expose_secret(url)),
            None if driver.starts_with("sqlite") => Ok(Database::Sqlite(self.data_dir.join("mk8s.db"))),
            None => Database::parse(driver, ""),
        }
    }

    /// The certificate and key that the operator gave.
    pub(crate) fn certificate_files(&self) -> Option<(&Path, &Path)> {
        Some((self.tls.cert_file.as_deref()?, self.tls.key_file.as_deref()?))
    }

    /// Whether there is a setting that no longer does anything, to be said in the log.
    pub(crate) fn has_jwt_secret(&self) -> bool {
        self.auth.jwt_secret.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> anyhow::Result<Config> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "mk8s-config-{}-{}.yaml",
            std::process::id(),
            N.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text)?;
        let loaded = Config::load(&path);
        std::fs::remove_file(&path)?;
        loaded
    }

    const SEED: &str = "server:\n  http_port: 8080\n  grpc_port: 9090\n\ndatabase:\n  driver: postgres\n  url: postgres://user:pass@localhost/mk8s\n\nauth:\n  jwt_secret: \"your-secret-key\"\n  token_expiry: 24h\n\ntls:\n  enabled: true\n  cert_file: /etc/mk8s/tls.crt\n  key_file: /etc/mk8s/tls.key\n";

    #[test]
    fn the_known_example_is_read() {
        let config = load(SEED).expect("the example");
        assert_eq!(config.auth.token_expiry, Duration::from_secs(86400));
        assert!(config.has_jwt_secret());
        assert!(!format!("{config:?}").contains("pass@"), "no password in Debug");
    }

    #[test]
    fn a_malformed_file_is_named_with_line_and_key() {
        let unknown = load("server:\n  htp_port: 1\n")
            .expect_err("unknown key")
            .to_string();
        assert!(
            unknown.contains(".yaml") && unknown.contains("line 2") && unknown.contains("htp_port"),
            "{unknown}"
        );
        let typed = load("server:\n  http_port: many\n")
            .expect_err("wrong type")
            .to_string();
        assert!(typed.contains("line 2"), "{typed}");
        let duration = load("auth:\n  token_expiry: soon\n")
            .expect_err("no duration")
            .to_string();
        assert!(
            duration.contains("soon") && duration.contains("24h"),
            "{duration}"
        );
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for (text, says) in [
            ("tls:\n  enabled: false\n", "tls.enabled"),
            ("tls:\n  cert_file: /x\n", "both cert_file and key_file"),
            ("server:\n  http_port: 1\n  grpc_port: 1\n", "must differ"),
            ("server:\n  names: []\n", "server.names"),
            ("database:\n  driver: oracle\n  url: x\n", "database.driver"),
        ] {
            let error = load(text).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
