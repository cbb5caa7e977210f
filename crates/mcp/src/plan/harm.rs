//! What a change destroys, if it does. Adding, replacing and restarting is none of it: the object says afterwards what its author
//! said. What is gone, given up or taken from others can't be brought back by saying it again.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a change destroys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Harm {
    /// An object.
    Deletes,
    /// Pods that run.
    Fewer,
    /// Others' say over fields.
    Forces,
    /// What was rolled out last. A template that nobody in this conversation has written comes back, with the faults and the images
    /// for which it was replaced; what has been migrated since isn't taken back with it.
    Undoes,
    /// What keeps an object from being deleted by a controller, or by the clock.
    LetsGo,
    /// Whatever a program in a container, or somebody connected to it, does.
    Enters,
}

/// What is asked for in modes that don't destroy.
impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deletes => "deletes",
            Self::Fewer => "scales to fewer",
            Self::Forces => "takes fields over from their owners (force)",
            Self::Undoes => "takes a rollout back",
            Self::LetsGo => "lets an object be deleted (finalizers, owners, a time to live)",
            Self::Enters => "enters a container",
        })
    }
}

/// Numbers of pods, wherever kinds of objects have them.
const NUMBERS: &[&str] = &[
    "/spec/replicas",
    "/spec/parallelism",
    "/spec/minReplicas",
    "/spec/maxReplicas",
];

impl Harm {
    /// By the object before and after. What an API server fills in is in both, so that what is taken out of a manifest counts, too.
    pub(crate) fn between(before: &Value, after: &Value) -> Option<Self> {
        let number = |object: &Value, at: &str| object.pointer(at).and_then(Value::as_f64);
        let is_fewer = NUMBERS
            .iter()
            .any(|at| match (number(before, at), number(after, at)) {
                (Some(before), Some(after)) => after < before,
                (Some(before), None) => before > 1.0,
                _ => false,
            });
        if is_fewer || (!is_suspended(before) && is_suspended(after)) {
            return Some(Self::Fewer);
        }
        let items = |object: &Value, at: &str| {
            object
                .pointer(at)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let finalizers = items(after, "/metadata/finalizers");
        let owners = items(before, "/metadata/ownerReferences");
        let lets_go = items(before, "/metadata/finalizers")
            .iter()
            .any(|finalizer| !finalizers.contains(finalizer))
            || items(after, "/metadata/ownerReferences")
                .iter()
                .any(|owner| !owners.contains(owner))
            || shortened(before, after, "/spec/ttlSecondsAfterFinished")
            || shortened(before, after, "/spec/activeDeadlineSeconds");
        lets_go.then_some(Self::LetsGo)
    }
}

/// A suspended Job has its pods deleted; a CronJob makes no more of them.
fn is_suspended(object: &Value) -> bool {
    object["kind"] == "Job" && object.pointer("/spec/suspend") == Some(&Value::Bool(true))
}

/// Whether a time to live was set or made shorter.
fn shortened(before: &Value, after: &Value, at: &str) -> bool {
    let seconds = |object: &Value| object.pointer(at).and_then(Value::as_i64);
    match (seconds(before), seconds(after)) {
        (None, Some(_)) => true,
        (Some(before), Some(after)) => after < before,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_gone_afterwards_is_harm_and_what_is_more_is_none() {
        for (before, after, harm) in [
            (
                json!({"spec": {"replicas": 2}}),
                json!({"spec": {"replicas": 5}}),
                None,
            ),
            (
                json!({"spec": {"replicas": 2}}),
                json!({"spec": {"replicas": 1}}),
                Some(Harm::Fewer),
            ),
            (
                json!({"spec": {"replicas": 2}}),
                json!({"spec": {}}),
                Some(Harm::Fewer),
            ),
            (
                json!({"spec": {"maxReplicas": 9}}),
                json!({"spec": {"maxReplicas": 3}}),
                Some(Harm::Fewer),
            ),
            (
                json!({"spec": {"parallelism": 2}}),
                json!({"spec": {"parallelism": 0}}),
                Some(Harm::Fewer),
            ),
            (
                json!({"kind": "Job", "spec": {}}),
                json!({"kind": "Job", "spec": {"suspend": true}}),
                Some(Harm::Fewer),
            ),
            (
                json!({"kind": "CronJob", "spec": {}}),
                json!({"kind": "CronJob", "spec": {"suspend": true}}),
                None,
            ),
            (
                json!({"metadata": {"finalizers": ["a", "b"]}}),
                json!({"metadata": {"finalizers": ["a"]}}),
                Some(Harm::LetsGo),
            ),
            (
                json!({"metadata": {}}),
                json!({"metadata": {"ownerReferences": [{"uid": "x"}]}}),
                Some(Harm::LetsGo),
            ),
            (
                json!({"spec": {}}),
                json!({"spec": {"ttlSecondsAfterFinished": 1}}),
                Some(Harm::LetsGo),
            ),
            (
                json!({"spec": {"image": "a"}}),
                json!({"spec": {"image": "b"}}),
                None,
            ),
            (json!(null), json!({"spec": {"replicas": 0}}), None),
        ] {
            assert_eq!(Harm::between(&before, &after), harm, "{before} {after}");
        }
    }
}
