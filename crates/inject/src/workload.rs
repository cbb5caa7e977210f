//! Where the pods are in objects that hold pod templates.

use json_patch::jsonptr::{PointerBuf, Token};
use serde_json::Value;

/// A pod, or a pod template, in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Where it is: something with `metadata` and `spec` of a pod.
    pub pointer: PointerBuf,
    /// The object that holds it: `Deployment`.
    pub kind: String,
    /// That object's namespace, if it names one.
    pub namespace: Option<String>,
    /// That object's name, or what it is to be generated from.
    pub name: Option<String>,
}

/// The most Lists within Lists.
const DEEPEST: usize = 16;

/// The pods in a document: of a workload, or of the objects of a List (`List`, and `PodList` and the like). Nothing for other
/// kinds.
#[must_use]
pub fn pods(document: &Value) -> Vec<Pod> {
    let mut pods = Vec::new();
    find(document, &PointerBuf::new(), ("", ""), DEEPEST, &mut pods);
    pods
}

/// `inherited` is the version and kind of what lacks its own, as elements of a `PodList` do.
fn find(object: &Value, at: &PointerBuf, inherited: (&str, &str), depth: usize, pods: &mut Vec<Pod>) {
    let field = |key: &str| object.get(key).and_then(Value::as_str);
    let version = field("apiVersion").unwrap_or(inherited.0);
    let kind = field("kind").unwrap_or(inherited.1);
    if let (Some(of), Some(items)) = (
        kind.strip_suffix("List"),
        object.get("items").and_then(Value::as_array),
    ) {
        let inherited = if of.is_empty() { ("", "") } else { (version, of) };
        for (index, item) in items.iter().enumerate().filter(|_| depth > 0) {
            let mut at = at.clone();
            at.push_back("items");
            at.push_back(Token::from(index));
            find(item, &at, inherited, depth - 1, pods);
        }
        return;
    }
    let Some(path) = template(version, kind) else {
        return;
    };
    let mut pointer = at.clone();
    path.iter().for_each(|name| pointer.push_back(*name));
    if pointer_leads_somewhere(object, path) {
        let metadata = |key| {
            object
                .get("metadata")
                .and_then(|m| m.get(key))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        pods.push(Pod {
            pointer,
            kind: kind.to_owned(),
            namespace: metadata("namespace"),
            name: metadata("name").or_else(|| metadata("generateName")),
        });
    }
}

/// Where a kind has its pod template.
fn template(version: &str, kind: &str) -> Option<&'static [&'static str]> {
    let group = version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Pod") => Some(&[]),
        ("", "PodTemplate") => Some(&["template"]),
        ("", "ReplicationController")
        | ("apps" | "extensions", "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet")
        | ("batch", "Job") => Some(&["spec", "template"]),
        ("batch", "CronJob") => Some(&["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

/// A ReplicationController, for one, may lack its template.
fn pointer_leads_somewhere(object: &Value, path: &[&str]) -> bool {
    path.iter()
        .try_fold(object, |object, name| object.get(name))
        .is_some_and(|value| !value.is_null())
}
