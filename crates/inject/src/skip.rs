//! Pods that pass as they are.

use serde_json::Value;

use crate::{
    Stage,
    annotations::{self, Wishes},
    contract::*,
    paths::Place,
    pod::{self, Object, objects, text},
    recognise::Injected,
};

/// Why nobody asks for the sidecar in this pod.
pub(crate) fn unasked(pod: &Value) -> Option<String> {
    if annotations::opted_out(pod::labels(pod)) {
        return Some(format!("not injected: the label {INJECT_LABEL} is \"false\""));
    }
    // What the kubelet made of a file on its node; it can't be changed through the API server, and has no token.
    let is_mirror = pod::annotations(pod)
        .is_some_and(|annotations| annotations.contains_key("kubernetes.io/config.mirror"));
    is_mirror.then(|| "not injected: it is the mirror of a static pod".to_owned())
}

/// Why this pod, as it was before injection, must not have the sidecar.
pub(crate) fn unwanted(spec: &Object, wishes: &Wishes, stage: Stage, injected: Injected) -> Option<String> {
    if is_windows(spec) {
        return Some("not injected: the sidecar doesn't run on Windows".to_owned());
    }
    if wishes.allow_automount {
        return None;
    }
    let leave = format!("the annotation {ALLOW_AUTOMOUNT_ANNOTATION}: \"true\" allows it");
    match spec.get("automountServiceAccountToken").and_then(Value::as_bool) {
        Some(false) => Some(format!(
            "not injected: automountServiceAccountToken is false, and the sidecar would give access to the API; {leave}"
        )),
        Some(true) => None,
        None if stage == Stage::Admission && injected == Injected::No && account_withholds_token(spec) => {
            Some(format!(
                "not injected: its ServiceAccount has automountServiceAccountToken: false, and the sidecar would give access to the \
             API; {leave}"
            ))
        }
        None => None,
    }
}

pub(crate) fn is_windows(spec: &Object) -> bool {
    let at = |path: &[&str]| {
        let mut value = spec.get(path[0]);
        for key in &path[1..] {
            value = value.and_then(|value| value.get(key));
        }
        value.filter(|value| !value.is_null())
    };
    at(&["os", "name"]).is_some_and(|os| os == "windows")
        || at(&["nodeSelector", "kubernetes.io/os"]).is_some_and(|os| os == "windows")
        || at(&["nodeSelector", "beta.kubernetes.io/os"]).is_some_and(|os| os == "windows")
        || at(&["securityContext", "windowsOptions"]).is_some()
}

/// Whether the API server's ServiceAccount admission left this pod without a token: it mounts one in each container that has
/// nothing at that path, of a volume whose name begins so.
fn account_withholds_token(spec: &Object) -> bool {
    let has_volume =
        objects(spec, "volumes").any(|volume| text(volume, "name").starts_with("kube-api-access-"));
    let lacks_mount = |container: &Object| {
        !objects(container, "volumeMounts")
            .any(|mount| Place::of(text(mount, "mountPath")) == Place::ServiceAccount)
    };
    !has_volume
        && pod::CONTAINER_LISTS
            .iter()
            .flat_map(|list| objects(spec, list))
            .any(lacks_mount)
}
