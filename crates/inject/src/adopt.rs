//! What others may add to the sidecar without being undone.
//!
//! A pod that comes a second time has been through the API server, admission plugins and other webhooks. What they fill
//! in is kept if it can't change what the sidecar is; everything else becomes what injection makes.

use serde_json::{Value, json};

use crate::{Stage, pod::Object, quantity::Quantity, settings::Settings};

/// Copies from the sidecar that is there (`present`) to the one that was made (`made`) what may stay.
pub(crate) fn adopt(made: &mut Value, present: &Object, settings: &Settings, stage: Stage) {
    let Some(made) = made.as_object_mut() else {
        return;
    };
    // Kubernetes fills these in.
    keep(made, present, "terminationMessagePath", |value| {
        value == "/dev/termination-log"
    });
    let filled_in = settings
        .image_pull_policy
        .is_none()
        .then(|| default_pull_policy(settings.image.as_str()));
    let policy = present.get("imagePullPolicy").and_then(Value::as_str);
    // The admission plugin AlwaysPullImages overrides whatever is set.
    if policy == Some("Always") || (policy.is_some() && policy == filled_in) {
        made.insert("imagePullPolicy".to_owned(), policy.into());
    }
    keep(made, present, "resizePolicy", is_resize_policy);
    adopt_security_context(made, present, settings);
    adopt_resources(made, present, stage);
}

/// What Kubernetes sets if nothing is: by the tag.
fn default_pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or(image);
    let is_pinned = name.contains('@') || name.split_once(':').is_some_and(|(_, tag)| tag != "latest");
    if is_pinned { "IfNotPresent" } else { "Always" }
}

fn keep(made: &mut Object, present: &Object, key: &str, may: impl FnOnce(&Value) -> bool) {
    if let Some(value) = present.get(key).filter(|value| may(value))
        && !made.contains_key(key)
    {
        made.insert(key.to_owned(), value.clone());
    }
}

/// `[{resourceName: cpu, restartPolicy: NotRequired}, …]`
fn is_resize_policy(value: &Value) -> bool {
    let is_entry = |entry: &Value| {
        entry.as_object().is_some_and(|entry| {
            entry.len() == 2
                && entry
                    .get("resourceName")
                    .is_some_and(|name| name == "cpu" || name == "memory")
                && entry
                    .get("restartPolicy")
                    .is_some_and(|policy| policy == "NotRequired" || policy == "RestartContainer")
        })
    };
    value
        .as_array()
        .is_some_and(|entries| entries.len() <= 2 && entries.iter().all(is_entry))
}

/// OpenShift's SecurityContextConstraints choose IDs where none are set, SELinux labels, and further capabilities to drop.
fn adopt_security_context(made: &mut Object, present: &Object, settings: &Settings) {
    let (Some(made), Some(present)) = (
        made.get_mut("securityContext").and_then(Value::as_object_mut),
        present.get("securityContext").and_then(Value::as_object),
    ) else {
        return;
    };
    if settings.uid.is_none() {
        keep(made, present, "runAsUser", |value| {
            value.as_u64().is_some_and(|uid| uid != 0)
        });
    }
    if settings.gid.is_none() {
        keep(made, present, "runAsGroup", Value::is_u64);
    }
    keep(made, present, "seLinuxOptions", Value::is_object);
    keep(made, present, "procMount", |value| value == "Default");
    if let Some(capabilities) = present.get("capabilities").and_then(Value::as_object)
        && let [("drop", Value::Array(dropped))] = capabilities
            .iter()
            .map(|(k, v)| (k.as_str(), v))
            .collect::<Vec<_>>()[..]
        && dropped.contains(&json!("ALL"))
        && dropped.iter().all(Value::is_string)
    {
        made.insert("capabilities".to_owned(), capabilities.clone().into());
    }
}

/// Kubernetes writes quantities in its own way and sets requests that are missing to the limit; a LimitRange adds limits
/// and requests of its own, which are seen at admission alone.
fn adopt_resources(made: &mut Object, present: &Object, stage: Stage) {
    let Some(present) = present.get("resources").and_then(Value::as_object) else {
        return;
    };
    for key in ["limits", "requests"] {
        for (resource, value) in present.get(key).and_then(Value::as_object).into_iter().flatten() {
            if quantity(value).is_none() {
                continue;
            }
            let own = made.get("resources").and_then(|own| own.get(key)?.get(resource));
            let is_limit = || present.get("limits").and_then(|limits| limits.get(resource)) == Some(value);
            let keep = match own {
                Some(own) => same(own, value),
                None => stage == Stage::Admission || (key == "requests" && is_limit()),
            };
            if keep {
                made.entry("resources").or_insert_with(|| json!({}))[key][resource] = value.clone();
            }
        }
    }
}

fn same(a: &Value, b: &Value) -> bool {
    a == b || quantity(a).is_some_and(|a| Some(a) == quantity(b))
}

fn quantity(value: &Value) -> Option<Quantity> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pull_policy_follows_the_tag() {
        for (image, policy) in [
            ("mca-proxy", "Always"),
            ("mca-proxy:latest", "Always"),
            ("localhost:5000/mca-proxy", "Always"),
            ("localhost:5000/mca-proxy:1", "IfNotPresent"),
            ("mca-proxy@sha256:abc", "IfNotPresent"),
        ] {
            assert_eq!(default_pull_policy(image), policy, "{image}");
        }
    }
}
