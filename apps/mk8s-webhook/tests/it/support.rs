//! A webhook in a process of its own, and reviews to ask it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use mk8s_testkit::{
    Program, eventually,
    raw::{Endpoint, Response},
};
use mk8s_tls::CertificateAuthority;
use serde_json::{Value, json};

/// The name that the certificate is for.
pub(crate) const NAME: &str = "mk8s-webhook.mk8s-system.svc";
/// What reviews are sent with.
pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A webhook that runs.
pub(crate) struct Webhook {
    pub(crate) program: Program,
    pub(crate) endpoint: Endpoint,
    /// Goes with it.
    _directory: tempfile::TempDir,
}

/// The program with its certificate's files.
pub(crate) struct Setup {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) authority: CertificateAuthority,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = CertificateAuthority::generate("test", Timestamp::now()).expect("an authority");
        let setup = Self { directory, authority };
        setup.issue(&setup.authority);
        setup
    }

    /// Puts a new certificate of this authority into the files.
    pub(crate) fn issue(&self, authority: &CertificateAuthority) {
        let day = Duration::from_secs(24 * 3600);
        let issued = authority.issue_server(&[NAME.to_owned()], day, Timestamp::now());
        let issued = issued.expect("a certificate");
        let (certificate, key) = (self.path("tls.crt"), self.path("tls.key"));
        issued.save(&certificate, &key).expect("written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the webhook with these lines of configuration more.
    pub(crate) fn start(self, yaml: &str) -> Webhook {
        let config = self.path("webhook.yaml");
        fs::write(
            &config,
            format!(
                "listen: 127.0.0.1:0\ntls: {{mode: given, certificateFile: {}, keyFile: {}}}\n{yaml}\n",
                self.path("tls.crt").display(),
                self.path("tls.key").display()
            ),
        )
        .expect("written");
        let log = self.path("log");
        let program = Program::start("mk8s-webhook", command().arg("--config").arg(&config), &log);
        let endpoint = Endpoint {
            address: listening(&program),
            name: NAME.to_owned(),
            ca_pem: self.authority.certificate_pem().into_bytes(),
        };
        Webhook {
            program,
            endpoint,
            _directory: self.directory,
        }
    }
}

impl Webhook {
    /// One with nothing special about it.
    pub(crate) fn start() -> Self {
        Setup::new().start("shutdown: {pause: 0s, drain: 5s}")
    }

    /// Asks.
    pub(crate) fn review(&self, review: &Value) -> Response {
        self.post(review.to_string().as_bytes())
    }

    /// Sends this as a review.
    pub(crate) fn post(&self, body: &[u8]) -> Response {
        self.endpoint
            .request("POST", "/mutate?timeout=5s", &[JSON], body)
            .expect("an answer")
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.endpoint.request("GET", path, &[], b"").expect("an answer")
    }

    /// A line of `/metrics`.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let page = self.get("/metrics").text();
        let value = page
            .lines()
            .find_map(|l| l.strip_prefix(line))
            .and_then(|value| value.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {line} in:\n{page}"))
    }
}

/// The program, with nothing of our environment in its configuration.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mk8s-webhook"));
    let ours = std::env::vars().map(|(name, _)| name);
    for name in ours.filter(|name| {
        name.starts_with("MK8S_WEBHOOK_") || ["KUBECONFIG", "POD_NAMESPACE"].contains(&name.as_str())
    }) {
        command.env_remove(name);
    }
    command
}

/// Where it listens, as it says.
fn listening(program: &Program) -> SocketAddr {
    eventually("the webhook to listen", || {
        let log = program.log();
        let line = log.lines().find(|line| line.contains("listening"))?;
        line.split("address=").nth(1)?.trim().parse().ok()
    })
}

/// A pod that asks for injection, as the API server's own admission has left it.
pub(crate) fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "app", "labels": {"mca.k8s.io/inject": "true"}},
        "spec": {
            "containers": [{
                "name": "app",
                "image": "app",
                "volumeMounts": [{
                    "name": "kube-api-access-x7k2p",
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                    "readOnly": true,
                }],
            }],
            "serviceAccountName": "default",
            "volumes": [{
                "name": "kube-api-access-x7k2p",
                "projected": {"sources": [
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [
                        {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                    ]}},
                ]},
            }],
        },
    })
}

/// The review of a pod's creation.
pub(crate) fn review(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "app",
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

/// The review of this pod with the request changed (RFC 7396).
pub(crate) fn changed(pod: &Value, request: &Value) -> Value {
    let mut review = review(pod);
    json_patch::merge(&mut review["request"], request);
    review
}

/// The answer in an AdmissionReview.
#[track_caller]
pub(crate) fn answer(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    let review = response.json();
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    assert_eq!(review["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    review["response"].clone()
}

/// The pod as the API server makes it of the answer.
#[track_caller]
pub(crate) fn patched(pod: &Value, answer: &Value) -> Value {
    assert_eq!(answer["allowed"], true, "{answer}");
    let mut pod = pod.clone();
    if let Some(patch) = answer["patch"].as_str() {
        assert_eq!(answer["patchType"], "JSONPatch");
        let patch = BASE64_STANDARD.decode(patch).expect("base64");
        let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch");
        json_patch::patch(&mut pod, &patch).expect("it fits");
    }
    pod
}

/// Whether the sidecar is in the pod.
pub(crate) fn is_injected(pod: &Value) -> bool {
    let containers = pod["spec"]["initContainers"].as_array();
    containers.is_some_and(|all| {
        all.iter()
            .any(|c| c["name"] == "mca-proxy" && c["restartPolicy"] == "Always")
    })
}

/// The message of a `Status`.
#[track_caller]
pub(crate) fn message(response: &Response) -> String {
    let status = response.json();
    assert_eq!(
        (&status["kind"], &status["code"]),
        (&json!("Status"), &json!(response.status)),
        "what a kube client can show"
    );
    status["message"].as_str().expect("a message").to_owned()
}

/// Runs the program to its end, which must be a failure, and returns what it says.
#[track_caller]
pub(crate) fn failing(arguments: &[&str], directory: &Path) -> String {
    let ran = mk8s_testkit::command::run(command().args(arguments).current_dir(directory));
    ran.failed().stderr
}
