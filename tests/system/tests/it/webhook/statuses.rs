//! What the webhook says in the status of clusters and routes.

use std::time::Duration;

use mk8s_testkit::{Namespace, within};
use serde_json::{Value, json};

use super::{QUICK, Webhook};
use crate::sidecar::custom_resources;

fn apply(namespace: &Namespace, kind: &str, name: &str, spec: &Value) {
    let object =
        json!({"apiVersion": "mca.k8s.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    namespace.apply(&object.to_string());
}

/// Waits until kubectl shows this status and a reason with this text for an object.
fn accepted(namespace: &Namespace, object: &str, status: &str, says: &str) {
    within(
        Duration::from_secs(30),
        &format!("{object} {status} {says}"),
        || {
            let shown = namespace
                .kubectl()
                .run(["get", object, "--output", "wide", "--no-headers"])
                .ok();
            let text = shown.text();
            (text.split_whitespace().any(|word| word == status) && text.contains(says)).then_some(())
        },
    );
}

#[test]
fn the_status_of_clusters_and_routes_says_whether_sidecars_take_them() {
    custom_resources::install();
    let webhook = Webhook::start_with(QUICK, "customResources: {status: true}\n");
    let namespace = webhook.namespace();
    apply(
        namespace,
        "Cluster",
        "west",
        &json!({"server": "https://west.example"}),
    );
    apply(namespace, "Route", "there", &json!({"clusters": ["west"]}));
    accepted(namespace, "clusters.mca.k8s.io/west", "True", "west.example");
    accepted(namespace, "routes.mca.k8s.io/there", "True", "west");

    apply(namespace, "Route", "wrong", &json!({"clusters": ["nowhere"]}));
    accepted(namespace, "routes.mca.k8s.io/wrong", "False", "nowhere");
    accepted(
        namespace,
        "routes.mca.k8s.io/there",
        "False",
        "routes.mca.k8s.io/wrong",
    );
    accepted(
        namespace,
        "clusters.mca.k8s.io/west",
        "False",
        "routes.mca.k8s.io/wrong",
    );

    apply(namespace, "Route", "wrong", &json!({"clusters": ["west"]}));
    accepted(namespace, "routes.mca.k8s.io/wrong", "True", "west");
    accepted(namespace, "routes.mca.k8s.io/there", "True", "west");
    let route: Value = namespace
        .kubectl()
        .run(["get", "routes.mca.k8s.io/wrong", "--output", "json"])
        .ok()
        .json();
    assert_eq!(
        route["status"]["observedGeneration"],
        route["metadata"]["generation"]
    );
    let condition = &route["status"]["conditions"][0];
    assert_eq!(condition["reason"], "Accepted", "{route:#}");
}
