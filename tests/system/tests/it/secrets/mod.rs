//! Secrets in pods on a real node: from a vault that speaks Keeper's protocol, by the webhook and `keeper-secrets`, to the
//! programs that want them.

mod admission;
mod bad_input;
mod delivery;
mod full_volume;
mod kubernetes_modes;
mod kubernetes_secrets;
mod outages;
mod readers;
mod search;
mod table;
mod variables;

use std::{net::SocketAddr, time::Duration};

use mk8s_testkit::{
    Cluster, InPod, Namespace,
    ksm::{Field, NewRecord, Served, Settings, Vault},
    pod::Builder,
    within,
};
use serde_json::json;

use crate::webhook::Webhook;

/// The Secret with the application's configuration.
const CONFIG: &str = "ksm";
/// The ConfigMap with the vault's authority.
const AUTHORITY: &str = "vault-ca";
/// Where sidecars serve their metrics.
const METRICS_PORT: u16 = 9464;
/// The shortest interval that may be asked for.
const INTERVAL: Duration = Duration::from_secs(10);

/// A vault, and a namespace whose pods can have secrets of it.
struct Secrets {
    webhook: Webhook,
    vault: Served,
}

impl Secrets {
    fn start() -> Self {
        Self::start_with("")
    }

    /// With more of the webhook's settings for secrets, as in `sizeLimit: 64Ki`.
    fn start_with(more: &str) -> Self {
        let host = Cluster::shared().host_address();
        let listen: SocketAddr = format!("{host}:0").parse().expect("an address");
        let vault = Served::start(Settings::new(listen)).expect("a vault");
        let image = Cluster::shared().image("keeper-secrets");
        let webhook = Webhook::start_with(
            "{settle: 1s}",
            &format!(
                "secrets: {{image: '{image}', imagePullPolicy: Never, hosts: ['{}'], log: trace, metricsPort: {METRICS_PORT}, {more}}}\n",
                vault.host_port()
            ),
        );
        let secrets = Self { webhook, vault };
        let config = secrets
            .vault
            .app_config()
            .with_hostname(&secrets.vault.host_port());
        let objects = [
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CONFIG},
                "stringData": {"config": config.base64()}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": AUTHORITY},
                "data": {"ca.crt": secrets.vault.ca_pem()}}),
        ];
        for object in objects {
            secrets.namespace().apply(&object.to_string());
        }
        secrets
    }

    fn namespace(&self) -> &Namespace {
        self.webhook.namespace()
    }

    fn vault(&self) -> Vault {
        self.vault.vault()
    }

    /// A pod that asks for secrets; what for, is still to be said.
    fn pod(&self, name: &str) -> Builder<'_> {
        InPod::named(self.namespace(), name)
            .annotation("keeper.security/inject", "true")
            .annotation("keeper.security/ksm-config", CONFIG)
            .annotation("keeper.security/ca-cert-configmap", AUTHORITY)
            .annotation("keeper.security/refresh-interval", "10s")
    }
}

/// What a pod's sidecar counts, through the API server.
#[track_caller]
fn metrics(secrets: &Secrets, pod: &InPod) -> String {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}:{METRICS_PORT}/proxy/metrics",
        secrets.namespace().name(),
        pod.name()
    );
    secrets
        .namespace()
        .kubectl()
        .run(["get", "--raw", &path])
        .ok()
        .stdout
}

/// A counter of such a page, given with its labels.
#[track_caller]
fn counter(page: &str, name: &str) -> u64 {
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in\n{page}"))
}

/// A record of a database.
fn database(password: &str) -> NewRecord {
    NewRecord::login("Database", "app", password).custom(Field::new("text", "db.example").labelled("Host"))
}

/// A file as the pod's own program reads it.
#[track_caller]
fn read(pod: &InPod, path: &str) -> String {
    pod.exec(["cat", path]).ok().stdout
}

/// Waits until a file has this in it.
#[track_caller]
fn eventually_reads(pod: &InPod, path: &str, expected: &str) {
    within(INTERVAL * 3, &format!("{path} with {expected}"), || {
        let ran = pod.exec(["cat", path]);
        ran.stdout.contains(expected).then_some(())
    });
}
