//! Pods that have been through the API server: defaults, admission plugins, other webhooks.

use mk8s_inject::{Settings, Stage, contract, json_patch};
use serde_json::{Value, json};

use crate::support::{apply, assert_sealed, injected, injection_at, skip};

fn pod() -> Value {
    json!({ "metadata": { "name": "x" }, "spec": { "containers": [{ "name": "app", "image": "app" }] } })
}

/// What the API server makes of the sidecar: what it fills in, and how it writes quantities.
fn admitted(settings: &Settings) -> Value {
    let mut pod = pod();
    pod["spec"]["automountServiceAccountToken"] = json!(true);
    let mut pod = apply(&pod, &injection_at(Stage::Manifest, &pod, settings).patch);
    let sidecar = &mut pod["spec"]["initContainers"][0];
    sidecar["terminationMessagePath"] = json!("/dev/termination-log");
    if sidecar.get("imagePullPolicy").is_none() {
        sidecar["imagePullPolicy"] = json!("IfNotPresent");
    }
    pod["spec"]["containers"][0]["terminationMessagePolicy"] = json!("File");
    pod["spec"]["restartPolicy"] = json!("Always");
    pod["spec"]["securityContext"] = json!({});
    pod
}

#[track_caller]
fn is_left_alone(pod: &Value, settings: &Settings) {
    assert_eq!(
        injection_at(Stage::Admission, pod, settings).patch,
        json_patch::Patch::default()
    );
}

#[test]
fn a_pod_injected_by_the_command_line_passes_the_webhook() {
    is_left_alone(&admitted(&Settings::default()), &Settings::default());
}

#[test]
fn quantities_in_the_api_servers_spelling_are_the_same() {
    let settings: Settings = serde_json::from_value(
        json!({ "resources": { "requests": { "cpu": "0.05" }, "limits": { "memory": "1024Mi", "cpu": 1 } } }),
    )
    .expect("settings");
    let mut pod = admitted(&settings);
    pod["spec"]["initContainers"][0]["resources"] =
        json!({ "requests": { "cpu": "50m", "memory": "1Gi" }, "limits": { "memory": "1Gi", "cpu": "1" } });
    is_left_alone(&pod, &settings);
}

#[test]
fn a_limit_ranges_defaults_stay_and_other_values_do_not() {
    let mut pod = admitted(&Settings::default());
    pod["spec"]["initContainers"][0]["resources"]["limits"]["cpu"] = json!("500m");
    is_left_alone(&pod, &Settings::default());
    pod["spec"]["initContainers"][0]["resources"]["limits"]["memory"] = json!("1Gi");
    let patch = injection_at(Stage::Admission, &pod, &Settings::default()).patch;
    assert_eq!(patch.len(), 1);
    assert_eq!(
        patch[0].path().as_str(),
        "/spec/initContainers/0/resources/limits/memory"
    );
}

#[test]
fn openshifts_choices_stay_where_nothing_is_set() {
    let settings = Settings {
        uid: None,
        gid: None,
        ..Settings::default()
    };
    let mut pod = admitted(&settings);
    let context = &mut pod["spec"]["initContainers"][0]["securityContext"];
    context["runAsUser"] = json!(1_000_680_000);
    context["seLinuxOptions"] = json!({ "level": "s0:c26,c5" });
    context["capabilities"]["drop"] = json!(["ALL", "KILL"]);
    is_left_alone(&pod, &settings);
    let patch = injection_at(Stage::Admission, &pod, &Settings::default()).patch;
    assert_eq!(patch.len(), 2, "set, they are the settings': {patch:?}");
}

#[test]
fn always_pull_images_stays() {
    let settings: Settings =
        serde_json::from_value(json!({ "imagePullPolicy": "IfNotPresent" })).expect("settings");
    let mut pod = admitted(&settings);
    is_left_alone(&pod, &settings);
    pod["spec"]["initContainers"][0]["imagePullPolicy"] = json!("Always");
    is_left_alone(&pod, &settings);
}

#[test]
fn a_container_that_another_webhook_added_meanwhile_is_led_too() {
    let mut pod = admitted(&Settings::default());
    let late = json!({ "name": "late", "restartPolicy": "Always" });
    pod["spec"]["initContainers"]
        .as_array_mut()
        .expect("a list")
        .insert(0, late);
    let again = apply(
        &pod,
        &injection_at(Stage::Admission, &pod, &Settings::default()).patch,
    );
    assert_sealed(&again, &[]);
    assert_eq!(again["spec"]["initContainers"][0]["name"], contract::CONTAINER);
    is_left_alone(&again, &Settings::default());
}

#[test]
fn variables_that_others_put_into_the_sidecar_go() {
    let mut pod = admitted(&Settings::default());
    pod["spec"]["initContainers"][0]["env"] = json!([{ "name": "LD_PRELOAD", "value": "/opt/agent.so" }]);
    let again = apply(
        &pod,
        &injection_at(Stage::Admission, &pod, &Settings::default()).patch,
    );
    assert_eq!(again["spec"]["initContainers"][0].get("env"), None);
}

#[test]
fn a_service_account_that_withholds_its_token_is_heeded_at_admission() {
    // From a file nobody knows.
    injected(&pod());
    assert!(skip(Stage::Admission, &pod()).contains("its ServiceAccount"));
    let mut asking = pod();
    asking["metadata"]["annotations"] = json!({ "mca.k8s.io/allow-automount": "true" });
    injection_at(Stage::Admission, &asking, &Settings::default());
    // What the API server mounted says that it doesn't withhold it.
    let mut mounted = pod();
    mounted["spec"]["volumes"] = json!([{ "name": "kube-api-access-x7k2p", "projected": { "sources": [] } }]);
    injection_at(Stage::Admission, &mounted, &Settings::default());
    let mut explicit = pod();
    explicit["spec"]["automountServiceAccountToken"] = json!(true);
    injection_at(Stage::Admission, &explicit, &Settings::default());
}
