//! An object without what nobody reads.

use serde_json::{Map, Value, json};

use super::text;

/// What only controllers need of metadata.
const METADATA: &[&str] = &[
    "managedFields",
    "uid",
    "resourceVersion",
    "generation",
    "selfLink",
    "generateName",
];

/// Labels that repeat what is elsewhere: hashes, names, numbers of controllers.
const LABELS: &[&str] = &[
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "kubernetes.io/metadata.name",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "endpointslice.kubernetes.io/managed-by",
];

/// Annotations of machines to machines, by how they begin.
const ANNOTATIONS: &[&str] = &[
    "kubectl.kubernetes.io/last-applied",
    "cni.projectcalico.org/",
    "k8s.v1.cni.cncf.io/",
    "k8s.ovn.org/",
    "volumes.kubernetes.io/controller-managed",
    "node.alpha.kubernetes.io/ttl",
    "csi.volume.kubernetes.io/nodeid",
    "endpoints.kubernetes.io/last-change",
    "kubernetes.io/config.hash",
    "kubernetes.io/config.seen",
    "kubernetes.io/config.mirror",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "control-plane.alpha.kubernetes.io/leader",
    "deprecated.daemonset.template.generation",
];

/// Keys below `status` and everywhere else that repeat something, or only say that somebody looked.
const ANYWHERE: &[&str] = &[
    "observedGeneration",
    "containerID",
    "imageID",
    "podIPs",
    "hostIPs",
    "clusterIPs",
    "lastProbeTime",
    "lastHeartbeatTime",
    "qosClass",
    "collisionCount",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "volumesInUse",
    "volumesAttached",
    "daemonEndpoints",
    "bootID",
    "machineID",
    "systemUUID",
    "allocatedResources",
    "managedFields",
    "ipFamilies",
    "uncountedTerminatedPods",
    "runtimeHandlers",
    "podCIDRs",
];

/// Keys with the value that they have if nobody said anything.
fn defaults() -> Vec<(&'static str, Value)> {
    vec![
        ("terminatingReplicas", json!(0)),
        ("imagePullPolicy", json!("IfNotPresent")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("restartPolicy", json!("Always")),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        ("priority", json!(0)),
        ("terminationGracePeriodSeconds", json!(30)),
        ("protocol", json!("TCP")),
        ("failureThreshold", json!(3)),
        ("periodSeconds", json!(10)),
        ("successThreshold", json!(1)),
        ("timeoutSeconds", json!(1)),
        ("scheme", json!("HTTP")),
        ("divisor", json!("0")),
        ("defaultMode", json!(420)),
        ("progressDeadlineSeconds", json!(600)),
        ("revisionHistoryLimit", json!(10)),
        ("podManagementPolicy", json!("OrderedReady")),
        ("internalTrafficPolicy", json!("Cluster")),
        ("sessionAffinity", json!("None")),
        ("ipFamilyPolicy", json!("SingleStack")),
        ("started", json!(true)),
        ("recursiveReadOnly", json!("Disabled")),
        (
            "strategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}),
        ),
        (
            "updateStrategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
        ),
        (
            "updateStrategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        ),
        (
            "persistentVolumeClaimRetentionPolicy",
            json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
        ),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
        ("completionMode", json!("NonIndexed")),
    ]
}

/// Takes out of an object what nobody reads.
pub(crate) fn slim(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        self::metadata(metadata);
    }
    if object.get("kind").and_then(Value::as_str) == Some("Node")
        && let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
    {
        status.remove("images");
    }
    let defaults = defaults();
    prune(object, &defaults, "");
}

fn metadata(metadata: &mut Map<String, Value>) {
    metadata.retain(|key, _| !METADATA.contains(&key.as_str()));
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.retain(|key, _| !LABELS.contains(&key.as_str()));
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !ANNOTATIONS.iter().any(|start| key.starts_with(start)));
    }
    if let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
        for owner in owners {
            if let (Some(kind), Some(name)) = (text(owner, &["kind"]), text(owner, &["name"])) {
                *owner = Value::String(format!("{kind}/{name}"));
            }
        }
    }
}

/// Takes out what is empty, repeated or as it always is, at any depth; redaction bounded it.
fn prune(value: &mut Value, defaults: &[(&str, Value)], under: &str) {
    match value {
        Value::Object(map) => {
            // Names in data are their owners'; only values that say nothing of spec and status go.
            let data = matches!(
                under,
                "data"
                    | "labels"
                    | "annotations"
                    | "matchLabels"
                    | "nodeSelector"
                    | "selector"
                    | "limits"
                    | "requests"
            );
            if map.contains_key("serviceAccountName") {
                map.remove("serviceAccount");
            }
            for (key, value) in map.iter_mut() {
                lists(key, value);
                prune(value, defaults, key);
            }
            if !data {
                map.retain(|key, value| {
                    let repeated = ANYWHERE.contains(&key.as_str())
                        || defaults
                            .iter()
                            .any(|(name, default)| name == key && default == value);
                    !repeated && !is_empty(value)
                });
            }
        }
        Value::Array(items) => {
            for item in items {
                prune(item, defaults, "");
            }
        }
        _ => {}
    }
}

/// Lists with items that Kubernetes adds to every pod, and conditions, which have more keys than they say.
fn lists(key: &str, value: &mut Value) {
    let Value::Array(items) = value else { return };
    match key {
        "tolerations" => items.retain(|item| {
            let added = matches!(
                text(item, &["key"]),
                Some("node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable")
            );
            !(added && item.get("tolerationSeconds").and_then(Value::as_i64) == Some(300))
        }),
        "volumes" | "volumeMounts" => items
            .retain(|item| !text(item, &["name"]).is_some_and(|name| name.starts_with("kube-api-access-"))),
        "conditions" => {
            for item in items {
                if let Some(line) = condition(item) {
                    *item = Value::String(line);
                }
            }
        }
        _ => {}
    }
}

/// A condition as one line: `Ready=False since 2026-…: Reason: message`.
fn condition(item: &Value) -> Option<String> {
    let mut line = format!("{}={}", text(item, &["type"])?, text(item, &["status"])?);
    if let Some(since) = text(item, &["lastTransitionTime"]) {
        line.push_str(&format!(" since {since}"));
    }
    for key in ["reason", "message"] {
        if let Some(said) = text(item, &[key]).filter(|said| !said.is_empty()) {
            line.push_str(": ");
            line.push_str(said);
        }
    }
    Some(line)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_goes_and_what_says_something_stays() {
        let mut object = json!({
            "kind": "Pod",
            "metadata": {
                "name": "web", "uid": "x", "resourceVersion": "1", "managedFields": [{}], "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"app": "web", "pod-template-hash": "abc"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "web-abc", "uid": "y"}],
            },
            "spec": {
                "tolerations": [{"key": "node.kubernetes.io/not-ready", "tolerationSeconds": 300}],
                "volumes": [{"name": "kube-api-access-x", "projected": {}}],
                "serviceAccount": "a", "serviceAccountName": "a", "priority": 0, "restartPolicy": "Never",
                "containers": [{"name": "a", "resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}],
            },
            "status": {
                "conditions": [{"type": "Ready", "status": "False", "reason": "R", "message": "m", "lastProbeTime": null}],
                "terminatingReplicas": 0, "observedGeneration": 3, "phase": "Running",
            },
        });
        slim(&mut object);
        let expected = json!({
            "kind": "Pod",
            "metadata": {
                "name": "web", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": "web"}, "ownerReferences": ["ReplicaSet/web-abc"],
            },
            "spec": {"serviceAccountName": "a", "restartPolicy": "Never", "containers": [{"name": "a", "ports": [{"containerPort": 80}]}]},
            "status": {"conditions": ["Ready=False: R: m"], "phase": "Running"},
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn what_people_wrote_into_data_stays_as_it_is() {
        let mut object =
            json!({"kind": "ConfigMap", "data": {"priority": "0", "scheme": "HTTP", "empty": ""}});
        let before = object.clone();
        slim(&mut object);
        assert_eq!(object, before);
    }
}
