//! What a Secret holds, kept out of what is said of changing it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    plan::{MANAGER, Operation},
    tools::{each, text},
};

/// The text without what a Secret has or shall have.
pub(super) fn hush(message: String, operation: &Operation, before: Option<&Value>) -> String {
    let mut values = BTreeSet::new();
    let mut collect = |object: &Value| {
        for key in ["/data", "/stringData"] {
            if let Some(part) = object.pointer(key) {
                texts(part, &mut values);
            }
        }
    };
    before.into_iter().for_each(&mut collect);
    match operation {
        Operation::Create { manifest } | Operation::Apply { manifest, .. } => collect(manifest),
        Operation::Patch { patch, .. } => texts(patch, &mut values),
        _ => {}
    }
    // The longest first: one may be part of another.
    let mut values: Vec<String> = values.into_iter().filter(|value| value.len() > 2).collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.iter().fold(message, |message, value| {
        message.replace(value.as_str(), "<redacted>")
    })
}

/// Which of a Secret's keys that a manifest sets are others', and whose. An API server refuses them only where the value is another: who
/// may guess would find out what it is. So they are refused alike.
pub(super) fn owned(manifest: &Value, before: Option<&Value>) -> Option<String> {
    let is_set = |key: &str| {
        ["data", "stringData"]
            .iter()
            .any(|part| manifest[*part].get(key).is_some())
    };
    let mut found = Vec::new();
    for entry in before
        .into_iter()
        .flat_map(|before| each(before, "/metadata/managedFields"))
    {
        let manager = text(entry, "/manager");
        if manager == MANAGER && entry["operation"] == "Apply" {
            continue;
        }
        let fields = entry.pointer("/fieldsV1/f:data").and_then(Value::as_object);
        let keys = fields
            .into_iter()
            .flatten()
            .filter_map(|(key, _)| key.strip_prefix("f:"));
        found.extend(
            keys.filter(|key| is_set(key))
                .map(|key| format!("conflict with {manager:?}: .data.{key}")),
        );
    }
    (!found.is_empty()).then(|| found.join("\n"))
}

/// All texts within, and what they are in base64.
fn texts(value: &Value, found: &mut BTreeSet<String>) {
    use base64::Engine as _;
    match value {
        Value::String(text) => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(text);
            found.extend(decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()));
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => map.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}
