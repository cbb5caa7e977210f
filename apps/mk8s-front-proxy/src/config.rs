//! `front-proxy.yaml`, read once, here.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use clap::Parser;
use mk8s_proxy::Reroute;
use mk8s_telemetry::LogSettings;
use serde::Deserialize;

/// Operators with a client certificate use a cluster in their own name.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  mk8s pki init && mk8s pki issue server front-proxy --dns front-proxy.example.com
  mk8s pki issue user anna --group team-a
  mk8s-front-proxy --config front-proxy.yaml
  mk8s front-proxy kubeconfig --server https://front-proxy.example.com:8443 --user anna

The smallest configuration:
  server: {cert_file: tls.crt, key_file: tls.key}
  clients: {ca_files: [ca.crt]}"
)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(
        long,
        short,
        env = "MK8S_FRONT_PROXY_CONFIG",
        value_name = "FILE",
        default_value = "/etc/mk8s-front-proxy/front-proxy.yaml"
    )]
    pub(crate) config: PathBuf,
    /// Read the configuration, say whether it can be used, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// The kubeconfig of the cluster; without it, the pod's own service account is used
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Everything the program needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) clients: mk8s_operators::Settings,
    pub(crate) kubernetes: mk8s_connect::Settings,
    pub(crate) reroutes: Vec<Reroute>,
    pub(crate) interactive_at: Option<String>,
    pub(crate) audit_file: Option<PathBuf>,
    pub(crate) drain_seconds: u64,
    pub(crate) log: LogSettings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    #[serde(default = "everywhere")]
    bind: IpAddr,
    #[serde(default = "port")]
    port: u16,
    /// Our certificate, and its chain.
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
    /// Where `/metrics` and `/healthz` are, in the clear; absent: nowhere.
    pub(crate) metrics: Option<SocketAddr>,
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: Server,
    clients: mk8s_operators::Settings,
    #[serde(default)]
    kubernetes: mk8s_connect::Settings,
    #[serde(default = "seen_alone")]
    reroutes: Vec<FileReroute>,
    #[serde(default)]
    interactive: Interactive,
    #[serde(default)]
    audit: Audit,
    #[serde(default = "drain_seconds")]
    drain_seconds: u64,
    #[serde(default)]
    log: LogSettings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileReroute {
    resource: String,
    verbs: Vec<String>,
    to: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Interactive {
    /// The API server's own URL, where exec, attach and port-forward are sent; absent: they pass through like everything.
    redirect_to: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Audit {
    /// Absent: standard output.
    file: Option<PathBuf>,
}

fn everywhere() -> IpAddr {
    IpAddr::V4(Ipv4Addr::UNSPECIFIED)
}

fn port() -> u16 {
    8443
}

fn drain_seconds() -> u64 {
    25
}

/// Namespaces are those that one may see, as mk8s-apiserver answers it.
fn seen_alone() -> Vec<FileReroute> {
    vec![FileReroute {
        resource: "namespaces".to_owned(),
        verbs: ["get", "list", "watch"].map(str::to_owned).to_vec(),
        to: "/apis/custom.api.local/v1/mynamespace".to_owned(),
    }]
}

impl Config {
    /// Reads the file; flags and environment win over it.
    pub(crate) fn load(arguments: &Arguments) -> anyhow::Result<Self> {
        let path = &arguments.config;
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "can't read {}; name a configuration with --config, or see --help for the smallest one",
                path.display()
            )
        })?;
        let file: File =
            serde_saphyr::from_str(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
        file.checked(arguments.kubeconfig.clone())
            .with_context(|| path.display().to_string())
    }
}

impl File {
    fn checked(self, kubeconfig: Option<PathBuf>) -> anyhow::Result<Config> {
        if self.clients.ca_files.is_empty() {
            bail!(
                "clients.ca_files is empty: whose certificates let somebody in? (`mk8s pki init` makes an authority)"
            );
        }
        let reroutes = self
            .reroutes
            .iter()
            .map(|rule| Reroute::new(&rule.resource, &rule.verbs, &rule.to).context("reroutes"))
            .collect::<Result<_, _>>()?;
        if let Some(url) = &self.interactive.redirect_to {
            let is_server = url.parse::<http::Uri>().is_ok_and(|uri| {
                uri.scheme_str() == Some("https") && uri.host().is_some() && uri.path() == "/"
            });
            if !is_server {
                bail!("interactive.redirect_to: {url:?} is no API server; write https://HOST:PORT");
            }
        }
        Ok(Config {
            server: self.server,
            clients: self.clients,
            kubernetes: mk8s_connect::Settings {
                // The file's own is meant; KUBECONFIG may be set for another purpose.
                kubeconfig: self.kubernetes.kubeconfig.or(kubeconfig),
                ..self.kubernetes
            },
            reroutes,
            interactive_at: self.interactive.redirect_to,
            audit_file: self.audit.file,
            drain_seconds: self.drain_seconds,
            log: self.log,
        })
    }
}

#[cfg(test)]
mod tests {
    use mk8s_operators::Ocsp;

    use super::*;

    const SMALLEST: &str = "server: {cert_file: tls.crt, key_file: tls.key}\nclients: {ca_files: [ca.crt]}\n";

    fn read(text: &str) -> anyhow::Result<Config> {
        let file: File = serde_saphyr::from_str(text).map_err(|e| anyhow::anyhow!("{e}"))?;
        file.checked(None)
    }

    #[test]
    fn the_smallest_configuration_shows_ones_own_namespaces_and_splices_everything() {
        let config = read(SMALLEST).expect("valid");
        let own = Reroute::new(
            "namespaces",
            &["get", "list", "watch"],
            "/apis/custom.api.local/v1/mynamespace",
        );
        assert_eq!(config.reroutes, [own.expect("valid")]);
        assert_eq!(config.interactive_at, None);
        assert_eq!(config.clients.ocsp, Ocsp::Soft);
        assert_eq!(config.server.address().to_string(), "0.0.0.0:8443");
        assert!(config.server.metrics.is_none() && config.audit_file.is_none());
    }

    #[test]
    fn what_cant_be_meant_is_refused_with_its_place() {
        let rows = [
            ("clients: {ca_files: []}", "ca_files is empty"),
            (
                "reroutes: [{resource: pods, verbs: [create], to: /apis/a/v1/b}]",
                "get, list and watch",
            ),
            (
                "interactive: {redirect_to: \"http://api:6443\"}",
                "https://HOST:PORT",
            ),
            (
                "interactive: {redirect_to: \"https://api:6443/path\"}",
                "https://HOST:PORT",
            ),
            ("crl: x", "crl"),
            ("clients: {ca_files: [ca.crt], ocsp: sometimes}", "ocsp"),
            ("server: {cert_file: a}", "key_file"),
        ];
        for (more, expected) in rows {
            let key = more.split(':').next().expect("a key");
            let rest: String = SMALLEST
                .lines()
                .filter(|line| !line.starts_with(key))
                .map(|line| format!("{line}\n"))
                .collect();
            let error = format!("{:#}", read(&format!("{rest}{more}\n")).expect_err(more));
            assert!(error.contains(expected), "{more}: {error}");
        }
    }

    #[test]
    fn off_is_a_word_here_and_no_truth_value() {
        for (word, meant) in [("off", Ocsp::Off), ("soft", Ocsp::Soft), ("hard", Ocsp::Hard)] {
            let text = SMALLEST.replace("[ca.crt]", &format!("[ca.crt], ocsp: {word}"));
            assert_eq!(read(&text).expect(word).clients.ocsp, meant);
        }
    }

    #[test]
    fn no_rule_at_all_can_be_said() {
        let config = read(&format!("{SMALLEST}reroutes: []\n")).expect("valid");
        assert!(config.reroutes.is_empty());
    }
}
