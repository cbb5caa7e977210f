//! What each client must be able to do, in whatever way its pod is made.

use std::{thread, time::Duration};

use mk8s_testkit::{
    Cluster, InPod, Kubectl, Namespace, eventually,
    pod::{Builder, Client, Outcome},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Where a pod has its token.
pub(crate) const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// The service account of all these pods.
pub(crate) const ACCOUNT: &str = "client";
/// A ConfigMap that is in every namespace.
const ALWAYS_THERE: &str = "kube-root-ca.crt";
const CHANGING: &str = "changing";

/// How pods are made.
pub(crate) struct Pods {
    namespace: Namespace,
    change: fn(Value) -> Value,
}

impl Pods {
    /// As they are, in a namespace of their own.
    pub(crate) fn plain() -> Self {
        Self::changed_by(|pod| pod)
    }

    /// After a change to their JSON, in a namespace of their own.
    pub(crate) fn changed_by(change: fn(Value) -> Value) -> Self {
        Self {
            namespace: Cluster::shared().namespace(),
            change,
        }
    }

    /// With the sidecar, in a namespace of their own.
    pub(crate) fn injected() -> Self {
        Self::changed_by(inject)
    }

    /// Their namespace.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A pod with the clients, and the rights they need.
    pub(crate) fn pod(&self, name: &str) -> Builder<'_> {
        let rules = json!([
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
            // WebSocket begins by a GET, SPDY by a POST.
            {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
        ]);
        InPod::named(&self.namespace, name)
            .service_account(ACCOUNT, &rules)
            .with_clients()
            .changed_by(self.change)
    }

    /// Such a pod that rests, ready for commands.
    pub(crate) fn resting(&self, name: &str) -> InPod {
        self.pod(name).start().ready()
    }

    /// A pod without anything, to run commands in.
    pub(crate) fn other(&self) -> InPod {
        InPod::named(&self.namespace, "other").start()
    }
}

/// What `mk8s inject` does, with the sidecar that was built here.
pub(crate) fn inject(mut pod: Value) -> Value {
    let settings = json!({"image": Cluster::shared().image("mca-proxy"), "imagePullPolicy": "Never"});
    let settings = serde_json::from_value(settings).expect("settings");
    let injection = match mk8s_inject::inject(&pod, &settings).expect("a pod that can be injected") {
        mk8s_inject::Outcome::Inject(injection) => injection,
        mk8s_inject::Outcome::Skip { reason } => panic!("not injected: {reason}"),
    };
    json_patch::patch(&mut pod, &injection.patch).expect("a patch that fits");
    pod
}

pub(crate) fn crud(pods: &Pods, client: Client) {
    let outcome = pods.resting("client").client(client, &["crud"]).ok();
    let steps: Vec<_> = outcome
        .lines()
        .iter()
        .filter_map(|line| line["step"].as_str())
        .collect();
    assert_eq!(steps, ["create", "get", "list", "update", "patch", "delete"]);
}

pub(crate) fn watch(pods: &Pods, client: Client) {
    // Longer than it will take: how long that is depends on the machine.
    let command = client.command(&["watch", "--seconds", "600"]);
    let pod = pods.pod("client").command(command).start();
    eventually("the watch to begin", || {
        let seen = pod.client_log().events();
        seen.iter().any(|event| event.name == ALWAYS_THERE).then_some(())
    });
    let versions = change_repeatedly(&pods.namespace().kubectl());
    let outcome = eventually("the watch to see the end, and to last 20 s", || {
        let outcome = pod.client_log();
        let is_gone = !of_ours(&outcome, "deleted").is_empty();
        (is_gone && outcome.answer()["second"].as_u64() >= Some(20)).then_some(outcome)
    });

    assert_eq!(of_ours(&outcome, "applied"), versions);
    assert_eq!(of_ours(&outcome, "deleted").len(), 1);
    assert_eq!(outcome.answer()["errors"], 0, "{}", pod.log());
    assert_eq!(outcome.answer()["events"], outcome.events().len());

    // One that comes to its end says how it went.
    let short = pod.client(client, &["watch", "--seconds", "2"]).ok();
    assert_eq!(short.answer()["errors"], 0, "{}", short.answer());
}

/// The versions of the changing ConfigMap that came with events of this kind.
fn of_ours(outcome: &Outcome, kind: &str) -> Vec<String> {
    let events = outcome.events().into_iter();
    events
        .filter(|event| event.name == CHANGING && event.kind == kind)
        .map(|event| event.resource_version)
        .collect()
}

/// Makes a ConfigMap, changes it, and deletes it. The answer is all its versions but the last.
pub(crate) fn change_repeatedly(kubectl: &Kubectl) -> Vec<String> {
    let version = ["--output", "jsonpath={.metadata.resourceVersion}"];
    let create = ["create", "configmap", CHANGING];
    let mut versions = vec![kubectl.run(create.into_iter().chain(version)).ok().stdout];
    for change in 0..6 {
        thread::sleep(Duration::from_millis(500));
        let patch = json!({"data": {"change": change.to_string()}}).to_string();
        let arguments = [
            "patch",
            "configmap",
            CHANGING,
            "--type",
            "merge",
            "--patch",
            &patch,
        ];
        versions.push(kubectl.run(arguments.into_iter().chain(version)).ok().stdout);
    }
    kubectl.run(["delete", "configmap", CHANGING]).ok();
    versions
}

pub(crate) fn exec(pods: &Pods, client: Client) {
    let other = pods.other();
    let pod = pods.resting("client");
    let other = other.ready();
    let outcome = pod.client(client, &["exec", "--pod", other.name()]).ok();
    // client-go has two protocols, and does it over both.
    let times = if client == Client::Go { 2 } else { 1 };
    let steps: Vec<_> = outcome
        .lines()
        .iter()
        .filter_map(|line| line["step"].as_str())
        .collect();
    assert_eq!(steps, ["echo", "cat", "exit"].repeat(times));
}

pub(crate) fn who_am_i(pods: &Pods, client: Client) {
    let outcome = pods.resting("client").client(client, &["whoami"]).ok();
    let namespace = pods.namespace().name();
    assert_eq!(
        outcome.answer()["username"],
        format!("system:serviceaccount:{namespace}:{ACCOUNT}")
    );
    let group = json!(format!("system:serviceaccounts:{namespace}"));
    let groups = outcome.answer()["groups"].as_array().expect("groups");
    assert!(groups.contains(&group), "{groups:?}");
}

pub(crate) fn get_repeatedly(pods: &Pods, client: Client) {
    let outcome = pods
        .resting("client")
        .client(client, &["loop", "--seconds", "4"])
        .ok();
    let answer = outcome.answer();
    assert_eq!(answer["failures"], 0, "{answer}");
    let requests = answer["requests"].as_u64().expect("a number");
    assert!(requests > 1, "{answer}");
}

/// A client reads what the pod has for a token, whatever that is.
pub(crate) fn finds_the_token(pods: &Pods, client: Client) {
    let pod = pods.resting("client");
    let token = pod.exec(["cat", TOKEN]).ok().stdout;
    assert_eq!(read_token(&pod, client), token_read(&token));
}

/// What the client finds where a pod has its token.
pub(crate) fn read_token(pod: &InPod, client: Client) -> Value {
    pod.client(client, &["read-token"]).ok().answer().clone()
}

/// What a client says that reads this token.
pub(crate) fn token_read(token: &str) -> Value {
    let hex = |text: &str| -> String {
        let digest = Sha256::digest(text);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    json!({
        "ok": true,
        "readable": true,
        "prefix_sha256": hex(&token[..12]),
        "fingerprint": &hex(token)[..12],
    })
}
