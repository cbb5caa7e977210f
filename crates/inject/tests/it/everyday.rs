//! What injection does to ordinary pods.

use mk8s_inject::contract;
use serde_json::json;

use crate::support::{injected, sidecar};

#[test]
fn a_plain_pod_is_injected_once_and_comes_back() {
    let pod = json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "app", "image": "web" }] } });
    let injected = injected(&pod);
    assert_eq!(injected["spec"]["initContainers"][0]["name"], contract::CONTAINER);
    assert_eq!(sidecar(&injected)["restartPolicy"], "Always");
    assert_eq!(injected["spec"]["automountServiceAccountToken"], false);
}
