//! What of many objects is looked at first.

use serde_json::Value;

use super::{at, list, number, text};

/// How an object is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Health {
    /// It doesn't do what it is for.
    Failing,
    /// It doesn't yet, or no longer, or not well.
    Doubtful,
    /// Nothing is known against it.
    Fine,
}

/// Conditions that are bad when they are true; of all others those are bad that are false.
const BAD_IF_TRUE: &[&str] = &[
    "MemoryPressure",
    "DiskPressure",
    "PIDPressure",
    "NetworkUnavailable",
    "ReplicaFailure",
    "Failed",
    "FailureTarget",
    "Degraded",
    "Stalled",
    "Paused",
    "KernelDeadlock",
    "ReadonlyFilesystem",
    "FrequentKubeletRestart",
    "Failing",
    "Error",
    "DisruptionTarget",
];

/// Conditions that tell of an end or of a state, and are fine when false.
const NEUTRAL: &[&str] = &[
    "Complete",
    "SuccessCriteriaMet",
    "Suspended",
    "ScalingLimited",
    "Reconciling",
    "Progressing",
    "PodReadyToStartContainers",
    "Resizing",
];

/// How this object is.
pub(crate) fn health(object: &Value) -> Health {
    let kind = text(object, &["kind"]).unwrap_or_default();
    let known = match kind {
        "Pod" => pod(object),
        "Event" => {
            return if text(object, &["type"]) == Some("Warning") {
                Health::Failing
            } else {
                Health::Fine
            };
        }
        "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => replicas(object),
        "DaemonSet" => daemons(object),
        "Job" => job(object),
        "Node" => node(object),
        "PersistentVolumeClaim" | "PersistentVolume" => match text(object, &["status", "phase"]) {
            Some("Lost" | "Failed") => Health::Failing,
            Some("Pending" | "Released") => Health::Doubtful,
            _ => Health::Fine,
        },
        "Namespace" => Health::Fine,
        _ => conditions(object),
    };
    let leaving = at(object, &["metadata", "deletionTimestamp"]).is_some();
    if leaving {
        known.min(Health::Doubtful)
    } else {
        known
    }
}

/// What is wrong with a condition, if something is.
pub(crate) fn is_bad(condition: &Value) -> bool {
    let kind = text(condition, &["type"]).unwrap_or_default();
    match text(condition, &["status"]) {
        Some("True") => BAD_IF_TRUE.contains(&kind),
        Some("False") => !BAD_IF_TRUE.contains(&kind) && !NEUTRAL.contains(&kind),
        Some("Unknown") => true,
        _ => false,
    }
}

fn conditions(object: &Value) -> Health {
    let bad = |condition: &&Value| is_bad(condition);
    match list(object, &["status", "conditions"]).iter().find(bad) {
        Some(_) => Health::Failing,
        None => Health::Fine,
    }
}

/// A pod by what its containers do; a container that crashes is ready in between.
fn pod(object: &Value) -> Health {
    let phase = text(object, &["status", "phase"]).unwrap_or_default();
    if phase == "Failed" || phase == "Unknown" {
        return Health::Failing;
    }
    let mut health = if phase == "Pending" {
        Health::Doubtful
    } else {
        Health::Fine
    };
    for key in ["initContainerStatuses", "containerStatuses"] {
        for status in list(object, &["status", key]) {
            let waits = text(status, &["state", "waiting", "reason"]).unwrap_or_default();
            if !waits.is_empty() && !matches!(waits, "ContainerCreating" | "PodInitializing") {
                return Health::Failing;
            }
            if number(status, &["state", "terminated", "exitCode"]).is_some_and(|code| code != 0) {
                return Health::Failing;
            }
            let ready = status.get("ready").and_then(Value::as_bool).unwrap_or(true);
            let restarts = number(status, &["restartCount"]).unwrap_or_default();
            if phase != "Succeeded" && ((!ready && key == "containerStatuses") || restarts >= 5) {
                health = Health::Doubtful;
            }
        }
    }
    if phase == "Pending"
        && list(object, &["status", "conditions"])
            .iter()
            .any(|condition| text(condition, &["reason"]) == Some("Unschedulable"))
    {
        return Health::Failing;
    }
    health
}

fn replicas(object: &Value) -> Health {
    let wanted = number(object, &["spec", "replicas"]).unwrap_or(1);
    let ready = number(object, &["status", "readyReplicas"]).unwrap_or_default();
    match ready {
        // All are there, but something is said against it: of that a rollout which hangs is an example.
        _ if ready >= wanted => conditions(object).max(Health::Doubtful),
        0 => Health::Failing,
        _ => Health::Doubtful,
    }
}

fn daemons(object: &Value) -> Health {
    let wanted = number(object, &["status", "desiredNumberScheduled"]).unwrap_or_default();
    match number(object, &["status", "numberReady"]).unwrap_or_default() {
        ready if ready >= wanted => Health::Fine,
        0 => Health::Failing,
        _ => Health::Doubtful,
    }
}

fn job(object: &Value) -> Health {
    let failed = number(object, &["status", "failed"]).unwrap_or_default() > 0;
    match conditions(object) {
        Health::Fine if failed && number(object, &["status", "succeeded"]).unwrap_or_default() == 0 => {
            Health::Doubtful
        }
        health => health,
    }
}

fn node(object: &Value) -> Health {
    let conditions = list(object, &["status", "conditions"]);
    let ready = conditions.iter().any(|condition| {
        text(condition, &["type"]) == Some("Ready") && text(condition, &["status"]) == Some("True")
    });
    let cordoned = at(object, &["spec", "unschedulable"])
        .and_then(Value::as_bool)
        .unwrap_or_default();
    match (ready, conditions.iter().any(is_bad)) {
        (false, _) | (true, true) => Health::Failing,
        (true, false) if cordoned => Health::Doubtful,
        (true, false) => Health::Fine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_fails_comes_before_what_is_fine() {
        let pod = |status: Value| json!({"kind": "Pod", "status": status});
        for (object, expected) in [
            (
                pod(
                    json!({"phase": "Running", "containerStatuses": [{"ready": true, "restartCount": 0, "state": {"running": {}}}]}),
                ),
                Health::Fine,
            ),
            (
                pod(
                    json!({"phase": "Running", "containerStatuses": [{"ready": false, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
                ),
                Health::Failing,
            ),
            (pod(json!({"phase": "Pending"})), Health::Doubtful),
            (
                pod(
                    json!({"phase": "Succeeded", "containerStatuses": [{"ready": false, "state": {"terminated": {"exitCode": 0}}}]}),
                ),
                Health::Fine,
            ),
            (
                json!({"kind": "Node", "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}),
                Health::Failing,
            ),
            (
                json!({"kind": "Node", "spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
                Health::Doubtful,
            ),
            (
                json!({"kind": "Deployment", "spec": {"replicas": 2}, "status": {"readyReplicas": 2}}),
                Health::Fine,
            ),
            (
                json!({"kind": "Deployment", "spec": {"replicas": 2}, "status": {"readyReplicas": 1}}),
                Health::Doubtful,
            ),
            (
                json!({"kind": "Deployment", "spec": {"replicas": 2}, "status": {}}),
                Health::Failing,
            ),
            (json!({"kind": "Event", "type": "Warning"}), Health::Failing),
            (
                json!({"kind": "Widget", "status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
                Health::Failing,
            ),
            (
                json!({"kind": "Widget", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
                Health::Doubtful,
            ),
        ] {
            assert_eq!(health(&object), expected, "{object}");
        }
    }
}
