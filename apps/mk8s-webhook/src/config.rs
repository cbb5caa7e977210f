//! `webhook.yaml`, its environment variables and flags: read once, here.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use clap::Parser;
use mk8s_inject::{Settings, secrets::SecretsSettings};
use mk8s_model::duration;
use mk8s_serving::{
    BundlesIn, LeaseSettings, Place, SettingsError, Tls, TlsMode, TlsSettings, own_namespace,
};
use mk8s_telemetry::LogSettings;
use serde::Deserialize;

/// What it is called wherever it needs a name and nobody gave another, and what its writes are marked with in an object's
/// managed fields.
pub(crate) const NAME: &str = "mk8s-webhook";

/// Changes pods as they are created: a pod with the label mca.k8s.io/inject: "true" gets the API proxy mca-proxy.
#[derive(Debug, Default, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  mk8s-webhook                                            # in a pod
  mk8s-webhook --config /etc/mk8s-webhook/webhook.yaml    # with your settings
  mk8s-webhook --tls-mode cert-manager --certificate-file /tls/tls.crt --key-file /tls/tls.key
  mk8s-webhook --tls-mode given --certificate-file tls.crt --key-file tls.key --ca-file ca.crt

It answers POST /mutate, and GET /healthz, /readyz and /metrics. What it needs in
a cluster is in deploy/webhook/; docs/webhook.md says what each setting does.
A webhook.yaml, with some of the defaults:
  tls: {mode: self, certificateLifetime: 30d, caLifetime: 365d}
  injection: {uid: 999, gid: 999, order: first}
  shutdown: {pause: 5s, drain: 10s}"
)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, short, env = "MK8S_WEBHOOK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen for the API server [default: port 8443 on all addresses]
    #[arg(long, env = "MK8S_WEBHOOK_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where the certificate comes from [default: self]
    #[arg(long, env = "MK8S_WEBHOOK_TLS_MODE", value_name = "MODE")]
    tls_mode: Option<TlsMode>,
    /// The certificate (PEM); for the modes cert-manager and given
    #[arg(long, env = "MK8S_WEBHOOK_CERTIFICATE_FILE", value_name = "FILE")]
    certificate_file: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, env = "MK8S_WEBHOOK_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The authorities (PEM) to be put into the caBundle; for the mode given, which else leaves the caBundle alone
    #[arg(long, env = "MK8S_WEBHOOK_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Answer reviews only to clients with a certificate of these authorities (PEM)
    #[arg(long, env = "MK8S_WEBHOOK_CLIENT_CA_FILE", value_name = "FILE")]
    client_ca_file: Option<PathBuf>,
    /// The namespace of the Service, the Secret and the Lease [default: the pod's own]
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// The kubeconfig of the cluster; without it, the pod's own service account is used
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// What to log: a level, or levels by module (info,kube=debug) [default: info]
    #[arg(long, env = "MK8S_WEBHOOK_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// Everything the webhook needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    /// None: port 8443 of all addresses.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) kubernetes: mk8s_connect::Settings,
    pub(crate) tls: Tls,
    pub(crate) clients: Clients,
    pub(crate) injection: Settings,
    pub(crate) secrets: SecretsSettings,
    pub(crate) custom_resources: CustomResources,
    pub(crate) shutdown: Shutdown,
    pub(crate) log: LogSettings,
}

/// What is done for the clusters and routes of sidecars.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CustomResources {
    /// Whether their status is kept.
    pub(crate) status: bool,
}

/// Whose reviews are answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    pub(crate) ca_file: Option<PathBuf>,
    /// Common names; any, if there is none.
    pub(crate) names: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Shutdown {
    /// How long everything is still answered after the webhook has said that it isn't ready any more: endpoints must be
    /// taken away first.
    #[serde(deserialize_with = "duration::or_none")]
    pub(crate) pause: Duration,
    /// How long running requests may take to end after that.
    #[serde(deserialize_with = "duration::or_none")]
    pub(crate) drain: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            pause: Duration::from_secs(5),
            drain: Duration::from_secs(10),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct File {
    listen: Option<SocketAddr>,
    kubernetes: mk8s_connect::Settings,
    namespace: Option<String>,
    service: Option<String>,
    webhook_configurations: Option<Vec<String>>,
    tls: TlsSettings,
    clients: FileClients,
    lease: LeaseSettings,
    injection: Settings,
    secrets: SecretsSettings,
    custom_resources: CustomResources,
    shutdown: Shutdown,
    log: LogSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileClients {
    #[serde(rename = "clientCAFile")]
    client_ca_file: Option<PathBuf>,
    #[serde(rename = "clientNames")]
    client_names: Vec<String>,
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
        Self::from_parts(arguments, file, own_namespace)
    }

    fn from_parts(
        arguments: Arguments,
        file: File,
        own_namespace: impl Fn() -> Option<String>,
    ) -> anyhow::Result<Self> {
        let given = arguments.namespace.or(file.namespace);
        let lease = file.lease.checked(NAME)?;
        let service = file.service.unwrap_or_else(|| NAME.to_owned());
        let configurations = file
            .webhook_configurations
            .unwrap_or_else(|| vec![NAME.to_owned()]);
        let place = || {
            Ok(Place {
                program: NAME,
                namespace: given.or_else(own_namespace).ok_or(SettingsError::NoNamespace)?,
                service,
                bundles: BundlesIn::MutatingWebhookConfigurations(configurations),
                lease,
            })
        };
        let tls = TlsSettings {
            mode: arguments.tls_mode.or(file.tls.mode),
            certificate_file: arguments.certificate_file.or(file.tls.certificate_file),
            key_file: arguments.key_file.or(file.tls.key_file),
            ca_file: arguments.ca_file.or(file.tls.ca_file),
            ..file.tls
        };
        let tls = tls.checked(place).map_err(with_flags)?;
        if let Tls::SelfMade(own) = &tls
            && own.place.bundles.names().is_empty()
        {
            bail!("webhookConfigurations: nobody would believe our certificate; name at least one");
        }
        let clients = Clients {
            ca_file: arguments.client_ca_file.or(file.clients.client_ca_file),
            names: file.clients.client_names,
        };
        if clients.ca_file.is_none() && !clients.names.is_empty() {
            bail!(
                "clients.clientNames: names are believed on a certificate alone; give clients.clientCAFile too"
            );
        }
        Ok(Self {
            listen: arguments.listen.or(file.listen),
            kubernetes: mk8s_connect::Settings {
                // The file's own is meant; KUBECONFIG may be set for another purpose.
                kubeconfig: file.kubernetes.kubeconfig.or(arguments.kubeconfig),
                ..file.kubernetes
            },
            tls,
            clients,
            injection: file.injection,
            secrets: file.secrets,
            custom_resources: file.custom_resources,
            shutdown: file.shutdown,
            log: LogSettings {
                filter: arguments.log.unwrap_or(file.log.filter),
                ..file.log
            },
        })
    }
}

/// What can be said by flags, too.
fn with_flags(error: SettingsError) -> anyhow::Error {
    let flags = match error {
        SettingsError::FilesOfSelf => " (--tls-mode)",
        SettingsError::FilesMissing => " (--certificate-file, --key-file)",
        _ => "",
    };
    anyhow::anyhow!("{error}{flags}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(yaml: &str) -> anyhow::Result<Config> {
        let file = serde_saphyr::from_str(yaml).map_err(|e| anyhow::anyhow!("{e}"))?;
        Config::from_parts(Arguments::default(), file, || Some("mk8s-system".to_owned()))
    }

    #[test]
    fn nothing_need_be_said_in_a_pod() {
        let config = load("{}").expect("defaults");
        let Tls::SelfMade(own) = config.tls else {
            panic!("the mode is self");
        };
        assert_eq!(own.place.namespace, "mk8s-system");
        assert_eq!(own.place.bundles.names(), ["mk8s-webhook"]);
        assert_eq!(
            (own.secret.as_str(), own.place.lease.name.as_str()),
            ("mk8s-webhook-tls", "mk8s-webhook")
        );
        assert_eq!(config.shutdown.pause, Duration::from_secs(5));
    }

    #[test]
    fn everything_can_be_said() {
        let config = load(
            "listen: '[::1]:9443'\nnamespace: other\nservice: hook\nwebhookConfigurations: [a, b]\n\
             lease: {name: l, duration: 3s}\ntls: {mode: self, secret: s, caLifetime: 1h, certificateLifetime: 30m, settle: 0s}\n\
             clients: {clientCAFile: /ca.crt, clientNames: [apiserver]}\ninjection: {uid: null}\n\
             customResources: {status: true}\nshutdown: {pause: 0s, drain: 1m}\nlog: {format: json, filter: debug}\nkubernetes: {context: dev}\n",
        )
        .expect("valid");
        assert_eq!(config.shutdown.pause, Duration::ZERO);
        assert_eq!(config.clients.names, ["apiserver"]);
        assert!(config.injection.uid.is_none());
        assert!(config.custom_resources.status);
        let Tls::SelfMade(own) = config.tls else {
            panic!("the mode is self");
        };
        assert_eq!(own.lifetimes.certificate, Duration::from_secs(1800));
        assert_eq!(own.place.namespace, "other");
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (yaml, says) in [
            ("tls: {mode: given}", "--certificate-file"),
            ("tls: {certificateFile: /a, keyFile: /b}", "the mode is self"),
            ("tls: {certificateFile: /a}", "--tls-mode"),
            (
                "tls: {mode: cert-manager, certificateFile: /a, keyFile: /b, caFile: /c}",
                "inject-ca-from",
            ),
            ("tls: {certificateLifetime: 300d}", "half of tls.caLifetime"),
            (
                "tls: {caLifetime: 10s, certificateLifetime: 5s, settle: 2s}",
                "a sixth",
            ),
            ("webhookConfigurations: []", "webhookConfigurations"),
            ("clients: {clientNames: [a]}", "clientCAFile"),
            ("lease: {duration: 10ms}", "lease.duration"),
        ] {
            let error = load(yaml).expect_err(yaml).to_string();
            assert!(error.contains(says), "{yaml}: {error}");
        }
    }

    #[test]
    fn malformed_files_are_named_with_line_and_key() {
        for (yaml, says) in [
            ("tls:\n  mod: self\n", "mod"),
            ("tls:\n  mode: own\n", "own"),
            ("shutdown:\n  pause: soon\n", "soon"),
            ("injection:\n  imag: x\n", "imag"),
        ] {
            let error = load(yaml).expect_err(yaml).to_string();
            assert!(error.contains(says) && error.contains("line 2"), "{error}");
        }
    }

    #[test]
    fn files_need_no_cluster_unless_the_bundle_is_to_be_kept() {
        let arguments = |ca: Option<&str>| Arguments {
            tls_mode: Some(TlsMode::Given),
            certificate_file: Some("/a".into()),
            key_file: Some("/b".into()),
            ca_file: ca.map(Into::into),
            ..Arguments::default()
        };
        let load = |ca| Config::from_parts(arguments(ca), File::default(), || None);
        assert!(matches!(
            load(None).expect("valid").tls,
            Tls::Files { bundle: None, .. }
        ));
        let error = load(Some("/c")).expect_err("no namespace").to_string();
        assert!(error.contains("POD_NAMESPACE"), "{error}");
    }
}
