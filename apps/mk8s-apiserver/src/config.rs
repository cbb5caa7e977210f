//! `apiserver.yaml`, read once, here.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use clap::Parser;
use mk8s_model::{GroupResource, Teams};
use mk8s_serving::{
    BundlesIn, LeaseSettings, Place, SettingsError, Tls, TlsMode, TlsSettings, own_namespace,
};
use mk8s_telemetry::LogSettings;
use serde::Deserialize;

use crate::{
    discovery::{GROUP, VERSION},
    resources::own_name,
};

/// What it is called wherever it needs a name and nobody gave another.
const NAME: &str = "mk8s-apiserver";

/// An aggregated API that lists what one may see.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  mk8s-apiserver --config apiserver.yaml
  kubectl get --raw /apis/custom.api.local/v1/mynamespace
  kubectl get mynamespace
  kubectl get mypods

What it needs in a cluster (APIService, Service, RBAC) is in deploy/apiserver/; docs/apiserver.md says what each setting
does. A configuration, with some of the defaults:
  server: {port: 8443}
  tls: {mode: self, certificateLifetime: 30d, caLifetime: 365d}
  namespaces: {team_label: team}
  resources: [pods, services, configmaps, deployments.apps]"
)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(
        long,
        short,
        env = "MK8S_APISERVER_CONFIG",
        value_name = "FILE",
        default_value = "/etc/mk8s-apiserver/apiserver.yaml"
    )]
    config: PathBuf,
    /// The namespace of the Service, the Secret and the Lease [default: the pod's own]
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// The kubeconfig of the cluster; without it, the pod's own service account is used
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Everything the program needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) tls: Tls,
    pub(crate) kubernetes: mk8s_connect::Settings,
    pub(crate) teams: Teams,
    /// What can be listed across the namespaces that one has rights in.
    pub(crate) resources: Vec<GroupResource>,
    /// How long an answer of a review counts, in seconds.
    pub(crate) cache_seconds: u64,
    pub(crate) drain_seconds: u64,
    pub(crate) log: LogSettings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    bind: IpAddr,
    port: u16,
    /// Our certificate, and its chain: another way to say `tls.certificateFile`, with the mode given.
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    /// Where `/metrics` is, in the clear; absent: nowhere.
    pub(crate) metrics: Option<SocketAddr>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 8443,
            cert_file: None,
            key_file: None,
            metrics: None,
        }
    }
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }

    /// What is said here of the certificate, said there.
    fn say_in(&self, tls: TlsSettings) -> anyhow::Result<TlsSettings> {
        let (Some(certificate), Some(key)) = (&self.cert_file, &self.key_file) else {
            if self.cert_file.is_some() || self.key_file.is_some() {
                bail!("server: give both cert_file and key_file, or neither (then tls.mode is self)");
            }
            return Ok(tls);
        };
        if tls.certificate_file.is_some() || tls.key_file.is_some() {
            bail!(
                "server.cert_file and tls.certificateFile say the same thing, and so do the key files; remove one pair"
            );
        }
        if tls.mode == Some(TlsMode::SelfMade) {
            bail!(
                "server.cert_file and server.key_file: with tls.mode self there are no files; remove them, or the mode"
            );
        }
        Ok(TlsSettings {
            mode: tls.mode.or(Some(TlsMode::Given)),
            certificate_file: Some(certificate.clone()),
            key_file: Some(key.clone()),
            ..tls
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    server: Server,
    #[serde(default)]
    tls: TlsSettings,
    namespace: Option<String>,
    service: Option<String>,
    #[serde(default)]
    lease: LeaseSettings,
    #[serde(default)]
    kubernetes: mk8s_connect::Settings,
    #[serde(default)]
    namespaces: Teams,
    #[serde(default = "common")]
    resources: Vec<String>,
    #[serde(default = "cache_seconds")]
    cache_seconds: u64,
    #[serde(default = "drain_seconds")]
    drain_seconds: u64,
    #[serde(default)]
    log: LogSettings,
}

fn cache_seconds() -> u64 {
    10
}

fn drain_seconds() -> u64 {
    25
}

/// What people look at most.
fn common() -> Vec<String> {
    [
        "pods",
        "services",
        "configmaps",
        "events",
        "deployments.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "replicasets.apps",
        "jobs.batch",
        "cronjobs.batch",
        "ingresses.networking.k8s.io",
    ]
    .map(str::to_owned)
    .to_vec()
}

impl Config {
    /// Reads the file; flags and environment win over it.
    pub(crate) fn load(arguments: Arguments) -> anyhow::Result<Self> {
        let path = &arguments.config;
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "can't read {}; name a configuration with --config, or see --help for one",
                path.display()
            )
        })?;
        let file: File =
            serde_saphyr::from_str(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
        file.checked(arguments.kubeconfig, arguments.namespace, own_namespace)
            .with_context(|| path.display().to_string())
    }
}

impl File {
    fn checked(
        self,
        kubeconfig: Option<PathBuf>,
        namespace: Option<String>,
        own_namespace: impl Fn() -> Option<String>,
    ) -> anyhow::Result<Config> {
        let lease = self.lease.checked(NAME)?;
        let place = || {
            Ok(Place {
                program: NAME,
                namespace: namespace
                    .or(self.namespace)
                    .or_else(own_namespace)
                    .ok_or(SettingsError::NoNamespace)?,
                service: self.service.unwrap_or_else(|| NAME.to_owned()),
                bundles: BundlesIn::ApiServices(vec![format!("{VERSION}.{GROUP}")]),
                lease,
            })
        };
        let tls = self.server.say_in(self.tls)?.checked(place)?;
        self.namespaces.check().context("namespaces")?;
        let mut resources: Vec<GroupResource> = Vec::new();
        for text in &self.resources {
            let resource: GroupResource = text.parse().context("resources")?;
            if let Some(twin) = resources
                .iter()
                .find(|other| own_name(other) == own_name(&resource))
            {
                bail!(
                    "resources: {text} and {} would both be called {}; leave one out",
                    twin,
                    own_name(&resource)
                );
            }
            resources.push(resource);
        }
        if self.cache_seconds > 300 {
            bail!("cache_seconds: what somebody may see must not be minutes old; at most 300");
        }
        Ok(Config {
            server: self.server,
            tls,
            kubernetes: mk8s_connect::Settings {
                // The file's own is meant; KUBECONFIG may be set for another purpose.
                kubeconfig: self.kubernetes.kubeconfig.or(kubeconfig),
                ..self.kubernetes
            },
            teams: self.namespaces,
            resources,
            cache_seconds: self.cache_seconds,
            drain_seconds: self.drain_seconds,
            log: self.log,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> anyhow::Result<Config> {
        read_in(yaml, Some("mk8s-system"))
    }

    /// In a pod of this namespace, or in none.
    fn read_in(yaml: &str, own: Option<&str>) -> anyhow::Result<Config> {
        let file: File = serde_saphyr::from_str(yaml).map_err(|e| anyhow::anyhow!("{e}"))?;
        file.checked(None, None, || own.map(str::to_owned))
    }

    #[test]
    fn nothing_need_be_said_in_a_pod() {
        let config = read("{}").expect("valid");
        assert_eq!(config.server.address().to_string(), "0.0.0.0:8443");
        let Tls::SelfMade(own) = &config.tls else {
            panic!("the mode is self");
        };
        assert_eq!(own.secret, "mk8s-apiserver-tls");
        let place = &own.place;
        assert_eq!(
            (
                place.namespace.as_str(),
                place.service.as_str(),
                place.lease.name.as_str()
            ),
            ("mk8s-system", "mk8s-apiserver", "mk8s-apiserver")
        );
        assert_eq!(
            place.bundles,
            BundlesIn::ApiServices(vec!["v1.custom.api.local".to_owned()])
        );
    }

    #[test]
    fn files_in_either_place_mean_the_mode_given_and_no_place_in_a_cluster() {
        for yaml in [
            "server: {cert_file: /a, key_file: /b}",
            "tls: {mode: given, certificateFile: /a, keyFile: /b}",
            "tls: {mode: cert-manager, certificateFile: /a, keyFile: /b}",
            "{server: {cert_file: /a, key_file: /b}, tls: {mode: cert-manager}}",
        ] {
            let config = read_in(yaml, None).expect(yaml);
            let Tls::Files {
                certificate,
                key,
                bundle: None,
            } = &config.tls
            else {
                panic!("{yaml}: {:?}", config.tls);
            };
            assert_eq!((certificate, key), (&PathBuf::from("/a"), &PathBuf::from("/b")));
        }
    }

    #[test]
    fn teams_are_read_and_have_defaults() {
        let config = read("{}").expect("valid");
        assert_eq!(config.teams, Teams::default());
        let config = read(
            "namespaces: {team_label: example.com/team, group_prefix: \"oidc:\", teams: [{group: \"CN=Ops,DC=x\", teams: [ops, base]}]}",
        )
        .expect("valid");
        assert_eq!(config.teams.team_label, "example.com/team");
        assert_eq!(
            config.teams.of(["oidc:web", "other", "CN=Ops,DC=x"]),
            ["web", "ops", "base"]
        );
    }

    #[test]
    fn what_cant_be_meant_is_refused_with_its_place() {
        let rows = [
            ("namespaces: {team_label: \"a b\"}", "team_label"),
            (
                "namespaces: {teams: [{group: x, teams: [\"a,b\"]}]}",
                "no value of a label",
            ),
            ("resources: [pods, pods]", "mypods"),
            ("resources: [pods/log]", "resources"),
            ("cache_seconds: 3600", "at most 300"),
            ("teams: {}", "teams"),
            ("server: {cert_file: /a}", "both cert_file and key_file"),
            (
                "{server: {cert_file: /a, key_file: /b}, tls: {certificateFile: /a}}",
                "remove one pair",
            ),
            (
                "{server: {cert_file: /a, key_file: /b}, tls: {mode: self}}",
                "tls.mode self",
            ),
            ("tls: {mode: given}", "tls.certificateFile and tls.keyFile"),
            ("tls: {settle: soon}", "soon"),
            ("lease: {duration: 1ms}", "lease.duration"),
        ];
        for (more, expected) in rows {
            let error = format!("{:#}", read(more).expect_err(more));
            assert!(error.contains(expected), "{more}: {error}");
        }
    }

    #[test]
    fn a_certificate_of_its_own_needs_a_place() {
        let error = read_in("{}", None).expect_err("nowhere").to_string();
        assert!(error.contains("POD_NAMESPACE"), "{error}");
    }
}
