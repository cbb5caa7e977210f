//! Where pods are found in documents.

use mk8s_inject::workload::pods;
use serde_json::{Value, json};

fn pointers(document: &Value) -> Vec<String> {
    pods(document).iter().map(|pod| pod.pointer.to_string()).collect()
}

#[test]
fn every_kind_of_workload_has_its_pod() {
    let spec = json!({ "containers": [] });
    for (version, kinds, pointer) in [
        ("v1", &["Pod"][..], ""),
        ("v1", &["PodTemplate"], "/template"),
        ("v1", &["ReplicationController"], "/spec/template"),
        (
            "apps/v1",
            &["Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"],
            "/spec/template",
        ),
        (
            "extensions/v1beta1",
            &["Deployment", "DaemonSet"],
            "/spec/template",
        ),
        ("batch/v1", &["Job"], "/spec/template"),
        ("batch/v1beta1", &["CronJob"], "/spec/jobTemplate/spec/template"),
    ] {
        for kind in kinds {
            let mut document =
                json!({ "apiVersion": version, "kind": kind, "metadata": { "name": "n", "namespace": "s" } });
            // Nothing where the template should be is nothing to inject.
            assert_eq!(
                pointers(&document).len(),
                usize::from(pointer.is_empty()),
                "{kind}"
            );
            let mut at = &mut document;
            for name in pointer.split('/').filter(|name| !name.is_empty()) {
                at = &mut at[name];
            }
            at["spec"] = spec.clone();
            let found = pods(&document);
            assert_eq!(found.len(), 1, "{kind}");
            assert_eq!(found[0].pointer.as_str(), pointer);
            assert_eq!(
                (
                    found[0].kind.as_str(),
                    found[0].name.as_deref(),
                    found[0].namespace.as_deref()
                ),
                (*kind, Some("n"), Some("s"))
            );
        }
    }
}

#[test]
fn other_kinds_have_none() {
    for document in [
        json!({ "apiVersion": "v1", "kind": "Service", "spec": { "template": {} } }),
        json!({ "apiVersion": "example.com/v1", "kind": "Deployment", "spec": { "template": { "spec": {} } } }),
        json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": { "template": { "spec": {} } } }),
        json!({ "kind": "Deployment" }),
        json!({ "apiVersion": 1, "kind": [] }),
        json!(null),
        json!([{ "apiVersion": "v1", "kind": "Pod" }]),
    ] {
        assert_eq!(pointers(&document), Vec::<String>::new(), "{document}");
    }
}

#[test]
fn lists_are_searched() {
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "spec": {} });
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [pod, { "kind": "Service" }, {
        "apiVersion": "v1", "kind": "List", "items": [pod],
    }] });
    assert_eq!(pointers(&list), ["/items/0", "/items/2/items/0"]);
    // Elements of a typed list needn't say what they are.
    let typed = json!({ "apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{ "spec": { "template": { "spec": {} } } }] });
    assert_eq!(pointers(&typed), ["/items/0/spec/template"]);
    let untyped = json!({ "apiVersion": "v1", "kind": "List", "items": [{ "spec": {} }] });
    assert_eq!(pointers(&untyped), Vec::<String>::new());
}

#[test]
fn lists_without_end_are_not_followed() {
    let mut list = json!({ "apiVersion": "v1", "kind": "Pod", "spec": {} });
    for _ in 0..100 {
        list = json!({ "apiVersion": "v1", "kind": "List", "items": [list] });
    }
    assert_eq!(pointers(&list), Vec::<String>::new());
}
