//! What becomes of pods.

use mk8s_testkit::eventually;
use serde_json::{Value, json};

use super::{QUICK, Webhook, is_injected, pod};

#[test]
fn a_labelled_pod_comes_out_injected_and_another_does_not() {
    let webhook = Webhook::start(QUICK);
    assert!(is_injected(&webhook.create(&pod("labelled"), &[])));
    let stored = webhook.json(&["get", "pod", "labelled"]);
    assert!(is_injected(&stored), "{stored:#}");
    assert_eq!(stored["spec"]["automountServiceAccountToken"], false);

    for (name, label) in [("unlabelled", Value::Null), ("opted-out", json!("false"))] {
        let mut plain = pod(name);
        plain["metadata"]["labels"]["mca.k8s.io/inject"] = label;
        let stored = webhook.create(&plain, &[]);
        assert!(
            !is_injected(&stored) && stored["spec"]["initContainers"].is_null(),
            "{stored:#}"
        );
    }
}

#[test]
fn a_dry_run_shows_what_would_come_of_it() {
    let webhook = Webhook::start(QUICK);
    assert!(is_injected(&webhook.create(&pod("dry"), &["--dry-run=server"])));
    let arguments = ["apply", "--dry-run=server", "--output", "json", "--filename", "-"];
    let applied = webhook
        .kubectl()
        .run_with(arguments, pod("dry").to_string().as_bytes())
        .ok();
    assert!(is_injected(&applied.json()));
    webhook.kubectl().run(["get", "pod", "dry"]).failed();
}

#[test]
fn warnings_and_refusals_are_shown_to_whoever_makes_the_pod() {
    let webhook = Webhook::start(QUICK);
    let mut without_token = pod("without-token");
    without_token["spec"]["automountServiceAccountToken"] = json!(false);
    let ran = webhook.try_create(&without_token, &[]).ok();
    assert!(ran.stderr.contains("Warning: not injected: "), "{ran}");
    assert!(!is_injected(&ran.json()));

    let mut on_the_host = pod("on-the-host");
    on_the_host["spec"]["hostNetwork"] = json!(true);
    let ran = webhook.try_create(&on_the_host, &[]).failed();
    assert!(
        ran.stderr.contains("inject.mca.k8s.io") && ran.stderr.contains("spec.hostNetwork"),
        "{ran}"
    );

    let mut own_sidecar = pod("own-sidecar");
    own_sidecar["spec"]["initContainers"] =
        json!([{"name": "mca-proxy", "image": "mine", "restartPolicy": "Always"}]);
    let ran = webhook.try_create(&own_sidecar, &[]).failed();
    assert!(ran.stderr.contains("mca-proxy"), "{ran}");

    let mut marked = pod("marked");
    marked["metadata"]["annotations"] = json!({"mca.k8s.io/injected": "true"});
    let ran = webhook.try_create(&marked, &[]);
    assert!(
        ran.code != Some(0) || is_injected(&ran.json()),
        "a marker is no proof: {ran}"
    );
}

#[test]
fn the_pods_of_a_replicaset_are_injected() {
    let webhook = Webhook::start(QUICK);
    let mut labels = json!({"app": "web", "mca.k8s.io/inject": "true"});
    let template = json!({"metadata": {"labels": labels}, "spec": pod("")["spec"]});
    labels["mca.k8s.io/inject"].take();
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    });
    webhook.create(&set, &[]);
    let pods = eventually("three pods", || {
        let list = webhook.json(&["get", "pods", "--selector", "app=web"]);
        let items = list["items"].as_array()?.clone();
        (items.len() == 3).then_some(items)
    });
    for pod in &pods {
        assert!(is_injected(pod), "{pod:#}");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "ReplicaSet");
    }
}

#[test]
fn changing_and_deleting_an_injected_pod_goes_on_without_the_webhook() {
    let mut webhook = Webhook::start(QUICK);
    webhook.create(&pod("lasting"), &[]);
    webhook.kill("a");
    webhook.kill("b");
    webhook.kubectl().run(["label", "pod", "lasting", "more=1"]).ok();
    webhook.kubectl().run(["delete", "pod", "lasting"]).ok();
    let ran = webhook.try_create(&pod("late"), &[]).failed();
    assert!(
        ran.stderr.contains("inject.mca.k8s.io"),
        "who asks for the proxy never goes without: {ran}"
    );
    let mut plain = pod("plain");
    plain["metadata"]["labels"] = json!({});
    webhook.create(&plain, &[]);
}
