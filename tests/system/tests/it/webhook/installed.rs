//! The webhook where it will run: in pods, as `deploy/webhook` has them.

use std::time::Duration;

use mk8s_testkit::{Cluster, within, workspace};
use serde_json::{Value, json};

use super::{NAME, Webhook, is_injected, pod};

/// `deploy/webhook/deployment.yaml` as objects, changed by kubectl alone.
fn deployment(webhook: &Webhook) -> Vec<Value> {
    let yaml = webhook.manifest("deployment.yaml");
    let arguments = [
        "create",
        "--dry-run=client",
        "--output",
        "json",
        "--filename",
        "-",
    ];
    let documents = yaml.split("\n---\n");
    let objects = documents.map(|document| {
        webhook
            .kubectl()
            .run_with(arguments, document.as_bytes())
            .ok()
            .json()
    });
    objects.collect()
}

fn find<'o>(objects: &'o mut [Value], kind: &str) -> &'o mut Value {
    let found = objects.iter_mut().find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in deploy/webhook"))
}

#[test]
fn installed_as_the_manifests_say_it_injects_and_survives_the_loss_of_a_pod() {
    let webhook = Webhook::prepare("{}");
    webhook.kubectl().run(["delete", "service", NAME]).ok();
    let mut objects = deployment(&webhook);
    find(&mut objects, "ConfigMap")["data"]["webhook.yaml"] = format!(
        "{{log: {{format: json}}, webhookConfigurations: [{}]}}",
        webhook.unique
    )
    .into();
    // The same program as everywhere, so there is no image: it and its libraries come from the node.
    let spec = &mut find(&mut objects, "Deployment")["spec"]["template"]["spec"];
    let programs = workspace::program("mk8s-webhook");
    let programs = programs.parent().expect("a program is in a directory");
    let container = &mut spec["containers"][0];
    container["image"] = "localhost/mk8s/busybox:dev".into();
    container["imagePullPolicy"] = "Never".into();
    container["command"] = json!(["/programs/mk8s-webhook"]);
    for (name, inside, outside) in [
        (
            "programs",
            "/programs",
            programs.to_str().expect("a path in UTF-8"),
        ),
        ("lib", "/lib", "/usr/lib"),
        ("lib64", "/lib64", "/usr/lib64"),
    ] {
        let mounts = spec["containers"][0]["volumeMounts"]
            .as_array_mut()
            .expect("mounts");
        mounts.push(json!({"name": name, "mountPath": inside, "readOnly": true}));
        let volumes = spec["volumes"].as_array_mut().expect("volumes");
        volumes.push(json!({"name": name, "hostPath": {"path": outside}}));
    }
    for object in &objects {
        webhook.namespace.apply(&object.to_string());
    }
    webhook.namespace.apply(&webhook.manifest("webhook.yaml"));
    let arguments = ["rollout", "status", "deployment", NAME, "--timeout=100s"];
    let rolled = webhook.kubectl().run(arguments);
    if rolled.code != Some(0) {
        let log = webhook
            .kubectl()
            .run(["logs", "--selector", "app.kubernetes.io/name=mk8s-webhook"]);
        let pods = webhook.kubectl().run(["describe", "pods"]);
        panic!("{rolled}\n{log}\n{pods}");
    }
    let injected = within(Duration::from_secs(30), "the API server to reach it", || {
        let ran = webhook.try_create(&pod("first"), &[]);
        (ran.code == Some(0)).then(|| ran.json())
    });
    assert!(is_injected(&injected));

    // One is lost; the other goes on, and the Deployment makes a new one.
    let list = webhook.json(&["get", "pods", "--selector", "app.kubernetes.io/name=mk8s-webhook"]);
    let names: Vec<_> = list["items"]
        .as_array()
        .expect("pods")
        .iter()
        .map(|p| &p["metadata"]["name"])
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let lost = names[0].as_str().expect("a name");
    webhook
        .kubectl()
        .run(["delete", "pod", lost, "--wait=false"])
        .ok();
    for made in 0..20 {
        let pod = webhook.create(&pod(&format!("during-{made}")), &[]);
        assert!(is_injected(&pod));
    }
    webhook.kubectl().run(arguments).ok();
}

#[test]
fn the_webhooks_pods_are_let_in_where_pod_security_is_restricted() {
    let webhook = Webhook::prepare("{}");
    let label = "pod-security.kubernetes.io/enforce=restricted";
    let namespace = webhook.namespace.name();
    Cluster::shared()
        .kubectl()
        .run(["label", "namespace", namespace, label])
        .ok();
    let mut objects = deployment(&webhook);
    let template = find(&mut objects, "Deployment")["spec"]["template"].clone();
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
    pod["metadata"]["name"] = "restricted".into();
    let created = webhook.create(&pod, &["--dry-run=server"]);
    assert_eq!(
        created["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"],
        true
    );
    // And the whole is accepted by the API server, to the last field.
    for object in &objects {
        let arguments = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "--filename",
            "-",
        ];
        let ran = webhook
            .kubectl()
            .run_with(arguments, object.to_string().as_bytes())
            .ok();
        assert!(!ran.stderr.contains("Warning"), "{ran}");
    }
}
