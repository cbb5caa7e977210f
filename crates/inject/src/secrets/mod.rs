//! Puts secrets into pods: an init container that writes them, a native sidecar that keeps them up to date, volumes in memory,
//! and, where a pod wants variables, a program before each container's own.
//!
//! What holds, beside what holds for all injection:
//! - No secret's value, and nothing of the application's configuration, stands in the pod.
//! - Only our own containers mount that configuration.
//! - Doing it twice is an empty patch: what is ours is taken out, and made anew. The annotation
//!   [`INJECTED`](mk8s_secrets::contract::INJECTED) proves nothing.

mod containers;
pub mod contract;
mod refused;
mod settings;
mod strip;

use std::collections::BTreeMap;

use mk8s_secrets::contract::{self as annotations, Auth, CaObject, Request};
use serde_json::{Value, json};

use self::contract::*;
pub use self::{refused::SecretsRefused, settings::SecretsSettings};
use crate::{
    Injection, Outcome,
    contract::SERVICE_ACCOUNT_PATH,
    diff, places,
    pod::{self, CONTAINER_LISTS, Object, objects, text},
    recognise::{Injected, recognise},
    transform,
};

/// Of what our containers alone mount. Files there are root's, and a pod may give all its containers any user and group, ours too.
const OWN_MODE: u32 = 0o444;

/// Parses a template's text.
pub type CheckTemplate<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// Whether the pod asks for secrets, whatever else its annotations say.
pub fn is_asked(pod: &Value) -> bool {
    pod::annotations(pod)
        .and_then(|all| all.get(annotations::INJECT)?.as_str())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// Whether the pod has any annotation of these.
pub fn mentions(pod: &Value) -> bool {
    let mut names = pod::annotations(pod).into_iter().flat_map(Object::keys);
    names.any(|name| name.starts_with(annotations::PREFIX))
}

/// How many secrets and folders an injected or asking pod asks for; none if its annotations can't be read.
pub fn count(pod: &Value) -> u64 {
    let reading = annotations::read(&annotations_of(pod), "");
    let request = reading.ok().and_then(|reading| reading.request);
    request.map_or(0, |request| {
        (request.secrets.len() + request.folders.len()) as u64
    })
}

/// Puts what the pod asks for into it. `namespace` is the one that it is made in; templates are parsed by `check`.
///
/// # Errors
/// [`SecretsRefused`], with everything that is wrong with its annotations.
pub fn inject(
    pod: &Value,
    namespace: &str,
    settings: &SecretsSettings,
    check: CheckTemplate<'_>,
) -> Result<Outcome, SecretsRefused> {
    let spec = pod::check(pod)?;
    let reading = annotations::read(&annotations_of(pod), namespace).map_err(SecretsRefused::Contract)?;
    let mut warnings: Vec<String> = reading.warnings.iter().map(ToString::to_string).collect();
    let Some(request) = reading.request else {
        return Ok(Outcome::Inject(Injection {
            patch: json_patch::Patch::default(),
            warnings,
        }));
    };
    if crate::skip::is_windows(spec) {
        return Ok(Outcome::Skip {
            reason: "no secrets injected: keeper-secrets doesn't run on Windows".to_owned(),
        });
    }
    for (origin, template) in request.templates() {
        check(&template.source).map_err(|problem| SecretsRefused::Template {
            origin: origin.to_owned(),
            problem,
        })?;
    }
    let original = strip::strip(pod)?;
    let spec = pod::check(&original)?;
    refuse(spec, &request)?;
    if reading.preset_marker && original == *pod {
        warnings.push(format!(
            "{}: it is injection's to write, and proves nothing; remove it",
            annotations::INJECTED
        ));
    }
    let is_led = recognise(spec)? == Injected::Yes;
    let mut target = original;
    put_in(&mut target, &request, settings, is_led);
    places::keep_places(&mut target, pod);
    Ok(Outcome::Inject(Injection {
        patch: diff::diff(pod, &target),
        warnings,
    }))
}

fn annotations_of(pod: &Value) -> BTreeMap<String, String> {
    let all = pod::annotations(pod).into_iter().flatten();
    all.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// What can't be made right.
fn refuse(spec: &Object, request: &Request) -> Result<(), SecretsRefused> {
    if request.signal.is_some() && !request.init_only && !pod::is_true(spec, "shareProcessNamespace") {
        return Err(SecretsRefused::NoSharedProcesses);
    }
    let directories = directories(request);
    for container in pod::containers(spec) {
        for (index, mount) in objects(container.object, "volumeMounts").enumerate() {
            let field = format!("{}.volumeMounts[{index}]", container.field);
            if is_own_volume(text(mount, "name")) {
                let volume = text(mount, "name").to_owned();
                return Err(SecretsRefused::OwnMount { field, volume });
            }
            let path = text(mount, "mountPath").trim_end_matches('/');
            if let Some((_, taken)) = directories.iter().find(|(_, directory)| directory == path) {
                let path = taken.clone();
                return Err(SecretsRefused::Taken { field, path });
            }
        }
        if request.has_env()
            && container.list == "containers"
            && pod::list(container.object, "command").is_empty()
        {
            let field = container.field;
            return Err(SecretsRefused::NoCommand { field });
        }
    }
    Ok(())
}

/// The volumes of files with the directories that they are mounted at.
fn directories(request: &Request) -> Vec<(String, String)> {
    let mut others = 0;
    let mut named = |directory: String| {
        if directory == annotations::BASE {
            return (FILES_VOLUME.to_owned(), directory);
        }
        others += 1;
        (format!("{FILES_VOLUME}-{others}"), directory)
    };
    request.mounts().into_iter().map(&mut named).collect()
}

/// `is_led`: the API proxy is in the pod, and has led what was there to itself.
fn put_in(pod: &mut Value, request: &Request, settings: &SecretsSettings, is_led: bool) {
    let directories = directories(request);
    let Some(pod) = pod.as_object_mut() else {
        return;
    };
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        for list in CONTAINER_LISTS {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
                // The API proxy is no container of the pod's own.
                if text(container, "name") != crate::contract::CONTAINER {
                    give(container, list, &directories, request);
                }
            }
        }
        add_readers(spec, settings);
        let mut ours = vec![containers::init(request, &directories, settings)];
        if !request.init_only {
            ours.push(containers::sidecar(request, &directories, settings));
        }
        containers::lend_cloud_identity(spec, &mut ours);
        if is_led {
            for container in ours.iter_mut().filter_map(Value::as_object_mut) {
                transform::lead(container);
            }
        }
        let inits = list_at(spec, "initContainers");
        // The API proxy comes before us, where it comes first.
        let is_first = |container: &Value| container["name"] == crate::contract::CONTAINER;
        let place = usize::from(inits.first().is_some_and(is_first));
        inits.splice(place..place, ours);
        let own = volumes(request, &directories, settings, is_led);
        list_at(spec, "volumes").extend(own);
    }
    let metadata = object_at(pod, "metadata");
    object_at(metadata, "annotations").insert(annotations::INJECTED.to_owned(), "true".into());
}

/// What a container of the pod gets: the files, and its variables.
fn give(container: &mut Object, list: &str, directories: &[(String, String)], request: &Request) {
    let mounts = list_at(container, "volumeMounts");
    mounts.extend(
        directories
            .iter()
            .map(|(volume, path)| json!({"name": volume, "mountPath": path, "readOnly": true})),
    );
    if !request.has_env() || list != "containers" {
        return;
    }
    mounts.push(json!({"name": ENVIRONMENT_VOLUME, "mountPath": ENVIRONMENT_PATH, "readOnly": true}));
    list_at(container, "command").splice(0..0, [json!(EXEC_PROGRAM), json!("--")]);
}

/// Every container of the pod is one of the readers, whatever its user. A supplementary group changes no volume's owner, as
/// `fsGroup` does.
fn add_readers(spec: &mut Object, settings: &SecretsSettings) {
    let readers = json!(u32::from(settings.readers));
    let context = object_at(spec, "securityContext");
    let groups = list_at(context, "supplementalGroups");
    if !groups.contains(&readers) {
        groups.push(readers);
    }
}

fn volumes(
    request: &Request,
    directories: &[(String, String)],
    settings: &SecretsSettings,
    is_led: bool,
) -> Vec<Value> {
    let memory =
        |name: &str, limit: &str| json!({"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": limit}});
    let mut volumes: Vec<Value> = directories
        .iter()
        .map(|(name, _)| memory(name, settings.size_limit.as_str()))
        .collect();
    if request.has_env() {
        // The program alone has a megabyte.
        volumes.push(memory(ENVIRONMENT_VOLUME, "8Mi"));
    }
    if let Auth::Secret { name } = &request.auth {
        volumes.push(json!({"name": CONFIG_VOLUME, "secret": {
            "secretName": name.as_str(), "defaultMode": OWN_MODE, "items": [{"key": "config", "path": "config"}],
        }}));
    }
    for (at, name) in request.kubernetes_records().into_iter().enumerate() {
        volumes.push(json!({"name": format!("{SOURCE_VOLUME}-{at}"), "secret": {
            "secretName": name, "defaultMode": OWN_MODE, "optional": true,
        }}));
    }
    if let Some(authorities) = &request.certificate_authorities {
        let items = json!([{"key": authorities.key.as_str(), "path": "ca.crt"}]);
        volumes.push(match &authorities.object {
            CaObject::Secret(name) => {
                json!({"name": AUTHORITIES_VOLUME, "secret": {"secretName": name.as_str(), "defaultMode": OWN_MODE, "items": items}})
            }
            CaObject::ConfigMap(name) => {
                json!({"name": AUTHORITIES_VOLUME, "configMap": {"name": name.as_str(), "defaultMode": OWN_MODE, "items": items}})
            }
        });
    }
    if request.has_kubernetes_secrets() && !is_led {
        volumes.push(
            json!({"name": API_VOLUME, "projected": {"defaultMode": OWN_MODE, "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace",
                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
            ]}}),
        );
    }
    volumes
}

/// What our containers mount.
fn own_mounts(request: &Request, directories: &[(String, String)]) -> Vec<Value> {
    let mut mounts: Vec<Value> = directories
        .iter()
        .map(|(volume, path)| json!({"name": volume, "mountPath": path}))
        .collect();
    let read_only = |name: &str, path: &str| json!({"name": name, "mountPath": path, "readOnly": true});
    if request.has_env() {
        mounts.push(json!({"name": ENVIRONMENT_VOLUME, "mountPath": ENVIRONMENT_PATH}));
    }
    if let Auth::Secret { .. } = &request.auth {
        mounts.push(read_only(CONFIG_VOLUME, CONFIG_PATH));
    }
    for (at, name) in request.kubernetes_records().into_iter().enumerate() {
        mounts.push(read_only(
            &format!("{SOURCE_VOLUME}-{at}"),
            &format!("{SOURCE_PATH}/{name}"),
        ));
    }
    if request.certificate_authorities.is_some() {
        mounts.push(read_only(AUTHORITIES_VOLUME, AUTHORITIES_PATH));
    }
    if request.has_kubernetes_secrets() {
        mounts.push(read_only(API_VOLUME, SERVICE_ACCOUNT_PATH));
    }
    mounts
}

/// The object at a key, made if it isn't there.
fn object_at<'a>(parent: &'a mut Object, key: &str) -> &'a mut Object {
    let value = parent.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was just made one")
}

/// The list at a key, made if it isn't there.
fn list_at<'a>(parent: &'a mut Object, key: &str) -> &'a mut Vec<Value> {
    let value = parent.entry(key).or_insert_with(|| json!([]));
    if !value.is_array() {
        *value = json!([]);
    }
    value.as_array_mut().expect("it was just made one")
}
