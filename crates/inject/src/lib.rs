//! Puts the sidecar proxy into pods, and takes it out again: pod JSON to RFC 6902 operations.
//!
//! Pure: no I/O, no clock, no randomness, no environment; the webhook and the command line are the ones who talk. It works
//! on the JSON itself, so that fields which this program has never heard of survive.
//!
//! What holds:
//! - After injection no container but the sidecar mounts the volume with the real token, or anything else at the service
//!   account's directory ([`contract::SERVICE_ACCOUNT_PATH`], in whatever spelling).
//! - Injecting an injected pod is an empty patch. With other settings it is a patch to what those make; nothing grows.
//! - `uninject` of `inject` is the pod that it was, exactly. What was replaced is noted in an annotation.
//! - Whether a pod is injected is seen from its structure. The annotation is never proof: it is its author's. And what is
//!   found is made anew rather than believed: an image, a command, a mount or a variable that somebody wrote into "their"
//!   sidecar doesn't survive.
//! - No JSON, however odd, makes it panic.

mod adopt;
mod annotations;
pub mod contract;
mod diff;
mod kubernetes;
mod lists;
mod options;
mod paths;
mod places;
mod pod;
mod quantity;
mod recognise;
mod record;
mod refused;
mod restore;
pub mod secrets;
mod settings;
mod sidecar;
mod skip;
mod tokens;
mod transform;
mod warnings;
pub mod workload;

pub use json_patch;
use json_patch::Patch;
pub use kubernetes::{TooOld, check_version};
pub use options::{Endpoint, Options};
pub use quantity::{InvalidQuantity, Quantity};
pub use refused::Refused;
use serde_json::Value;
pub use settings::{
    GroupId, Image, ImagePullPolicy, InvalidSetting, Order, Resource, Resources, Settings, UserId,
};

use crate::{
    annotations::Wishes,
    contract::CONTAINER,
    pod::{Object, objects, text},
    recognise::{Injected, recognise},
    record::Record,
};

/// What to do to a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Injection {
    /// The operations, with paths from the pod; none if there is nothing to do.
    pub patch: Patch,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
}

/// What comes of a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It gets the sidecar, or has it.
    Inject(Injection),
    /// It passes as it is.
    Skip {
        /// Why: one sentence for the pod's author.
        reason: String,
    },
}

/// Where the pod's JSON comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From a file, before the API server has seen it.
    Manifest,
    /// From an admission review. The API server's ServiceAccount admission has been there before: if it mounted no token in
    /// a pod that doesn't say so itself, the ServiceAccount has `automountServiceAccountToken: false`. And a LimitRange may
    /// have added to the sidecar's resources.
    Admission,
}

/// Puts the sidecar into a pod from a file, or anything else with a pod's `metadata` and `spec`.
pub fn inject(pod: &Value, settings: &Settings) -> Result<Outcome, Refused> {
    inject_at(Stage::Manifest, pod, settings)
}

/// Puts the sidecar into a pod.
pub fn inject_at(stage: Stage, pod: &Value, settings: &Settings) -> Result<Outcome, Refused> {
    let spec = pod::check(pod)?;
    if let Some(reason) = skip::unasked(pod) {
        return Ok(Outcome::Skip { reason });
    }
    let injected = recognise(spec)?;
    let mut warnings = Vec::new();
    let (original, known) = match injected {
        Injected::No => (pod.clone(), Record::new()),
        Injected::Yes => {
            let known = restore::record(pod).unwrap_or_else(|error| {
                warnings.push(error.to_string());
                Record::new()
            });
            (restore::restore(pod.clone(), &known), known)
        }
    };
    let wishes = Wishes::read(pod::annotations(&original), settings)?;
    let spec = pod::check(&original)?;
    if let Some(reason) = skip::unwanted(spec, &wishes, stage, injected) {
        return match injected {
            Injected::No => Ok(Outcome::Skip { reason }),
            Injected::Yes => Err(Refused::InjectedAgainstItsWill { reason }),
        };
    }
    refuse(spec, &wishes)?;
    warnings.extend(warnings::warnings(spec, &wishes));
    let mut target = transform::transform(original, &wishes, &known)?;
    places::keep_places(&mut target, pod);
    if let (Some(made), Some(present)) = (sidecar_mut(&mut target), sidecar(pod)) {
        adopt::adopt(made, present, &wishes.settings, stage);
    }
    let patch = diff::diff(pod, &target);
    Ok(Outcome::Inject(Injection { patch, warnings }))
}

/// Takes the sidecar out of a pod, so that it is what it was before. A pod without it has nothing to do.
pub fn uninject(pod: &Value) -> Result<Injection, Refused> {
    let spec = pod::check(pod)?;
    let patch = match recognise(spec)? {
        Injected::No => Patch::default(),
        Injected::Yes => diff::diff(pod, &restore::restore(pod.clone(), &restore::record(pod)?)),
    };
    Ok(Injection {
        patch,
        warnings: Vec::new(),
    })
}

/// What can't be made right.
fn refuse(spec: &Object, wishes: &Wishes) -> Result<(), Refused> {
    if pod::is_true(spec, "hostNetwork") {
        return Err(Refused::HostNetwork);
    }
    if pod::is_true(spec, "shareProcessNamespace") && !wishes.allow_shared_process_namespace {
        return Err(Refused::SharedProcessNamespace);
    }
    let metrics_port = wishes.settings.metrics_port.map(u16::from);
    if metrics_port == Some(contract::LISTEN_PORT) {
        let taken_by = "the sidecar's way to the API".to_owned();
        return Err(Refused::MetricsPort {
            port: contract::LISTEN_PORT,
            taken_by,
        });
    }
    for container in pod::containers(spec) {
        // Before injection such a volume needn't be there; after it, it would be.
        let mut mounts = objects(container.object, "volumeMounts").enumerate();
        if let Some((index, mount)) = mounts.find(|(_, mount)| contract::is_own_volume(text(mount, "name"))) {
            return Err(Refused::OwnMount {
                field: format!("{}.volumeMounts[{index}]", container.field),
                volume: text(mount, "name").to_owned(),
            });
        }
        let ports = pod::list(container.object, "ports").iter();
        let mut ports = ports.filter_map(|port| port.get("containerPort")?.as_u64());
        if let Some(port) = metrics_port
            && ports.any(|taken| taken == u64::from(port))
        {
            let taken_by = format!("container {}", container.name());
            return Err(Refused::MetricsPort { port, taken_by });
        }
    }
    Ok(())
}

fn sidecar(pod: &Value) -> Option<&Object> {
    objects(pod::spec(pod)?, "initContainers").find(|container| text(container, "name") == CONTAINER)
}

fn sidecar_mut(pod: &mut Value) -> Option<&mut Value> {
    let containers = pod.get_mut("spec")?.get_mut("initContainers")?.as_array_mut()?;
    containers
        .iter_mut()
        .find(|container| container.get("name").is_some_and(|name| name == CONTAINER))
}
