//! What a pod's author should know though nothing is refused.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    annotations::Wishes,
    contract::*,
    paths::Place,
    pod::{self, Container, Object, is_true, list, objects, text},
    tokens::{self, Token},
};

/// The most that are given; a pod of thousands of odd mounts has been told enough then.
const MOST: usize = 30;

/// Looks at the pod as it was before injection.
pub(crate) fn warnings(spec: &Object, wishes: &Wishes) -> Vec<String> {
    let mut warnings = Vec::new();
    if is_true(spec, "shareProcessNamespace") {
        warnings.push(
            "spec.shareProcessNamespace: containers of the sidecar's UID can read the real token through /proc".to_owned(),
        );
    }
    if is_true(spec, "hostPID") {
        warnings.push(
            "spec.hostPID: whoever is root on the node's processes can read the real token through /proc"
                .to_owned(),
        );
    }
    for name in &wishes.unknown {
        warnings.push(format!("annotation {name} has no meaning; is it misspelt?"));
    }
    let names: Vec<&str> = pod::containers(spec).map(|container| container.name()).collect();
    for name in wishes
        .excluded
        .iter()
        .filter(|name| !names.contains(&name.as_str()))
    {
        warnings.push(format!(
            "annotation {EXCLUDE_CONTAINERS_ANNOTATION}: there is no container {name:?}"
        ));
    }
    let volumes: BTreeMap<&str, &Object> = objects(spec, "volumes")
        .map(|volume| (text(volume, "name"), volume))
        .collect();
    for container in pod::containers(spec) {
        let is_led = !wishes.excluded.contains(container.name()) && container.list != "ephemeralContainers";
        mounts(&container, is_led, &volumes, wishes, &mut warnings);
        if is_led {
            environment(&container, &mut warnings);
            ports(&container, &mut warnings);
        }
    }
    let more = warnings.len().saturating_sub(MOST);
    if more > 0 {
        warnings.truncate(MOST);
        warnings.push(format!("and {more} more"));
    }
    warnings
}

fn mounts(
    container: &Container<'_>,
    is_led: bool,
    volumes: &BTreeMap<&str, &Object>,
    wishes: &Wishes,
    warnings: &mut Vec<String>,
) {
    for mount in objects(container.object, "volumeMounts") {
        let (volume, path) = (text(mount, "name"), text(mount, "mountPath"));
        let token = volumes
            .get(volume)
            .and_then(|volume| tokens::token(volume, &wishes.settings.api_audiences));
        let container = container.name();
        match (Place::of(path), token) {
            (Place::ServiceAccount, None) if is_led => warnings.push(format!(
                "container {container}: the mount of volume {volume} at {path} gives way to the sidecar's"
            )),
            (Place::ServiceAccount, _) => {}
            (Place::Elsewhere, Some(Token::Projected)) => warnings.push(format!(
                "container {container}: volume {volume} at {path} has a token that the API server takes: requests with it \
                 bypass the sidecar"
            )),
            (Place::Elsewhere, Some(Token::Legacy { secret })) => warnings.push(format!(
                "container {container}: volume {volume} at {path} has the Secret {secret}, by its name a service account's \
                 token: requests with it bypass the sidecar"
            )),
            (Place::Elsewhere, None) => {}
        }
    }
}

fn environment(container: &Container<'_>, warnings: &mut Vec<String>) {
    let container_name = container.name();
    let value = |names: &[&str]| {
        let mut entries =
            objects(container.object, "env").filter(|entry| names.contains(&text(entry, "name")));
        entries.next_back().map(|entry| text(entry, "value"))
    };
    for (name, ours) in ENVIRONMENT {
        if value(&[name]).is_some_and(|theirs| theirs != ours) {
            warnings.push(format!(
                "container {container_name}: its {name} gives way to {ours}, the sidecar"
            ));
        }
    }
    let proxy = value(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
        .is_some_and(|proxy| !proxy.is_empty());
    let exempt = value(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
    if proxy
        && !exempt
            .split(',')
            .any(|host| ["127.0.0.1", "127.0.0.0/8", "*"].contains(&host.trim()))
    {
        warnings.push(format!(
            "container {container_name}: HTTPS_PROXY is set, and NO_PROXY has no 127.0.0.1: some clients would not reach the sidecar"
        ));
    }
}

fn ports(container: &Container<'_>, warnings: &mut Vec<String>) {
    let taken = |port: &Value| port.get("containerPort").and_then(Value::as_u64) == Some(LISTEN_PORT.into());
    if list(container.object, "ports").iter().any(taken) {
        warnings.push(format!(
            "container {}: it announces port {LISTEN_PORT}, where the sidecar listens on {LISTEN_ADDRESS}: one of both would \
             not start",
            container.name()
        ));
    }
}
