//! What injection does to ordinary pods.

use mk8s_inject::{Injection, Outcome, Settings, contract, inject, json_patch, uninject};
use serde_json::{Value, json};

#[track_caller]
fn injection(pod: &Value) -> Injection {
    match inject(pod, &Settings::default()) {
        Ok(Outcome::Inject(injection)) => injection,
        other => panic!("{other:?}"),
    }
}

fn apply(pod: &Value, patch: &json_patch::Patch) -> Value {
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, patch).expect("a patch that fits");
    pod
}

#[test]
fn a_plain_pod_is_injected_once_and_comes_back() {
    let pod = json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "app", "image": "web" }] } });
    let injected = apply(&pod, &injection(&pod).patch);
    assert_eq!(injected["spec"]["initContainers"][0]["name"], contract::CONTAINER);
    assert_eq!(injected["spec"]["initContainers"][0]["restartPolicy"], "Always");
    assert_eq!(injected["spec"]["automountServiceAccountToken"], false);
    assert_eq!(
        injection(&injected),
        Injection {
            patch: json_patch::Patch::default(),
            warnings: vec![]
        }
    );
    assert_eq!(apply(&injected, &uninject(&injected).expect("ours").patch), pod);
}
