//! Patches as agents write them, if they find out nothing that is hidden.

use serde_json::Value;

use super::arguments::Arguments;
use crate::{
    answer::{item_name, step},
    cluster::Resource,
    error::ToolError,
    plan::{Operation, PatchForm},
    render::{EnvPolicy, redact::Redactor},
    tools::text,
};

/// A patch of the agent's, if it finds out nothing that is hidden.
pub(super) fn operation(
    resource: &Resource,
    arguments: &Arguments,
    patch: Value,
    before: Option<&Value>,
) -> Result<Operation, ToolError> {
    // What isn't built in has no strategic merge.
    let is_built_in = !resource.group.contains('.') || resource.group.ends_with(".k8s.io");
    let form = match (arguments.patch_type, &patch) {
        (Some(form), _) => form.into(),
        (None, Value::Array(_)) => PatchForm::Json,
        (None, _) if is_built_in => PatchForm::Strategic,
        (None, _) => PatchForm::Merge,
    };
    match (form, &patch) {
        (PatchForm::Json, Value::Array(operations)) => {
            for operation in operations {
                check_operation(operation, before)?;
            }
        }
        (PatchForm::Json, _) => {
            return Err(ToolError::arguments(
                "a JSON patch is an array: [{\"op\": \"replace\", \"path\": \"/spec/x\", \"value\": 1}]",
            ));
        }
        (_, Value::Object(map)) => {
            if map.get("metadata").is_some_and(|metadata| !metadata.is_object()) {
                return Err(ToolError::arguments("metadata in a patch is an object"));
            }
        }
        _ => {
            return Err(ToolError::arguments(
                "this patch is an object; of an array, patchType is json",
            ));
        }
    }
    Ok(Operation::Patch { form, patch })
}

/// Some operations of RFC 6902 would tell what is hidden: `copy` and `move` bring it where nobody knows that it is a secret, `test`
/// says whether a guess is right.
fn check_operation(operation: &Value, before: Option<&Value>) -> Result<(), ToolError> {
    match text(operation, "/op") {
        "add" | "replace" if operation.get("value").is_some() => Ok(()),
        "remove" => Ok(()),
        "test" => {
            let path = text(operation, "/path");
            let mut told = before.cloned().unwrap_or_default();
            Redactor::new(EnvPolicy::default()).object(&mut told);
            let is_told = before.is_some_and(|before| before.pointer(path) == told.pointer(path));
            let is_secret = text(&told, "/kind") == "Secret" && !path.starts_with("/metadata/");
            if is_told && !is_secret {
                Ok(())
            } else {
                Err(ToolError::arguments(
                    "\"test\" isn't taken on what is hidden: leave it out, a plan holds for the object as it is",
                ))
            }
        }
        "copy" | "move" => Err(ToolError::arguments(
            "\"copy\" and \"move\" aren't taken: write the value with \"add\", and \"remove\" the old one",
        )),
        _ => Err(ToolError::arguments(
            "an operation of a JSON patch has op (add, replace, remove, test), path and value",
        )),
    }
}

/// A JSON pointer as a path of a diff.
pub(super) fn path(pointer: &str, before: Option<&Value>) -> String {
    let (mut path, mut at) = (String::new(), before);
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        match (at, key.parse::<usize>()) {
            (Some(Value::Array(items)), Ok(number)) => {
                at = items.get(number);
                let called = at.map_or_else(|| number.to_string(), |item| item_name(item, number));
                path.push_str(&format!("[{called}]"));
            }
            _ => {
                at = at.and_then(|at| at.get(&key));
                path.push_str(&step(&key));
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_are_paths_of_diffs() {
        let before = json!({"spec": {"containers": [{"name": "main", "args": ["a"]}]}});
        for (pointer, told) in [
            ("/spec/containers/0/image", ".spec.containers[main].image"),
            ("/spec/containers/0/args/0", ".spec.containers[main].args[0]"),
            ("/metadata/annotations/a~1b", ".metadata.annotations[\"a/b\"]"),
            ("/x/0", ".x.0"),
            ("", ""),
        ] {
            assert_eq!(path(pointer, Some(&before)), told);
        }
    }

    #[test]
    fn operations_that_would_tell_what_is_hidden_are_refused() {
        let secret = json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"p": "YWFhYWFh"}});
        let map = json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"p": "plain"}});
        for (operation, before) in [
            (
                json!({"op": "copy", "from": "/data/p", "path": "/metadata/annotations/x"}),
                &secret,
            ),
            (
                json!({"op": "move", "from": "/data/p", "path": "/metadata/annotations/x"}),
                &map,
            ),
            (
                json!({"op": "test", "path": "/data/p", "value": "YWFhYWFh"}),
                &secret,
            ),
            (json!({"op": "test", "path": "/data", "value": {}}), &secret),
            (json!({"op": "test", "path": "", "value": {}}), &secret),
            (json!({"op": "add", "path": "/data/p"}), &map),
            (json!({"op": "ADD", "path": "/data/p", "value": 1}), &map),
            (json!("add"), &map),
        ] {
            assert!(check_operation(&operation, Some(before)).is_err(), "{operation}");
        }
        for (operation, before) in [
            (json!({"op": "test", "path": "/data/p", "value": "plain"}), &map),
            (json!({"op": "replace", "path": "/data/p", "value": "x"}), &secret),
            (json!({"op": "remove", "path": "/data/p"}), &secret),
        ] {
            assert!(check_operation(&operation, Some(before)).is_ok(), "{operation}");
        }
    }
}
