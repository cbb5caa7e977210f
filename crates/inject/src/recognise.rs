//! Whether a pod is injected, seen from its structure. What its annotations claim plays no part.
//!
//! Being recognised buys nothing: a recognised sidecar and its volumes are made anew, field by field, so that what a
//! pod's author wrote into them doesn't survive. Recognition only keeps a container that merely has the same name from
//! being overwritten in silence.

use serde_json::{Value, json};

use crate::{
    contract::*,
    paths::Place,
    pod::{self, Container, Object, objects, text},
    refused::Refused,
};

/// Whether the sidecar is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Injected {
    Yes,
    No,
}

/// Finds the sidecar. A container or a volume of injection's names that injection didn't make is refused.
pub(crate) fn recognise(spec: &Object) -> Result<Injected, Refused> {
    let mut injected = Injected::No;
    for container in pod::containers(spec).filter(|container| container.name() == CONTAINER) {
        if let Some(reason) = foreign(&container) {
            let reason = reason.to_owned();
            return Err(Refused::OwnContainer {
                field: container.field,
                reason,
            });
        }
        injected = Injected::Yes;
    }
    for volume in objects(spec, "volumes").filter(|volume| is_own_volume(text(volume, "name"))) {
        let kind = kind(text(volume, "name"));
        let reason = match injected {
            Injected::No => "the pod has no sidecar".to_owned(),
            Injected::Yes if volume.get(kind).is_some_and(Value::is_object) && volume.len() == 2 => continue,
            Injected::Yes => format!("it is no {kind}"),
        };
        let volume = text(volume, "name").to_owned();
        return Err(Refused::OwnVolume { volume, reason });
    }
    Ok(injected)
}

/// The mount that every injected container has, and others don't.
pub(crate) fn is_placeholder_mount(mount: &Value) -> bool {
    let Some(mount) = mount.as_object() else {
        return false;
    };
    text(mount, "name") == PLACEHOLDER_VOLUME
        && Place::of(text(mount, "mountPath")) == Place::ServiceAccount
        && pod::is_true(mount, "readOnly")
        && mount.len() == 3
}

/// Why this container of the sidecar's name isn't the sidecar.
fn foreign(container: &Container<'_>) -> Option<&'static str> {
    let object = container.object;
    let probe = object
        .get("startupProbe")
        .and_then(|probe| probe.get("exec")?.get("command"));
    let mounts = |volume| objects(object, "volumeMounts").any(|mount| text(mount, "name") == volume);
    if container.list != "initContainers" {
        Some("it is no init container")
    } else if text(object, "restartPolicy") != "Always" {
        Some("it has no restartPolicy: Always")
    } else if probe != Some(&json!([PROGRAM, "ready"])) {
        Some("its startup probe isn't `/mca-proxy ready`")
    } else if ![REAL_VOLUME, PLACEHOLDER_VOLUME, STATE_VOLUME]
        .into_iter()
        .all(mounts)
    {
        Some("it doesn't mount the sidecar's volumes")
    } else {
        None
    }
}

/// What a volume of injection's is.
fn kind(name: &str) -> &'static str {
    match name {
        REAL_VOLUME => "projected",
        PLACEHOLDER_VOLUME | STATE_VOLUME => "emptyDir",
        CONFIG_VOLUME => "configMap",
        _ => "secret",
    }
}
