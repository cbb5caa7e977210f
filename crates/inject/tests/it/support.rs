//! What the tests share.

use mk8s_inject::{Injection, Outcome, Settings, Stage, contract, inject_at, json_patch, uninject};
use serde_json::Value;

/// Injects a pod that must be injected, from a file.
#[track_caller]
pub(crate) fn injection(pod: &Value) -> Injection {
    injection_at(Stage::Manifest, pod, &Settings::default())
}

/// Injects a pod that must be injected.
#[track_caller]
pub(crate) fn injection_at(stage: Stage, pod: &Value, settings: &Settings) -> Injection {
    match inject_at(stage, pod, settings) {
        Ok(Outcome::Inject(injection)) => injection,
        other => panic!("{other:?} of {pod:#}"),
    }
}

/// The injected pod, after it was seen that injecting it again changes nothing and that it can be taken out exactly.
#[track_caller]
pub(crate) fn injected(pod: &Value) -> Value {
    let injected = apply(pod, &injection(pod).patch);
    assert_eq!(injection(&injected).patch, json_patch::Patch::default());
    let taken_out = uninject(&injected).expect("it was injected");
    assert_eq!(&apply(&injected, &taken_out.patch), pod);
    injected
}

/// Why the pod is refused.
#[track_caller]
pub(crate) fn refusal(pod: &Value) -> String {
    match inject_at(Stage::Manifest, pod, &Settings::default()) {
        Err(refused) => refused.to_string(),
        other => panic!("{other:?} of {pod:#}"),
    }
}

/// Why the pod is passed over.
#[track_caller]
pub(crate) fn skip(stage: Stage, pod: &Value) -> String {
    match inject_at(stage, pod, &Settings::default()) {
        Ok(Outcome::Skip { reason }) => reason,
        other => panic!("{other:?} of {pod:#}"),
    }
}

#[track_caller]
pub(crate) fn apply(pod: &Value, patch: &json_patch::Patch) -> Value {
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, patch).expect("a patch that fits");
    pod
}

/// The sidecar's container.
#[track_caller]
pub(crate) fn sidecar(pod: &Value) -> &Value {
    let containers = pod["spec"]["initContainers"].as_array().expect("init containers");
    let mut sidecars = containers
        .iter()
        .filter(|container| container["name"] == contract::CONTAINER);
    let sidecar = sidecars.next().expect("the sidecar");
    assert!(sidecars.next().is_none());
    sidecar
}

/// The container of this name, init or not.
#[track_caller]
pub(crate) fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    ["initContainers", "containers"]
        .iter()
        .filter_map(|list| pod["spec"][list].as_array())
        .flatten()
        .find(|container| container["name"] == name)
        .expect("the container")
}

/// The variables of a container, as the kubelet takes them: the last of a name counts.
pub(crate) fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    container["env"]
        .as_array()?
        .iter()
        .rev()
        .find(|entry| entry["name"] == name)
}

/// What must be true of every injected pod, whoever wrote it.
#[track_caller]
pub(crate) fn assert_sealed(pod: &Value, excluded: &[&str]) {
    let spec = &pod["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    let private = |name: &str| contract::is_own_volume(name) && name != contract::PLACEHOLDER_VOLUME;
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec[list].as_array().into_iter().flatten() {
            if container["name"] == contract::CONTAINER {
                continue;
            }
            let name = container["name"].as_str().expect("a name");
            let mut placeholders = 0;
            for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                let volume = mount["name"].as_str().expect("a name");
                assert!(!private(volume), "{name} mounts {volume}");
                if volume == contract::PLACEHOLDER_VOLUME {
                    assert_eq!(mount["mountPath"], contract::SERVICE_ACCOUNT_PATH);
                    assert_eq!(mount["readOnly"], true);
                    placeholders += 1;
                }
            }
            let is_led = list != "ephemeralContainers" && !excluded.contains(&name);
            assert_eq!(placeholders, usize::from(is_led), "{name}");
            for (variable_name, value) in contract::ENVIRONMENT.iter().filter(|_| is_led) {
                let entries = container["env"].as_array().expect("variables").iter();
                let entries: Vec<&Value> = entries.filter(|entry| entry["name"] == *variable_name).collect();
                assert_eq!(entries.len(), 1, "{name}: {variable_name}");
                assert_eq!(entries[0]["value"], *value);
                assert!(entries[0].get("valueFrom").is_none());
            }
        }
    }
    let names = spec["volumes"]
        .as_array()
        .expect("volumes")
        .iter()
        .map(|volume| volume["name"].clone());
    for own in [
        contract::REAL_VOLUME,
        contract::PLACEHOLDER_VOLUME,
        contract::STATE_VOLUME,
    ] {
        assert_eq!(names.clone().filter(|name| name == own).count(), 1, "{own}");
    }
    sidecar(pod);
}
