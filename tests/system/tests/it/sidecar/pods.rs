//! The whole of it on a real node: pods that ask for the sidecar by a label get it from the webhook, and their programs go through it
//! without knowing.

use std::time::Duration;

use mk8s_testkit::{
    Cluster, InPod, eventually,
    pod::{Builder, Client},
    within,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::process_of;
use crate::webhook::Webhook;

const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const ACCOUNT: &str = "client";

/// A webhook that injects the sidecar that was built here.
fn webhook() -> Webhook {
    let image = Cluster::shared().image("mca-proxy");
    Webhook::start_with(
        "{settle: 1s}",
        &format!("injection: {{image: '{image}', imagePullPolicy: Never}}\n"),
    )
}

fn rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    ])
}

fn labelled<'n>(webhook: &'n Webhook, name: &str) -> Builder<'n> {
    InPod::named(webhook.namespace(), name)
        .service_account(ACCOUNT, &rules())
        .label("mca.k8s.io/inject", "true")
        .with_clients()
}

/// A pod of these as a template.
fn template(pod: &Value) -> Value {
    let mut template = json!({"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]});
    template["metadata"]["labels"]["app"] = "app".into();
    template
}

#[test]
fn a_labelled_pod_waits_for_its_sidecar_and_never_sees_the_real_token() {
    let webhook = webhook();
    let log = Cluster::shared().audit_log();
    let pod = labelled(&webhook, "app").start().ready();
    let json = pod.json();
    assert_eq!(json["spec"]["initContainers"][0]["name"], "mca-proxy");
    assert_eq!(json["spec"]["automountServiceAccountToken"], false);
    // Its program began when the sidecar was ready, and not before.
    let status = |kind: &str, name: &str| {
        let statuses = json["status"][kind].as_array().expect("statuses");
        statuses
            .iter()
            .find(|status| status["name"] == name)
            .cloned()
            .expect("a status")
    };
    assert_eq!(status("initContainerStatuses", "mca-proxy")["started"], true);
    let placeholder = pod.exec(["cat", TOKEN]).ok().stdout;
    assert!(
        !placeholder.contains('.') && placeholder.len() > 20,
        "no JWT: {placeholder}"
    );
    let everything = pod
        .exec(["find", "/var/run/secrets", "-name", "token*"])
        .ok()
        .stdout;
    assert_eq!(everything.trim(), TOKEN, "no other token");
    pod.exec(["sh", "-c", &format!("echo x > {TOKEN}")]).failed();
    let variables = pod.exec(["env"]).ok().stdout;
    for line in [
        "KUBERNETES_SERVICE_HOST=127.0.0.1",
        "KUBERNETES_SERVICE_PORT=6443",
        "KUBERNETES_PORT=tcp://127.0.0.1:6443",
    ] {
        assert!(
            variables.lines().any(|variable| variable == line),
            "{line}\n{variables}"
        );
    }
    for client in Client::ALL {
        pod.client(client, &["crud"]).ok();
    }
    pod.kubectl(&["get", "configmaps"]).ok();
    let namespace = webhook.namespace().name();
    let event = log.event("a creation in the pod", |event| {
        event.verb == "create"
            && event
                .request_uri
                .contains(&format!("/namespaces/{namespace}/configmaps"))
    });
    assert_eq!(
        event.user.username,
        format!("system:serviceaccount:{namespace}:{ACCOUNT}")
    );
}

#[test]
fn nothing_reaches_the_sidecar_from_outside_the_pod() {
    let webhook = webhook();
    let pod = labelled(&webhook, "app").start().ready();
    let other = InPod::named(webhook.namespace(), "other").start().ready();
    let address = pod.json()["status"]["podIP"]
        .as_str()
        .expect("an address")
        .to_owned();
    let refused = other
        .exec(["nc", "-w", "2", &address, "6443", "-e", "true"])
        .failed();
    assert!(refused.stderr.contains("refused"), "{refused}");
}

#[test]
fn a_job_completes() {
    let webhook = webhook();
    let pod = labelled(&webhook, "job")
        .command(Client::Go.command(&["crud"]))
        .prepare()
        .into_json();
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
        "spec": {"backoffLimit": 0, "template": template(&pod)},
    });
    webhook.namespace().apply(&job.to_string());
    let kubectl = webhook.namespace().kubectl();
    kubectl
        .run(["wait", "--for=condition=Complete", "job/job", "--timeout=100s"])
        .ok();
    assert!(
        kubectl
            .run(["logs", "job/job", "--container", "app"])
            .ok()
            .stdout
            .contains(r#""ok":true"#)
    );
}

#[test]
fn a_deployment_rolls_and_evicted_pods_come_back_injected() {
    let webhook = webhook();
    let command = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"];
    let pod = labelled(&webhook, "app").command(command).prepare().into_json();
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "app"}}, "template": template(&pod)},
    });
    deployment["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
    webhook.namespace().apply(&deployment.to_string());
    let kubectl = webhook.namespace().kubectl();
    let rolled = || {
        kubectl
            .run(["rollout", "status", "deployment/app", "--timeout=100s"])
            .ok()
    };
    rolled();
    deployment["spec"]["template"]["metadata"]["annotations"] = json!({"version": "2"});
    webhook.namespace().apply(&deployment.to_string());
    rolled();
    let names = || {
        let list = kubectl
            .run(["get", "pods", "--selector=app=app", "-o", "json"])
            .ok()
            .json();
        let pods = list["items"].as_array().expect("pods").clone();
        pods.into_iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .inspect(|pod| assert_eq!(pod["spec"]["initContainers"][0]["name"], "mca-proxy"))
            .map(|pod| pod["metadata"]["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    let before = names();
    let evicted = &before[0];
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": evicted}});
    let path = format!(
        "/api/v1/namespaces/{}/pods/{evicted}/eviction",
        webhook.namespace().name()
    );
    kubectl
        .run_with(
            ["create", "--raw", &path, "--filename", "-"],
            eviction.to_string().as_bytes(),
        )
        .ok();
    within(Duration::from_secs(60), "a pod in its place", || {
        let now = names();
        (now.len() == 2 && !now.contains(evicted)).then_some(())
    });
    rolled();
    let fresh = names()
        .into_iter()
        .find(|name| !before.contains(name))
        .expect("a new pod");
    InPod::existing(webhook.namespace(), &fresh)
        .ready()
        .client(Client::Go, &["whoami"])
        .ok();
}

#[test]
fn a_sidecar_that_dies_is_started_again_and_clients_go_on() {
    let webhook = webhook();
    let pod = labelled(&webhook, "app")
        .command(Client::Go.command(&["watch", "--seconds", "30"]))
        .start();
    eventually("the watch", || {
        (!pod.client_log().events().is_empty()).then_some(())
    });
    let uid = pod.json()["metadata"]["uid"].as_str().expect("a UID").to_owned();
    let process = process_of(&uid);
    let killed = kill_process(
        Pid::from_raw(process.cast_signed()).expect("a process id"),
        Signal::KILL,
    );
    killed.expect("killed");
    within(Duration::from_secs(60), "another sidecar", || {
        let statuses = pod.json()["status"]["initContainerStatuses"][0].clone();
        (statuses["restartCount"] == 1 && statuses["started"] == true).then_some(())
    });
    // It watches on, with the authority and the token that it had.
    let kubectl = webhook.namespace().kubectl();
    kubectl.run(["create", "configmap", "after"]).ok();
    eventually("the event after", || {
        pod.client_log()
            .events()
            .iter()
            .any(|event| event.name == "after")
            .then_some(())
    });
    pod.reach("Succeeded", Duration::from_secs(90));
}

#[test]
fn it_is_let_in_where_pod_security_is_restricted() {
    let webhook = webhook();
    let label = "pod-security.kubernetes.io/enforce=restricted";
    Cluster::shared()
        .kubectl()
        .run(["label", "namespace", webhook.namespace().name(), label])
        .ok();
    let pod = InPod::named(webhook.namespace(), "app")
        .service_account(ACCOUNT, &rules())
        .label("mca.k8s.io/inject", "true")
        .start()
        .ready();
    assert_eq!(
        pod.json()["spec"]["initContainers"][0]["securityContext"]["readOnlyRootFilesystem"],
        true
    );
}
