//! Secrets in pods on a real node: from a vault that speaks Keeper's protocol, by the webhook and `keeper-secrets`, to the
//! programs that want them.

mod bad_input;
mod delivery;
mod kubernetes_secrets;
mod outages;
mod readers;
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
/// The shortest interval that may be asked for.
const INTERVAL: Duration = Duration::from_secs(10);

/// A vault, and a namespace whose pods can have secrets of it.
struct Secrets {
    webhook: Webhook,
    vault: Served,
}

impl Secrets {
    fn start() -> Self {
        let host = Cluster::shared().host_address();
        let listen: SocketAddr = format!("{host}:0").parse().expect("an address");
        let vault = Served::start(Settings::new(listen)).expect("a vault");
        let image = Cluster::shared().image("keeper-secrets");
        let webhook = Webhook::start_with(
            "{settle: 1s}",
            &format!(
                "secrets: {{image: '{image}', imagePullPolicy: Never, hosts: ['{}'], log: trace}}\n",
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
