//! Manifests and patches as agents write them: bounded, one object each, and nothing denied within them.

use mk8s_model::GroupResource;
use serde_json::{Map, Value};

use crate::{cluster::Discovery, error::ToolError, guard::Guard, tools::text};

/// A manifest's largest size, as JSON, in bytes. etcd takes 1.5 MiB; nobody approves of that much.
const LARGEST: usize = 256 << 10;
/// How deep an object goes.
const DEEPEST: usize = 64;

/// What an API server sets, and what stands in manifests that were read from one.
const OTHERS: &[&str] = &[
    "managedFields",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "selfLink",
];

/// A value given as itself, or as text.
pub(super) fn value(given: Value, argument: &str) -> Result<Value, ToolError> {
    let value = match given {
        Value::String(written) => yaml(&written, argument)?,
        value => value,
    };
    if depth(&value, 0) > DEEPEST {
        return Err(ToolError::Arguments(format!(
            "{argument} is nested more than {DEEPEST} deep"
        )));
    }
    let size = value.to_string().len();
    if size > LARGEST {
        return Err(ToolError::Arguments(format!(
            "{argument} has {} KiB: no more than {} are taken",
            size >> 10,
            LARGEST >> 10
        )));
    }
    Ok(value)
}

fn yaml(written: &str, argument: &str) -> Result<Value, ToolError> {
    if written.len() > LARGEST {
        return Err(ToolError::Arguments(format!(
            "{argument} has {} KiB: no more than {} are taken",
            written.len() >> 10,
            LARGEST >> 10
        )));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_aliases: 100,
            max_anchors: 100,
            max_depth: DEEPEST,
            max_documents: 1,
            max_events: 100_000,
            max_nodes: 50_000,
            max_total_scalar_bytes: LARGEST,
        },
    };
    serde_saphyr::from_str_with_options(written, options).map_err(|error| {
        // It may quote what it read, line by line.
        let why = error.to_string();
        let first = why.lines().next().unwrap_or_default();
        ToolError::Arguments(format!("{argument} is no YAML of one object: {first}"))
    })
}

/// No deeper than one more than may be: what is too deep isn't followed.
fn depth(value: &Value, so_far: usize) -> usize {
    if so_far > DEEPEST {
        return so_far;
    }
    let below = |value: &Value| depth(value, so_far + 1);
    match value {
        Value::Array(items) => items.iter().map(below).max().unwrap_or(so_far),
        Value::Object(map) => map.values().map(below).max().unwrap_or(so_far),
        _ => so_far,
    }
}

/// One object, with a name, without what only an API server says.
pub(super) fn object(given: Value) -> Result<Map<String, Value>, ToolError> {
    let mut object = match value(given, "manifest")? {
        Value::Object(object) => object,
        _ => return Err(ToolError::arguments("the manifest is no object")),
    };
    let is_text = |key: &str| {
        object
            .get(key)
            .is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty()))
    };
    if !is_text("apiVersion") || !is_text("kind") {
        return Err(ToolError::arguments("the manifest must have apiVersion and kind"));
    }
    if object.contains_key("items") && text_of(&object, "kind").ends_with("List") {
        return Err(ToolError::arguments(
            "one object a plan: plan each of the list by itself",
        ));
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err(ToolError::arguments("the manifest must have metadata.name"));
    };
    if !metadata.get("name").is_some_and(Value::is_string) {
        return Err(ToolError::arguments(
            "the manifest must have metadata.name: a plan is for an object that can be named",
        ));
    }
    metadata.retain(|key, _| !OTHERS.contains(&key.as_str()));
    object.remove("status");
    Ok(object)
}

fn text_of<'a>(object: &'a Map<String, Value>, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether nothing denied stands within a manifest or patch: whole objects, as templates and bundles have them, and JSON of them.
pub(super) fn check(value: &Value, guard: &Guard, discovery: &Discovery) -> Result<(), ToolError> {
    match value {
        Value::Object(map) => {
            let (version, kind) = (text(value, "/apiVersion"), text(value, "/kind"));
            // What has a kind and a name alone refers to an object.
            let is_object = ["metadata", "data", "stringData", "spec"]
                .iter()
                .any(|key| map.contains_key(*key));
            if !kind.is_empty() && is_object {
                let group = version.split_once('/').map_or("", |(group, _)| group);
                guard
                    .touch(&named(group, kind, discovery))
                    .map_err(crate::cluster::ApiError::from)?;
            }
            map.values().try_for_each(|value| check(value, guard, discovery))
        }
        Value::Array(items) => items.iter().try_for_each(|value| check(value, guard, discovery)),
        Value::String(written) if written.contains("\"kind\"") => {
            match serde_json::from_str::<Value>(written) {
                Ok(inner) if inner.is_object() || inner.is_array() => check(&inner, guard, discovery),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The resource of a kind; by its usual plural, if the cluster doesn't say which.
fn named(group: &str, kind: &str, discovery: &Discovery) -> GroupResource {
    let known = discovery
        .resources()
        .find(|resource| resource.group == group && resource.kind == kind);
    let resource = match known {
        Some(resource) => resource.plural.clone(),
        None => {
            let lower = kind.to_lowercase();
            match lower.strip_suffix('y') {
                Some(stem) => format!("{stem}ies"),
                None if lower.ends_with('s') => format!("{lower}es"),
                None => format!("{lower}s"),
            }
        }
    };
    GroupResource {
        group: group.to_owned(),
        resource,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_isnt_one_object_with_a_name_is_refused_in_one_line() {
        let bomb = {
            let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
            for at in 1..12 {
                let inner = vec![format!("*a{}", at - 1); 9].join(",");
                text.push_str(&format!("a{at}: &a{at} [{inner}]\n"));
            }
            text
        };
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        for manifest in [
            json!("- a"),
            json!("a: ["),
            json!(""),
            json!(
                "apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\napiVersion: v1\nkind: A\nmetadata: {name: b}\n"
            ),
            json!(bomb),
            json!(format!("{}x{}", "[".repeat(5_000), "]".repeat(5_000))),
            json!("x".repeat(1 << 20)),
            json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "spec": deep}),
            json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "spec": "x".repeat(1 << 20)}),
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"name": "a"}, "items": []}),
            json!({"apiVersion": "v1", "kind": "A", "metadata": {"generateName": "a-"}}),
            json!({"apiVersion": "v1", "metadata": {"name": "a"}}),
            json!({"apiVersion": 1, "kind": "A", "metadata": {"name": "a"}}),
            json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": 5}}),
            json!({"apiVersion": "v1", "kind": "A", "metadata": "a"}),
            json!(5),
            json!([]),
        ] {
            let shown: String = manifest.to_string().chars().take(60).collect();
            let error = object(manifest).expect_err(&shown).to_string();
            assert!(!error.contains('\n') && error.len() < 300, "{shown}: {error}");
        }
    }

    #[test]
    fn what_was_read_from_a_server_can_be_sent_back() {
        let read = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  uid: x\n  resourceVersion: '5'\n  managedFields: []\n\
                    data: {on: 'yes'}\nstatus: {}\n";
        assert_eq!(
            Value::Object(object(json!(read)).expect("an object")),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"on": "yes"}})
        );
    }

    #[test]
    fn what_is_denied_is_denied_wherever_it_stands() {
        let settings = crate::settings::Settings {
            denied_resources: ["secrets", "policies.example.com"]
                .map(|text| text.to_owned().try_into().expect("a resource"))
                .into(),
            ..Default::default()
        };
        let (guard, discovery) = (Guard::new(&settings), Discovery::default());
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
        for denied in [
            secret.clone(),
            json!({"spec": {"template": secret}}),
            json!([{"op": "add", "path": "/spec", "value": {"resources": [secret]}}]),
            json!({"metadata": {"annotations": {"a": secret.to_string()}}}),
            json!({"apiVersion": "example.com/v1", "kind": "Policy", "spec": {}}),
        ] {
            assert!(check(&denied, &guard, &discovery).is_err(), "{denied}");
        }
        for fine in [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}),
            json!({"spec": {"secretRef": {"apiVersion": "v1", "kind": "Secret", "name": "a"}}}),
            json!({"apiVersion": "other.example.com/v1", "kind": "Secret", "metadata": {}}),
        ] {
            assert!(check(&fine, &guard, &discovery).is_ok(), "{fine}");
        }
    }
}
