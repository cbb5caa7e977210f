//! What must hold of a pod's JSON before anything is done with it, and ways to its parts.
//!
//! Only what injection looks at is checked. Everything else is the API server's to judge, and passes through.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::refused::Refused;

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// The lists of containers that injection changes, in the order in which they are told of.
pub(crate) const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];
/// All lists of containers. Ephemeral ones can't be there when a pod is made; a pod that runs may have them.
const ALL_CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The pod's specification, once [`check`] has seen it.
pub(crate) fn spec(pod: &Value) -> Option<&Object> {
    pod.get("spec").and_then(Value::as_object)
}

/// The pod's annotations.
pub(crate) fn annotations(pod: &Value) -> Option<&Object> {
    pod.get("metadata")?.get("annotations")?.as_object()
}

/// The pod's labels.
pub(crate) fn labels(pod: &Value) -> Option<&Object> {
    pod.get("metadata")?.get("labels")?.as_object()
}

/// The elements of a list that may be missing or null.
pub(crate) fn list<'a>(parent: &'a Object, key: &str) -> &'a [Value] {
    parent
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The objects of a list that may be missing or null.
pub(crate) fn objects<'a>(parent: &'a Object, key: &str) -> impl DoubleEndedIterator<Item = &'a Object> {
    list(parent, key).iter().filter_map(Value::as_object)
}

/// The text of a field, or nothing.
pub(crate) fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a field says true.
pub(crate) fn is_true(object: &Object, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool) == Some(true)
}

/// A container and where it stands: `spec.initContainers[0]`.
pub(crate) struct Container<'a> {
    pub(crate) field: String,
    pub(crate) list: &'static str,
    pub(crate) object: &'a Object,
}

impl<'a> Container<'a> {
    pub(crate) fn name(&self) -> &'a str {
        text(self.object, "name")
    }
}

/// Every container of the pod.
pub(crate) fn containers(spec: &Object) -> impl Iterator<Item = Container<'_>> {
    ALL_CONTAINER_LISTS.into_iter().flat_map(|list| {
        objects(spec, list)
            .enumerate()
            .map(move |(index, object)| Container {
                field: format!("spec.{list}[{index}]"),
                list,
                object,
            })
    })
}

/// Refuses JSON whose parts aren't what injection takes them for.
pub(crate) fn check(pod: &Value) -> Result<&Object, Refused> {
    let pod = object(pod, "pod")?;
    if let Some(metadata) = optional(pod, "metadata", Value::as_object, "metadata", "an object")? {
        for key in ["annotations", "labels"] {
            optional(
                metadata,
                key,
                Value::as_object,
                &format!("metadata.{key}"),
                "an object",
            )?;
        }
    }
    let Some(spec) = optional(pod, "spec", Value::as_object, "spec", "an object")? else {
        return Err(Refused::shape("spec", "is missing"));
    };
    for key in [
        "automountServiceAccountToken",
        "hostNetwork",
        "hostPID",
        "shareProcessNamespace",
    ] {
        optional(spec, key, Value::as_bool, &format!("spec.{key}"), "true or false")?;
    }
    check_list(spec, "volumes", "spec.volumes", &["name"], |_, _| Ok(()))?;
    let mut names = BTreeSet::new();
    for list in ALL_CONTAINER_LISTS {
        check_list(
            spec,
            list,
            &format!("spec.{list}"),
            &["name"],
            |container, field| {
                let name = text(container, "name");
                if name.is_empty() {
                    return Err(Refused::shape(format!("{field}.name"), "is empty"));
                }
                if !names.insert(name.to_owned()) {
                    return Err(Refused::shape(
                        format!("{field}.name"),
                        format!("{name:?} is there twice"),
                    ));
                }
                check_list(
                    container,
                    "env",
                    &format!("{field}.env"),
                    &["name"],
                    |_, _| Ok(()),
                )?;
                let mounts = format!("{field}.volumeMounts");
                check_list(
                    container,
                    "volumeMounts",
                    &mounts,
                    &["name", "mountPath"],
                    |_, _| Ok(()),
                )
            },
        )?;
    }
    if list(spec, "containers").is_empty() {
        return Err(Refused::NoContainers);
    }
    Ok(spec)
}

/// A list of objects, each with these texts, or nothing.
fn check_list(
    parent: &Object,
    key: &str,
    field: &str,
    texts: &[&str],
    mut check: impl FnMut(&Object, &str) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let elements = optional(parent, key, Value::as_array, field, "a list")?;
    for (index, element) in elements.into_iter().flatten().enumerate() {
        let field = format!("{field}[{index}]");
        let element = object(element, &field)?;
        for text in texts {
            if !element.get(*text).is_some_and(Value::is_string) {
                return Err(Refused::shape(format!("{field}.{text}"), "must be text"));
            }
        }
        check(element, &field)?;
    }
    Ok(())
}

fn object<'a>(value: &'a Value, field: &str) -> Result<&'a Object, Refused> {
    value
        .as_object()
        .ok_or_else(|| Refused::shape(field, "must be an object"))
}

/// A field of this type, or nothing if it is missing or null.
fn optional<'a, T>(
    parent: &'a Object,
    key: &str,
    get: impl FnOnce(&'a Value) -> Option<T>,
    field: &str,
    expected: &str,
) -> Result<Option<T>, Refused> {
    match parent.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match get(value) {
            Some(found) => Ok(Some(found)),
            None => Err(Refused::shape(field, format!("must be {expected}"))),
        },
    }
}
