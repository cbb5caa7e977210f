//! From an injected pod to the pod that it was.

use serde_json::{Value, json};

use crate::{
    contract::*,
    lists::{self, Before},
    pod::{self, CONTAINER_LISTS, Object, text},
    recognise::is_placeholder_mount,
    record::{Automount, ContainerRecord, Record},
    refused::Refused,
    sidecar,
};

/// The note on this pod; one of nothing if there is none.
pub(crate) fn record(pod: &Value) -> Result<Record, Refused> {
    match pod::annotations(pod).and_then(|annotations| annotations.get(INJECTED_ANNOTATION)) {
        None => Ok(Record::new()),
        Some(Value::String(text)) => Record::read(text),
        Some(_) => Err(Refused::Record {
            problem: "it isn't text".to_owned(),
        }),
    }
}

/// Takes the sidecar out of a pod that [`recognise`](crate::recognise) found it in.
pub(crate) fn restore(mut pod: Value, record: &Record) -> Value {
    if let Some(pod) = pod.as_object_mut() {
        restore_metadata(pod, record);
    }
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else {
        return pod;
    };
    let name_of = |value: &Value| {
        value
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    lists::restore(spec, "initContainers", &record.init_containers, |value| {
        name_of(value) == CONTAINER
    });
    lists::restore(spec, "volumes", &record.volumes, |value| {
        is_own_volume(&name_of(value))
    });
    for list in CONTAINER_LISTS {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            restore_container(container, record);
        }
    }
    // What isn't false any more was changed by somebody else since.
    if spec.get("automountServiceAccountToken") == Some(&json!(false)) {
        let value = match record.automount {
            None => {
                spec.remove("automountServiceAccountToken");
                return pod;
            }
            Some(Automount::True) => json!(true),
            Some(Automount::False) => json!(false),
            Some(Automount::Null) => Value::Null,
        };
        spec.insert("automountServiceAccountToken".to_owned(), value);
    }
    pod
}

fn restore_container(container: &mut Object, record: &Record) {
    let nothing = ContainerRecord::default();
    let taken = record.containers.get(text(container, "name")).unwrap_or(&nothing);
    let is_injected = pod::list(container, "volumeMounts")
        .iter()
        .any(is_placeholder_mount);
    if is_injected {
        let mut own = sidecar::environment();
        lists::restore(container, "env", &taken.env, |entry| take(&mut own, entry));
        let mut own = 1;
        lists::restore(container, "volumeMounts", &taken.volume_mounts, |mount| {
            let is_own = own > 0 && is_placeholder_mount(mount);
            own -= usize::from(is_own);
            is_own
        });
    } else if !taken.volume_mounts.is_empty() {
        // An excluded container lost its token and got nothing.
        lists::restore(container, "volumeMounts", &taken.volume_mounts, |_| false);
    }
}

/// Whether this is one of `own`, which it then is no more: each was added once.
fn take(own: &mut Vec<Value>, entry: &Value) -> bool {
    match own.iter().position(|own| own == entry) {
        Some(at) => {
            own.remove(at);
            true
        }
        None => false,
    }
}

fn restore_metadata(pod: &mut Object, record: &Record) {
    let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(INJECTED_ANNOTATION);
        if let Some(marker) = &record.marker {
            annotations.insert(INJECTED_ANNOTATION.to_owned(), marker.as_str().into());
        }
        if annotations.is_empty() {
            put_back(
                metadata,
                "annotations",
                record.annotations.unwrap_or(Before::Absent),
            );
        }
    }
    if metadata.is_empty() {
        put_back(pod, "metadata", record.metadata.unwrap_or(Before::Empty));
    }
}

fn put_back(parent: &mut Object, key: &str, before: Before) {
    match before {
        Before::Absent => {
            parent.remove(key);
        }
        Before::Null => {
            parent.insert(key.to_owned(), Value::Null);
        }
        Before::Empty => {
            parent.insert(key.to_owned(), json!({}));
        }
    }
}
