//! A pod without what injection of secrets put into it: whatever is ours is made anew, so that being recognised buys nothing.

use serde_json::{Value, json};

use super::{SecretsRefused, contract::*};
use crate::pod::{self, CONTAINER_LISTS, Object, objects, text};

/// Takes out what is ours; the pod may have nothing of it.
pub(super) fn strip(pod: &Value) -> Result<Value, SecretsRefused> {
    let Some(spec) = pod::spec(pod) else {
        return Ok(pod.clone());
    };
    let mut is_injected = false;
    for container in pod::containers(spec) {
        if ![INIT_CONTAINER, SIDECAR_CONTAINER].contains(&container.name()) {
            continue;
        }
        let has_request =
            objects(container.object, "env").any(|entry| text(entry, "name") == REQUEST_VARIABLE);
        if container.list != "initContainers" || !has_request {
            return Err(SecretsRefused::Own {
                name: container.name().to_owned(),
                field: container.field,
                what: "container",
            });
        }
        is_injected = true;
    }
    if !is_injected {
        return match objects(spec, "volumes").position(|volume| is_own_volume(text(volume, "name"))) {
            None => Ok(pod.clone()),
            Some(at) => Err(SecretsRefused::Own {
                field: format!("spec.volumes[{at}]"),
                name: text(objects(spec, "volumes").nth(at).unwrap_or(spec), "name").to_owned(),
                what: "volume",
            }),
        };
    }
    let mut pod = pod.clone();
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        strip_spec(spec);
    }
    if let Some(annotations) = pod
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(mk8s_secrets::contract::INJECTED);
    }
    Ok(pod)
}

fn strip_spec(spec: &mut Object) {
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    retain(spec, "initContainers", |container| {
        ![INIT_CONTAINER, SIDECAR_CONTAINER].contains(&name(container).as_str())
    });
    retain(spec, "volumes", |volume| !is_own_volume(&name(volume)));
    for list in CONTAINER_LISTS {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            retain(container, "volumeMounts", |mount| !is_own_volume(&name(mount)));
            let command = container.get_mut("command").and_then(Value::as_array_mut);
            if let Some(command) = command.filter(|command| command.first() == Some(&json!(EXEC_PROGRAM))) {
                let own = if command.get(1) == Some(&json!("--")) {
                    2
                } else {
                    1
                };
                command.drain(..own);
            }
        }
    }
}

/// Keeps these of a list; a list that becomes empty goes.
fn retain(parent: &mut Object, key: &str, keep: impl Fn(&Value) -> bool) {
    let Some(list) = parent.get_mut(key).and_then(Value::as_array_mut) else {
        return;
    };
    let before = list.len();
    list.retain(keep);
    if list.is_empty() && before > 0 {
        parent.remove(key);
    }
}
