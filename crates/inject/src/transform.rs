//! From a pod without the sidecar to the pod with it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    annotations::Wishes,
    contract::*,
    lists::{Before, Change},
    paths::Place,
    pod::{self, CONTAINER_LISTS, Object, objects, text},
    record::{Automount, ContainerRecord, Record},
    refused::Refused,
    settings::Order,
    sidecar, tokens,
};

/// What all annotations of an object may have together, names included, in bytes (Kubernetes' TotalAnnotationSizeLimitB).
const LARGEST_ANNOTATIONS: usize = 256 * 1024;
/// What the volumes of the API server's ServiceAccount admission begin with.
const ADMISSION_VOLUME_PREFIX: &str = "kube-api-access-";

/// Puts the sidecar in. The pod has none: no container, volume or mount of injection's names. `known` is the note of an
/// injection before, if there was one.
pub(crate) fn transform(mut pod: Value, wishes: &Wishes, known: &Record) -> Result<Value, Refused> {
    let container = sidecar::container(wishes)?;
    let mut record = Record::new();
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        let lost = change_containers(spec, wishes, &mut record);
        change_volumes(spec, &lost, wishes, &mut record);
        let (front, back) = match wishes.settings.order {
            Order::First => (vec![container], vec![]),
            Order::Last => (vec![], vec![container]),
        };
        let take = |_: &Value| false;
        record.init_containers = Change { take, front, back }.apply(spec, "initContainers");
        let automount = spec.insert("automountServiceAccountToken".to_owned(), json!(false));
        record.automount = automount.map(|before| match before {
            Value::Bool(true) => Automount::True,
            Value::Bool(false) => Automount::False,
            _ => Automount::Null,
        });
    }
    if let Some(pod) = pod.as_object_mut() {
        annotate(pod, record, known)?;
    }
    Ok(pod)
}

/// Leads the containers to the sidecar; gives the names of the volumes that lost a mount.
fn change_containers(spec: &mut Object, wishes: &Wishes, record: &mut Record) -> BTreeSet<String> {
    let token_volumes: BTreeSet<String> = objects(spec, "volumes")
        .filter(|volume| tokens::token(volume, &wishes.settings.api_audiences).is_some())
        .map(|volume| text(volume, "name").to_owned())
        .collect();
    let mut lost = BTreeSet::new();
    for list in CONTAINER_LISTS {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            let name = text(container, "name").to_owned();
            let taken = if wishes.excluded.contains(&name) {
                exclude(container, &token_volumes)
            } else {
                lead(container)
            };
            lost.extend(
                taken
                    .volume_mounts
                    .removed
                    .iter()
                    .map(|(_, mount)| name_of(mount)),
            );
            if !taken.is_empty() {
                record.containers.insert(name, taken);
            }
        }
    }
    lost
}

/// Leads a container's clients to the sidecar.
pub(crate) fn lead(container: &mut Object) -> ContainerRecord {
    let env = Change {
        take: |entry: &Value| {
            ENVIRONMENT
                .iter()
                .any(|(name, _)| entry.get("name") == Some(&json!(name)))
        },
        // At the front, so that `$(KUBERNETES_SERVICE_HOST)` in the others means the sidecar.
        front: sidecar::environment(),
        back: Vec::new(),
    };
    let volume_mounts = Change {
        take: |mount: &Value| is_in_place(mount),
        front: Vec::new(),
        back: vec![sidecar::placeholder_mount()],
    };
    ContainerRecord {
        env: env.apply(container, "env"),
        volume_mounts: volume_mounts.apply(container, "volumeMounts"),
    }
}

/// Takes the token from a container that is to be left alone otherwise.
fn exclude(container: &mut Object, token_volumes: &BTreeSet<String>) -> ContainerRecord {
    let is_token = |mount: &Value| {
        let volume = name_of(mount);
        is_in_place(mount) && (volume.starts_with(ADMISSION_VOLUME_PREFIX) || token_volumes.contains(&volume))
    };
    if !pod::list(container, "volumeMounts").iter().any(is_token) {
        return ContainerRecord::default();
    }
    let change = Change {
        take: is_token,
        front: Vec::new(),
        back: Vec::new(),
    };
    ContainerRecord {
        volume_mounts: change.apply(container, "volumeMounts"),
        ..ContainerRecord::default()
    }
}

/// Drops token volumes that nobody mounts any more, and adds injection's.
fn change_volumes(spec: &mut Object, lost: &BTreeSet<String>, wishes: &Wishes, record: &mut Record) {
    let used: BTreeSet<String> = pod::containers(spec)
        .flat_map(|container| objects(container.object, "volumeMounts"))
        .map(|mount| text(mount, "name").to_owned())
        .collect();
    let change = Change {
        take: |volume: &Value| {
            let name = name_of(volume);
            let is_token = || {
                volume
                    .as_object()
                    .is_some_and(|volume| tokens::token(volume, &[]).is_some())
            };
            lost.contains(&name) && !used.contains(&name) && is_token()
        },
        front: Vec::new(),
        back: sidecar::volumes(wishes),
    };
    record.volumes = change.apply(spec, "volumes");
}

/// Writes the note onto the pod.
fn annotate(pod: &mut Object, mut record: Record, known: &Record) -> Result<(), Refused> {
    record.metadata = match pod.get("metadata") {
        None => Some(Before::Absent),
        Some(Value::Null) => Some(Before::Null),
        Some(_) => None,
    };
    let metadata = object_at(pod, "metadata");
    record.annotations = match metadata.get("annotations") {
        Some(Value::Null) => Some(Before::Null),
        Some(Value::Object(annotations)) if annotations.is_empty() => Some(Before::Empty),
        _ => None,
    };
    let annotations = object_at(metadata, "annotations");
    record.marker = match annotations.get(INJECTED_ANNOTATION) {
        None => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(value) => {
            return Err(Refused::annotation(
                INJECTED_ANNOTATION,
                &value.to_string(),
                "isn't text; remove it",
            ));
        }
    };
    record.inherit(known);
    annotations.insert(INJECTED_ANNOTATION.to_owned(), record.write()?.into());
    let bytes = annotations
        .iter()
        .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
        .sum();
    if bytes > LARGEST_ANNOTATIONS {
        return Err(Refused::TooLarge {
            bytes,
            limit: LARGEST_ANNOTATIONS,
        });
    }
    Ok(())
}

/// The object at this key, made if there is none.
fn object_at<'a>(parent: &'a mut Object, key: &str) -> &'a mut Object {
    let slot = parent.entry(key).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    match slot {
        Value::Object(object) => object,
        _ => unreachable!("it was made one"),
    }
}

/// Whether a mount lies at the service account's directory, or in it.
fn is_in_place(mount: &Value) -> bool {
    mount
        .get("mountPath")
        .and_then(Value::as_str)
        .is_some_and(|path| Place::of(path) == Place::ServiceAccount)
}

fn name_of(value: &Value) -> String {
    value
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
