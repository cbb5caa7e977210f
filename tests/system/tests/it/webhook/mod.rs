//! The admission webhook in front of a real API server: replicas as processes on the host, known to the cluster by a Service
//! whose endpoints they are, with the rights that `deploy/webhook` gives them.

mod given;
mod injection;
mod installed;
mod replicas;
mod rotation;
mod statuses;

use std::{fs, net::SocketAddr, process::Command, time::Duration};

use mk8s_testkit::{Cluster, Kubectl, Namespace, Program, Ran, eventually, raw::Endpoint, within, workspace};
use mk8s_tls::CertificateChain;
use serde_json::{Value, json};

/// The name of all that a namespace has of the webhook.
const NAME: &str = "mk8s-webhook";
const SECRET: &str = "mk8s-webhook-tls";
/// A certificate of its own, and no long wait for it: there is one API server here.
const QUICK: &str = "{settle: 1s}";

/// A webhook for one test's namespace alone, and in it.
pub(crate) struct Webhook {
    replicas: Vec<Replica>,
    namespace: Namespace,
    /// What is not in a namespace has this name: the configuration and the roles.
    unique: String,
    directory: tempfile::TempDir,
    /// Lines of `webhook.yaml`.
    settings: String,
}

/// One process, and the EndpointSlice by which it is reached.
struct Replica {
    name: String,
    program: Program,
    address: SocketAddr,
}

impl Webhook {
    /// What the cluster needs, and no replica yet. `tls` is that of `webhook.yaml`.
    fn prepare(tls: &str) -> Self {
        let namespace = Cluster::shared().namespace();
        let unique = format!("{NAME}-{}", namespace.name());
        let directory = tempfile::tempdir().expect("a directory");
        let settings = format!(
            "namespace: {}\nwebhookConfigurations: [{unique}]\nlease: {{duration: 3s}}\n\
             shutdown: {{pause: 2s, drain: 5s}}\nlog: {{filter: 'info,mk8s_webhook=debug'}}\ntls: {tls}\n",
            namespace.name()
        );
        // From here on it is taken away again, whatever happens.
        let webhook = Self {
            replicas: Vec::new(),
            namespace,
            unique,
            directory,
            settings,
        };
        webhook.namespace.apply(&webhook.manifest("rbac.yaml"));
        webhook.namespace.apply(&format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {NAME}}}\nspec:\n  ports: [{{name: https, port: 443}}]\n"
        ));
        Cluster::shared().service_account_kubeconfig(
            webhook.namespace.name(),
            NAME,
            &webhook.directory.path().join("kubeconfig"),
        );
        webhook
    }

    /// With a certificate of its own and two replicas, ready.
    fn start(tls: &str) -> Self {
        Self::start_with(tls, "")
    }

    /// The same, with more lines in `webhook.yaml`.
    pub(crate) fn start_with(tls: &str, settings: &str) -> Self {
        let mut webhook = Self::prepare(tls);
        webhook.settings.push_str(settings);
        webhook.namespace.apply(&webhook.manifest("webhook.yaml"));
        webhook.add("a");
        webhook.add("b");
        webhook.ready();
        webhook
    }

    /// A file of `deploy/webhook` for this test alone.
    fn manifest(&self, file: &str) -> String {
        let path = workspace::root().join("deploy/webhook").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let documents = text
            .split("\n---\n")
            .filter(|document| !document.contains("\nkind: Namespace\n"));
        let documents: Vec<String> = documents.map(|document| self.own(document)).collect();
        documents.join("\n---\n")
    }

    fn own(&self, document: &str) -> String {
        let namespace = self.namespace.name();
        let is_global = !document.contains("\n  namespace: mk8s-system");
        let mut own = document.to_owned();
        if is_global {
            own = own
                .replace(
                    "metadata:\n  name: mk8s-webhook\n",
                    &format!("metadata:\n  name: {}\n", self.unique),
                )
                .replace("[mk8s-webhook]", &format!("[{}]", self.unique))
                .replace(
                    "kind: ClusterRole\n  name: mk8s-webhook\n",
                    &format!("kind: ClusterRole\n  name: {}\n", self.unique),
                );
            assert!(own.contains(&self.unique), "{document}");
        }
        // Others use the same cluster at the same time.
        own = own.replace(
            "operator: NotIn\n          values: [kube-system, mk8s-system]",
            &format!("operator: In\n          values: [{namespace}]"),
        );
        if own.contains("kind: MutatingWebhookConfiguration") {
            assert!(own.contains(&format!("values: [{namespace}]")), "{own}");
        }
        own.replace("mk8s-system", namespace)
    }

    /// The one namespace that it is asked about.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// One replica more.
    fn add(&mut self, name: &str) {
        let config = self.directory.path().join("webhook.yaml");
        fs::write(&config, &self.settings).expect("written");
        let log = self.directory.path().join(format!("{name}.log"));
        let mut command = Command::new(workspace::program("mk8s-webhook"));
        command
            .arg("--config")
            .arg(&config)
            .args(["--listen", &format!("{}:0", Cluster::shared().host_address())])
            .env("KUBECONFIG", self.directory.path().join("kubeconfig"))
            .env("POD_NAME", format!("replica-{name}"))
            .env_remove("POD_NAMESPACE");
        let program = Program::start(name, &command, &log);
        let address: SocketAddr = eventually("a replica to listen", || {
            let log = program.log();
            let line = log.lines().find(|line| line.contains("listening"))?;
            line.split("address=").nth(1)?.trim().parse().ok()
        });
        self.replicas.push(Replica {
            name: name.to_owned(),
            program,
            address,
        });
        self.reach(name, true);
    }

    /// What the kubelet and the endpoints' controller do for a pod: it is reached while it is ready.
    fn reach(&self, name: &str, ready: bool) {
        let replica = self.replica(name);
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("{NAME}-{name}"), "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": replica.address.port()}],
            "endpoints": [{"addresses": [replica.address.ip()], "conditions": {"ready": ready}}],
        });
        self.namespace.apply(&slice.to_string());
    }

    /// Takes a replica away, as a dead pod is.
    pub(crate) fn kill(&mut self, name: &str) {
        let at = self
            .replicas
            .iter()
            .position(|r| r.name == name)
            .expect("a replica");
        self.replicas[at].program.kill();
        self.reach(name, false);
        self.replicas.remove(at);
    }

    /// Waits until every replica serves the certificate, and a pod can be made.
    fn ready(&self) {
        for replica in &self.replicas {
            eventually("a replica's certificate", || {
                replica
                    .program
                    .log()
                    .contains("serving the certificate")
                    .then_some(())
            });
        }
        eventually("the API server to reach the webhook", || {
            let ran = self.try_create(&pod("probe"), &["--dry-run=server"]);
            (ran.code == Some(0)).then_some(())
        });
    }

    fn replica(&self, name: &str) -> &Replica {
        let found = self.replicas.iter().find(|replica| replica.name == name);
        found.expect("a replica")
    }

    fn kubectl(&self) -> Kubectl {
        self.namespace.kubectl()
    }

    fn try_create(&self, object: &Value, options: &[&str]) -> Ran {
        let arguments = ["create", "--output", "json", "--filename", "-"];
        let arguments = arguments.iter().chain(options);
        self.kubectl().run_with(arguments, object.to_string().as_bytes())
    }

    /// Makes an object, which must work, and returns it as the API server has it.
    #[track_caller]
    fn create(&self, object: &Value, options: &[&str]) -> Value {
        self.try_create(object, options).ok().json()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = arguments.iter().copied().chain(["--output", "json"]);
        self.kubectl().run(arguments).ok().json()
    }

    fn configuration(&self) -> Value {
        self.json(&["get", "mutatingwebhookconfiguration", &self.unique])
    }

    /// The caBundle of our entry, PEM.
    fn bundle(&self) -> String {
        let configuration = self.configuration();
        let entries = configuration["webhooks"].as_array().expect("entries");
        let ours = entries.iter().find(|entry| entry["name"] == "inject.mca.k8s.io");
        decoded(&ours.expect("our entry")["clientConfig"]["caBundle"])
    }

    /// A value in the Secret, as text.
    fn secret(&self, key: &str) -> String {
        decoded(&self.json(&["get", "secret", SECRET])["data"][key])
    }

    /// All that the replicas have said.
    pub(crate) fn logs(&self) -> String {
        self.replicas
            .iter()
            .map(|replica| replica.program.log())
            .collect()
    }

    /// The replicas' process ids.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.replicas
            .iter()
            .map(|replica| replica.program.pid())
            .collect()
    }

    /// What each replica counts.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let authorities = self.bundle();
        let page = |replica| {
            let response = self
                .endpoint(replica, &authorities)
                .request("GET", "/metrics", &[], b"");
            response.expect("believed").text()
        };
        self.replicas.iter().map(page).collect()
    }

    /// Who the replicas are to the API server.
    pub(crate) fn user(&self) -> String {
        format!("system:serviceaccount:{}:{NAME}", self.namespace.name())
    }

    /// The replica that leads; none, if it was released.
    fn leader(&self) -> Option<String> {
        let lease = self.json(&["get", "lease", NAME]);
        let holder = lease["spec"]["holderIdentity"].as_str()?;
        let name = holder.strip_prefix("replica-")?.split('_').next()?;
        Some(name.to_owned())
    }

    /// How a client finds a replica that it believes by these authorities.
    fn endpoint(&self, replica: &Replica, authorities: &str) -> Endpoint {
        Endpoint {
            address: replica.address,
            name: format!("{NAME}.{}.svc", self.namespace.name()),
            ca_pem: authorities.as_bytes().to_vec(),
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // First, so that nothing waits for replicas that are gone.
        for kind in [
            "mutatingwebhookconfiguration",
            "clusterrolebinding",
            "clusterrole",
        ] {
            let kubectl = Cluster::shared().kubectl();
            let mut command = kubectl.command(["delete", "--ignore-not-found", kind, &self.unique]);
            let _ = command.output();
        }
    }
}

/// A pod that asks for injection, and that no node will ever run.
fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"mca.k8s.io/inject": "true"}},
        "spec": {
            "nodeSelector": {"only": "on-paper"},
            "containers": [{"name": "app", "image": "localhost/mk8s/busybox:dev"}],
        },
    })
}

/// Whether the sidecar is in the pod, once, and the app has its placeholder.
fn is_injected(pod: &Value) -> bool {
    let none = Vec::new();
    let inits = pod["spec"]["initContainers"].as_array().unwrap_or(&none);
    let sidecars = inits
        .iter()
        .filter(|container| container["name"] == "mca-proxy" && container["restartPolicy"] == "Always");
    let mounts = pod["spec"]["containers"][0]["volumeMounts"]
        .as_array()
        .unwrap_or(&none);
    let credentials: Vec<_> = mounts
        .iter()
        .filter(|mount| mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount")
        .map(|mount| &mount["name"])
        .collect();
    sidecars.count() == 1 && credentials == ["kube-api-access-mca-sa"]
}

fn decoded(base64: &Value) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let bytes = BASE64_STANDARD.decode(base64.as_str().unwrap_or_default());
    String::from_utf8(bytes.expect("base64")).expect("text")
}

/// The certificates of a PEM text, each as PEM.
fn certificates(pem: &str) -> Vec<String> {
    let chain = CertificateChain::from_pem(pem.as_bytes()).expect("certificates");
    let each = chain.der().iter().map(|certificate| {
        CertificateChain::from_der(vec![certificate.clone()])
            .expect("a certificate")
            .pem()
    });
    each.collect()
}

/// Waits for a leader among these replicas.
fn eventual_leader(webhook: &Webhook, among: &[&str]) -> String {
    within(Duration::from_secs(30), "a leader", || {
        webhook.leader().filter(|leader| among.contains(&leader.as_str()))
    })
}
