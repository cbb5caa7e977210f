//! Pods that injection can't do right, and pods that it passes over.

use mk8s_inject::{Outcome, Settings, Stage, inject};
use serde_json::{Value, json};

use crate::support::{injected, injection, refusal, skip};

fn pod(spec: Value) -> Value {
    let mut pod = json!({ "metadata": { "name": "x" }, "spec": { "containers": [{ "name": "app" }] } });
    let fields = spec.as_object().expect("fields").clone();
    pod["spec"].as_object_mut().expect("an object").extend(fields);
    pod
}

#[track_caller]
fn refuses(spec: Value, expected: &str) {
    let refusal = refusal(&pod(spec));
    assert!(refusal.contains(expected), "{refusal}");
}

#[test]
fn host_network_is_refused() {
    refuses(json!({ "hostNetwork": true }), "spec.hostNetwork: ");
    injected(&pod(json!({ "hostNetwork": false })));
}

#[test]
fn a_shared_process_namespace_is_refused_unless_it_is_accepted() {
    let shared = json!({ "shareProcessNamespace": true });
    refuses(shared.clone(), "mca.k8s.io/allow-shared-process-namespace");
    let mut accepted = pod(shared);
    accepted["metadata"]["annotations"] = json!({ "mca.k8s.io/allow-shared-process-namespace": "true" });
    assert!(injection(&accepted).warnings[0].starts_with("spec.shareProcessNamespace: "));
    assert!(injection(&pod(json!({ "hostPID": true }))).warnings[0].starts_with("spec.hostPID: "));
}

#[test]
fn windows_is_passed_over() {
    for spec in [
        json!({ "os": { "name": "windows" } }),
        json!({ "nodeSelector": { "kubernetes.io/os": "windows" } }),
        json!({ "nodeSelector": { "beta.kubernetes.io/os": "windows" } }),
        json!({ "securityContext": { "windowsOptions": { "runAsUserName": "ContainerUser" } } }),
    ] {
        assert!(skip(Stage::Manifest, &pod(spec)).contains("Windows"));
    }
    injected(&pod(
        json!({ "os": { "name": "linux" }, "nodeSelector": { "kubernetes.io/os": "linux" } }),
    ));
}

#[test]
fn a_pod_without_a_token_is_passed_over_unless_it_asks() {
    let withheld = pod(json!({ "automountServiceAccountToken": false }));
    assert!(skip(Stage::Manifest, &withheld).contains("mca.k8s.io/allow-automount"));
    let mut asking = withheld;
    asking["metadata"]["annotations"] = json!({ "mca.k8s.io/allow-automount": "true" });
    let mut injected = injected(&asking);
    // Once it is in, the leave can't be withdrawn quietly: the pod would pass with a sidecar that nobody made.
    injected["metadata"]["annotations"]
        .as_object_mut()
        .expect("annotations")
        .remove("mca.k8s.io/allow-automount");
    assert!(refusal(&injected).contains("and yet the pod has the sidecar"));
}

#[test]
fn opting_out_and_mirror_pods_are_passed_over() {
    let mut out = pod(json!({ "hostNetwork": true }));
    out["metadata"]["labels"] = json!({ "mca.k8s.io/inject": "false" });
    assert!(skip(Stage::Manifest, &out).contains("mca.k8s.io/inject"));
    let mut mirror = pod(json!({ "hostNetwork": true }));
    mirror["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "abc" });
    assert!(skip(Stage::Admission, &mirror).contains("static"));
}

#[test]
fn a_pod_without_containers_is_refused() {
    for containers in [json!([]), Value::Null] {
        assert!(refusal(&json!({ "spec": { "containers": containers } })).starts_with("spec.containers: "));
    }
    assert!(refusal(&json!({ "spec": {} })).starts_with("spec.containers: "));
}

#[test]
fn what_is_no_pod_is_refused_with_its_place() {
    for (pod, expected) in [
        (json!(null), "pod: must be an object"),
        (json!([]), "pod: must be an object"),
        (json!({}), "spec: is missing"),
        (json!({ "spec": "x" }), "spec: must be an object"),
        (
            json!({ "metadata": 1, "spec": {} }),
            "metadata: must be an object",
        ),
        (
            json!({ "metadata": { "annotations": [] }, "spec": {} }),
            "metadata.annotations: must be an object",
        ),
        (
            json!({ "spec": { "containers": {} } }),
            "spec.containers: must be a list",
        ),
        (
            json!({ "spec": { "containers": [1] } }),
            "spec.containers[0]: must be an object",
        ),
        (
            json!({ "spec": { "containers": [{}] } }),
            "spec.containers[0].name: must be text",
        ),
        (
            json!({ "spec": { "containers": [{ "name": "" }] } }),
            "spec.containers[0].name: is empty",
        ),
        (
            json!({ "spec": { "containers": [{ "name": "a" }, { "name": "a" }] } }),
            "spec.containers[1].name: \"a\" is there twice",
        ),
        (
            json!({ "spec": { "containers": [{ "name": "a", "env": {} }] } }),
            "spec.containers[0].env: must be a list",
        ),
        (
            json!({ "spec": { "containers": [{ "name": "a", "env": [{}] }] } }),
            "spec.containers[0].env[0].name: must be text",
        ),
        (
            json!({ "spec": { "containers": [{ "name": "a", "volumeMounts": [{ "name": "x" }] }] } }),
            "spec.containers[0].volumeMounts[0].mountPath: must be text",
        ),
        (
            json!({ "spec": { "hostNetwork": "true", "containers": [] } }),
            "spec.hostNetwork: must be true or false",
        ),
        (
            json!({ "spec": { "volumes": [{}], "containers": [] } }),
            "spec.volumes[0].name: must be text",
        ),
    ] {
        let refusal = refusal(&pod);
        assert!(refusal.starts_with(expected), "{refusal}");
        assert!(refusal.contains("kubectl explain pod"), "{refusal}");
    }
}

#[test]
fn a_port_for_metrics_that_is_taken_is_refused() {
    let settings = Settings {
        metrics_port: std::num::NonZeroU16::new(9090),
        ..Settings::default()
    };
    let pod = pod(json!({ "containers": [{ "name": "app", "ports": [{ "containerPort": 9090 }] }] }));
    let refused = inject(&pod, &settings).expect_err("taken").to_string();
    assert!(
        refused.contains("9090") && refused.contains("container app"),
        "{refused}"
    );
}

#[test]
fn a_limit_below_the_request_is_refused() {
    let mut pod = pod(json!({}));
    pod["metadata"]["annotations"] = json!({ "mca.k8s.io/memory-limit": "8Mi" });
    assert!(refusal(&pod).contains("memory limit 8Mi is below its request 16Mi"));
}

#[test]
fn annotations_that_would_not_fit_are_refused() {
    let mut pod = pod(
        json!({ "containers": [{ "name": "app", "env": [{ "name": "KUBERNETES_PORT", "value": "x".repeat(200_000) }] }] }),
    );
    pod["metadata"]["annotations"] = json!({ "a": "x".repeat(50_000) });
    injected(&pod);
    pod["metadata"]["annotations"] = json!({ "a": "x".repeat(70_000) });
    assert!(refusal(&pod).contains("Kubernetes takes 262144"));
}

#[test]
fn a_pod_of_three_megabytes_is_injected() {
    let env: Vec<Value> = (0..40_000)
        .map(|i| json!({ "name": format!("VARIABLE_{i}"), "value": "x".repeat(50) }))
        .collect();
    let pod = pod(json!({ "containers": [{ "name": "app", "env": env }] }));
    assert!(pod.to_string().len() > 3_000_000);
    injected(&pod);
}

#[test]
fn passing_over_changes_nothing() {
    let withheld = pod(json!({ "automountServiceAccountToken": false }));
    assert!(matches!(
        inject(&withheld, &Settings::default()),
        Ok(Outcome::Skip { .. })
    ));
}
