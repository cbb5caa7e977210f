//! Many objects of one kind as rows: of each what somebody wants to know who looks at all.

use jiff::Timestamp;
use serde_json::Value;

use super::{age, at, health, list, number, text};

/// The columns of a kind, after the name.
pub(crate) fn columns(kind: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &["ready", "status", "restarts", "age", "node"],
        "Node" => &["status", "roles", "age", "version", "problems"],
        "Deployment" => &["ready", "updated", "available", "age", "problems"],
        "StatefulSet" | "ReplicaSet" | "ReplicationController" => &["ready", "age", "problems"],
        "DaemonSet" => &["desired", "ready", "updated", "available", "age", "problems"],
        "Job" => &["completions", "failed", "age", "status"],
        "CronJob" => &["schedule", "suspended", "active", "last run", "age"],
        "Service" => &["type", "cluster IP", "external", "ports", "age"],
        "Ingress" => &["class", "hosts", "address", "age"],
        "ConfigMap" => &["keys", "age"],
        "Secret" => &["type", "keys", "age"],
        "PersistentVolumeClaim" => &["status", "volume", "capacity", "class", "age"],
        "PersistentVolume" => &["status", "claim", "capacity", "class", "age"],
        "Event" => &["type", "reason", "object", "count", "last seen", "message"],
        "Namespace" => &["status", "age"],
        "HorizontalPodAutoscaler" => &["target", "replicas", "min", "max", "age", "problems"],
        "ServiceAccount" => &["age"],
        "EndpointSlice" => &["addresses", "not ready", "ports", "age"],
        "Role" | "ClusterRole" => &["rules", "age"],
        "RoleBinding" | "ClusterRoleBinding" => &["role", "subjects", "age"],
        "CustomResourceDefinition" => &["kind", "scope", "versions", "age"],
        _ => &["age", "conditions"],
    }
}

/// The cells of an object, as many as its kind has columns.
pub(crate) fn cells(kind: &str, object: &Value, now: Timestamp) -> Vec<String> {
    let since = age(text(object, &["metadata", "creationTimestamp"]), now);
    let say = |path: &[&str]| text(object, path).unwrap_or("-").to_owned();
    let count = |path: &[&str]| number(object, path).unwrap_or_default().to_string();
    let of = |ready: &[&str], wanted: i64| format!("{}/{wanted}", number(object, ready).unwrap_or_default());
    let wanted = number(object, &["spec", "replicas"]).unwrap_or(1);
    match kind {
        "Pod" => pod(object, since),
        "Node" => node(object, since),
        "Deployment" => vec![
            of(&["status", "readyReplicas"], wanted),
            count(&["status", "updatedReplicas"]),
            count(&["status", "availableReplicas"]),
            since,
            problems(object),
        ],
        "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
            vec![of(&["status", "readyReplicas"], wanted), since, problems(object)]
        }
        "DaemonSet" => vec![
            count(&["status", "desiredNumberScheduled"]),
            count(&["status", "numberReady"]),
            count(&["status", "updatedNumberScheduled"]),
            count(&["status", "numberAvailable"]),
            since,
            problems(object),
        ],
        "Job" => vec![
            of(
                &["status", "succeeded"],
                number(object, &["spec", "completions"]).unwrap_or(1),
            ),
            count(&["status", "failed"]),
            since,
            true_conditions(object),
        ],
        "CronJob" => vec![
            say(&["spec", "schedule"]),
            at(object, &["spec", "suspend"])
                .and_then(Value::as_bool)
                .unwrap_or_default()
                .to_string(),
            list(object, &["status", "active"]).len().to_string(),
            age(text(object, &["status", "lastScheduleTime"]), now),
            since,
        ],
        "Service" => vec![
            say(&["spec", "type"]),
            say(&["spec", "clusterIP"]),
            external(object),
            ports(list(object, &["spec", "ports"])),
            since,
        ],
        "Ingress" => vec![
            say(&["spec", "ingressClassName"]),
            joined(
                list(object, &["spec", "rules"])
                    .iter()
                    .map(|rule| text(rule, &["host"]).unwrap_or("*")),
            ),
            external(object),
            since,
        ],
        "ConfigMap" => vec![keys(object), since],
        "Secret" => vec![say(&["type"]), keys(object), since],
        "PersistentVolumeClaim" => vec![
            say(&["status", "phase"]),
            say(&["spec", "volumeName"]),
            say(&["status", "capacity", "storage"]),
            say(&["spec", "storageClassName"]),
            since,
        ],
        "PersistentVolume" => vec![
            say(&["status", "phase"]),
            format!(
                "{}/{}",
                say(&["spec", "claimRef", "namespace"]),
                say(&["spec", "claimRef", "name"])
            ),
            say(&["spec", "capacity", "storage"]),
            say(&["spec", "storageClassName"]),
            since,
        ],
        "Event" => event(object, now),
        "Namespace" => vec![say(&["status", "phase"]), since],
        "HorizontalPodAutoscaler" => vec![
            format!(
                "{}/{}",
                say(&["spec", "scaleTargetRef", "kind"]),
                say(&["spec", "scaleTargetRef", "name"])
            ),
            count(&["status", "currentReplicas"]),
            number(object, &["spec", "minReplicas"]).unwrap_or(1).to_string(),
            count(&["spec", "maxReplicas"]),
            since,
            problems(object),
        ],
        "ServiceAccount" => vec![since],
        "EndpointSlice" => endpoints(object, since),
        "Role" | "ClusterRole" => vec![list(object, &["rules"]).len().to_string(), since],
        "RoleBinding" | "ClusterRoleBinding" => vec![
            format!("{}/{}", say(&["roleRef", "kind"]), say(&["roleRef", "name"])),
            joined(
                list(object, &["subjects"])
                    .iter()
                    .map(|subject| text(subject, &["name"]).unwrap_or("?")),
            ),
            since,
        ],
        "CustomResourceDefinition" => vec![
            say(&["spec", "names", "kind"]),
            say(&["spec", "scope"]),
            joined(
                list(object, &["spec", "versions"])
                    .iter()
                    .map(|version| text(version, &["name"]).unwrap_or("?")),
            ),
            since,
        ],
        _ => vec![since, conditions(object)],
    }
}

/// A pod as kubectl tells it: the reason of whatever is wrong stands for the status.
fn pod(object: &Value, since: String) -> Vec<String> {
    let statuses = list(object, &["status", "containerStatuses"]);
    let ready = statuses
        .iter()
        .filter(|status| status.get("ready").and_then(Value::as_bool) == Some(true))
        .count();
    let all = list(object, &["spec", "containers"]).len().max(statuses.len());
    let inits = list(object, &["status", "initContainerStatuses"]);
    let restarts: i64 = statuses
        .iter()
        .chain(inits)
        .filter_map(|status| number(status, &["restartCount"]))
        .sum();
    let last = statuses
        .iter()
        .chain(inits)
        .find_map(|status| text(status, &["lastState", "terminated", "reason"]));
    let restarts = match last {
        Some(reason) if restarts > 0 => format!("{restarts} ({reason})"),
        _ => restarts.to_string(),
    };
    vec![
        format!("{ready}/{all}"),
        pod_status(object),
        restarts,
        since,
        text(object, &["spec", "nodeName"]).unwrap_or("-").to_owned(),
    ]
}

fn pod_status(object: &Value) -> String {
    if at(object, &["metadata", "deletionTimestamp"]).is_some() {
        return "Terminating".to_owned();
    }
    if let Some(reason) = text(object, &["status", "reason"]) {
        return reason.to_owned();
    }
    let reason_of = |status: &Value| {
        let waiting = text(status, &["state", "waiting", "reason"]);
        let ended =
            at(status, &["state", "terminated"]).filter(|ended| number(ended, &["exitCode"]) != Some(0));
        waiting.map(str::to_owned).or_else(|| {
            ended.map(
                |ended| match (text(ended, &["reason"]), number(ended, &["exitCode"])) {
                    (Some("Error") | None, Some(code)) => format!("Error (exit {code})"),
                    (Some(reason), _) => reason.to_owned(),
                    _ => "Error".to_owned(),
                },
            )
        })
    };
    let inits = list(object, &["status", "initContainerStatuses"]);
    if let Some(reason) = inits
        .iter()
        .filter_map(reason_of)
        .find(|reason| reason != "PodInitializing")
    {
        return format!("Init:{reason}");
    }
    if let Some(reason) = list(object, &["status", "containerStatuses"])
        .iter()
        .find_map(reason_of)
    {
        return reason;
    }
    let phase = text(object, &["status", "phase"]).unwrap_or("-");
    let unschedulable = || {
        let conditions = list(object, &["status", "conditions"]);
        conditions
            .iter()
            .any(|condition| text(condition, &["reason"]) == Some("Unschedulable"))
    };
    if phase == "Pending" && unschedulable() {
        "Unschedulable".to_owned()
    } else {
        phase.to_owned()
    }
}

fn node(object: &Value, since: String) -> Vec<String> {
    let conditions = list(object, &["status", "conditions"]);
    let ready = conditions
        .iter()
        .find(|condition| text(condition, &["type"]) == Some("Ready"))
        .and_then(|ready| text(ready, &["status"]));
    let mut status = match ready {
        Some("True") => "Ready",
        Some("False") => "NotReady",
        _ => "Unknown",
    }
    .to_owned();
    if at(object, &["spec", "unschedulable"]).and_then(Value::as_bool) == Some(true) {
        status.push_str(", cordoned");
    }
    let labels = at(object, &["metadata", "labels"]).and_then(Value::as_object);
    let roles = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"));
    let version = text(object, &["status", "nodeInfo", "kubeletVersion"]).unwrap_or("-");
    vec![status, joined(roles), since, version.to_owned(), problems(object)]
}

fn event(object: &Value, now: Timestamp) -> Vec<String> {
    let about = at(object, &["involvedObject"]).or_else(|| at(object, &["regarding"]));
    let about = about.map_or_else(
        || "-".to_owned(),
        |about| {
            format!(
                "{}/{}",
                text(about, &["kind"]).unwrap_or("?"),
                text(about, &["name"]).unwrap_or("?")
            )
        },
    );
    let times = number(object, &["count"])
        .or_else(|| number(object, &["series", "count"]))
        .or_else(|| number(object, &["deprecatedCount"]));
    let seen = [
        &["series", "lastObservedTime"][..],
        &["lastTimestamp"],
        &["deprecatedLastTimestamp"],
        &["eventTime"],
        &["metadata", "creationTimestamp"],
    ];
    let seen = seen.iter().find_map(|path| text(object, path));
    let message = text(object, &["message"])
        .or_else(|| text(object, &["note"]))
        .unwrap_or("-");
    vec![
        text(object, &["type"]).unwrap_or("-").to_owned(),
        text(object, &["reason"]).unwrap_or("-").to_owned(),
        about,
        times.unwrap_or(1).to_string(),
        age(seen, now),
        message.to_owned(),
    ]
}

fn endpoints(object: &Value, since: String) -> Vec<String> {
    let endpoints = list(object, &["endpoints"]);
    let ready =
        |endpoint: &&Value| at(endpoint, &["conditions", "ready"]).and_then(Value::as_bool) != Some(false);
    let addresses = joined(
        endpoints
            .iter()
            .filter(ready)
            .flat_map(|endpoint| list(endpoint, &["addresses"]))
            .filter_map(Value::as_str),
    );
    let unready = endpoints.iter().filter(|endpoint| !ready(endpoint)).count();
    vec![
        addresses,
        unready.to_string(),
        ports(list(object, &["ports"])),
        since,
    ]
}

/// What conditions say against an object.
fn problems(object: &Value) -> String {
    let bad = list(object, &["status", "conditions"])
        .iter()
        .filter(|condition| health::is_bad(condition));
    joined(bad.map(condition))
}

/// All conditions in short, for kinds that nobody here knows.
fn conditions(object: &Value) -> String {
    let all = list(object, &["status", "conditions"]);
    if all.is_empty() {
        return text(object, &["status", "phase"])
            .or_else(|| text(object, &["status", "state"]))
            .unwrap_or("-")
            .to_owned();
    }
    let ready = all
        .iter()
        .find(|condition| text(condition, &["type"]) == Some("Ready") && !health::is_bad(condition));
    let bad = all.iter().filter(|condition| health::is_bad(condition));
    joined(ready.into_iter().chain(bad).map(condition))
}

fn true_conditions(object: &Value) -> String {
    let held = list(object, &["status", "conditions"])
        .iter()
        .filter(|condition| text(condition, &["status"]) == Some("True"));
    let shown = joined(held.map(|condition| text(condition, &["type"]).unwrap_or("?").to_owned()));
    if shown == "-" && number(object, &["status", "active"]).unwrap_or_default() > 0 {
        "Running".to_owned()
    } else {
        shown
    }
}

fn condition(condition: &Value) -> String {
    let shown = format!(
        "{}={}",
        text(condition, &["type"]).unwrap_or("?"),
        text(condition, &["status"]).unwrap_or("?")
    );
    match text(condition, &["reason"]) {
        Some(reason) if !reason.is_empty() => format!("{shown} ({reason})"),
        _ => shown,
    }
}

fn external(object: &Value) -> String {
    let ingress = list(object, &["status", "loadBalancer", "ingress"])
        .iter()
        .filter_map(|at| text(at, &["ip"]).or_else(|| text(at, &["hostname"])));
    let own = list(object, &["spec", "externalIPs"])
        .iter()
        .filter_map(Value::as_str);
    joined(ingress.chain(own).chain(text(object, &["spec", "externalName"])))
}

fn ports(ports: &[Value]) -> String {
    joined(ports.iter().map(|port| {
        let mut shown = number(port, &["port"]).map_or_else(|| "?".to_owned(), |port| port.to_string());
        if let Some(node) = number(port, &["nodePort"]) {
            shown.push_str(&format!(":{node}"));
        }
        if let Some(protocol) = text(port, &["protocol"]).filter(|protocol| *protocol != "TCP") {
            shown.push_str(&format!("/{protocol}"));
        }
        shown
    }))
}

/// The names of what is in a ConfigMap or a Secret, which say more than their number.
fn keys(object: &Value) -> String {
    let keys = ["data", "binaryData"]
        .iter()
        .filter_map(|part| at(object, &[part]).and_then(Value::as_object))
        .flat_map(|map| map.keys());
    joined(keys)
}

/// Up to six of them, and how many more there are.
fn joined<T: AsRef<str>>(parts: impl Iterator<Item = T>) -> String {
    let (mut out, mut more) = (String::new(), 0_usize);
    for (count, part) in parts.enumerate() {
        if count >= 6 {
            more += 1;
            continue;
        }
        if count > 0 {
            out.push_str(", ");
        }
        out.push_str(part.as_ref());
    }
    if more > 0 {
        out.push_str(&format!(", and {more} more"));
    }
    if out.is_empty() { "-".to_owned() } else { out }
}
