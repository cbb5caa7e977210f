//! What hangs together: a workload's pods, a pod's containers, an object's owners.

use serde_json::Value;

use super::{each, text};
use crate::{
    answer::name,
    cluster::{Cluster, Page, Resource, Selection},
    error::ToolError,
};

/// Pods of a workload that are looked at.
const MOST_PODS: u32 = 200;

/// A container of a pod, as its status has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) restarts: u64,
    /// `waiting`, `running`, `terminated`; empty before the kubelet said anything.
    pub(super) state: &'static str,
    /// `CrashLoopBackOff`, `OOMKilled`, …; a program of the cluster wrote it.
    pub(super) reason: String,
    pub(super) exit_code: Option<i64>,
    /// How it ended the time before.
    pub(super) last_reason: String,
    pub(super) last_exit_code: Option<i64>,
    pub(super) is_ready: bool,
    /// Init containers end, and are well then.
    pub(super) is_init: bool,
}

impl Container {
    /// Whether something is wrong with it.
    pub(super) fn is_failing(&self) -> bool {
        let starts = ["", "ContainerCreating", "PodInitializing"];
        match self.state {
            "waiting" => !starts.contains(&&*self.reason),
            "terminated" => self.exit_code != Some(0),
            "running" => !self.is_ready && !self.is_init && self.restarts > 0,
            _ => false,
        }
    }

    /// Whether what it said before it ended tells more than what it says now.
    pub(super) fn was_restarted(&self) -> bool {
        self.restarts > 0 && (self.state == "waiting" || self.last_exit_code.is_some_and(|code| code != 0))
    }
}

/// A pod's containers: those that start first, first.
pub(super) fn containers(pod: &Value) -> Vec<Container> {
    let of = |pointer: &'static str, is_init: bool| {
        each(pod, pointer).map(move |status| {
            let state = ["waiting", "running", "terminated"]
                .into_iter()
                .find(|state| status["state"][state].is_object())
                .unwrap_or_default();
            let now = &status["state"][state];
            let before = &status["lastState"]["terminated"];
            Container {
                name: text(status, "/name").to_owned(),
                restarts: status["restartCount"].as_u64().unwrap_or_default(),
                state,
                reason: text(now, "/reason").to_owned(),
                exit_code: now["exitCode"].as_i64(),
                last_reason: text(before, "/reason").to_owned(),
                last_exit_code: before["exitCode"].as_i64(),
                is_ready: status["ready"] == true,
                is_init,
            }
        })
    };
    of("/status/initContainerStatuses", true)
        .chain(of("/status/containerStatuses", false))
        .collect()
}

/// The containers that a pod should have, by name.
pub(super) fn container_names(pod: &Value) -> Vec<&str> {
    [
        "/spec/containers",
        "/spec/initContainers",
        "/spec/ephemeralContainers",
    ]
    .into_iter()
    .flat_map(|pointer| each(pod, pointer))
    .map(|container| text(container, "/name"))
    .collect()
}

/// Whether a pod is as it should be.
pub(super) fn is_well(pod: &Value) -> bool {
    match text(pod, "/status/phase") {
        "Succeeded" => true,
        "Running" => each(pod, "/status/conditions")
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
        _ => false,
    }
}

/// A label selector as text (`metav1.LabelSelector`); nothing if it selects all or none.
pub(super) fn selector(workload: &Value) -> Option<String> {
    let spec = workload.pointer("/spec/selector")?;
    // A Service's and a ReplicationController's is the map itself.
    let labels = if spec.get("matchLabels").is_some() || spec.get("matchExpressions").is_some() {
        spec.get("matchLabels")
    } else {
        Some(spec)
    };
    let mut terms: Vec<String> = labels
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for expression in each(spec, "/matchExpressions") {
        let key = text(expression, "/key");
        let values = each(expression, "/values")
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(",");
        terms.push(match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

/// The pods of a workload, or the pod itself; those that are not well first.
pub(super) async fn pods(cluster: &Cluster, resource: &Resource, object: &Value) -> Result<Page, ToolError> {
    if resource.group.is_empty() && resource.plural == "pods" {
        return Ok(Page {
            items: vec![object.clone()],
            ..Page::default()
        });
    }
    let Some(labels) = selector(object).filter(|_| resource.is_namespaced) else {
        return Ok(Page::default());
    };
    let discovery = cluster.discovery().await?;
    let selection = Selection {
        namespace: Some(text(object, "/metadata/namespace").to_owned()),
        labels: Some(labels),
        limit: MOST_PODS,
        ..Selection::default()
    };
    let mut page = cluster.page(discovery.find("pods")?, &selection).await?;
    page.items.sort_by_cached_key(is_well);
    Ok(page)
}

/// Who made it, whom that is of, and so on. Ends where the user may not look any further.
pub(super) async fn owners(
    cluster: &Cluster,
    object: &Value,
) -> Result<Vec<(String, Option<Value>)>, ToolError> {
    const DEEPEST: usize = 6;
    let discovery = cluster.discovery().await?;
    let namespace = text(object, "/metadata/namespace").to_owned();
    let (mut chain, mut current) = (Vec::new(), object.clone());
    while chain.len() < DEEPEST {
        let Some(owner) = each(&current, "/metadata/ownerReferences")
            .find(|owner| owner["controller"] == true)
            .or_else(|| each(&current, "/metadata/ownerReferences").next())
        else {
            break;
        };
        let (kind, owner_name) = (text(owner, "/kind"), text(owner, "/name"));
        let called = format!("{}/{}", name(kind), name(owner_name));
        let group = text(owner, "/apiVersion")
            .split_once('/')
            .map_or("", |(group, _)| group);
        let found = discovery
            .resources()
            .find(|resource| resource.kind == kind && resource.group == group);
        let found = match found {
            Some(resource) => {
                let namespace = resource.is_namespaced.then_some(&*namespace);
                cluster.object(resource, namespace, owner_name).await.ok()
            }
            None => None,
        };
        chain.push((called, found.clone()));
        match found {
            Some(found) => current = found,
            None => break,
        }
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_become_text() {
        for (spec, text) in [
            (json!({"matchLabels": {"app": "web"}}), Some("app=web")),
            (json!({"app": "web", "tier": "x"}), Some("app=web,tier=x")),
            (
                json!({"matchLabels": {"a": "b"}, "matchExpressions": [
                    {"key": "t", "operator": "In", "values": ["x", "y"]},
                    {"key": "u", "operator": "NotIn", "values": ["z"]},
                    {"key": "v", "operator": "Exists"}, {"key": "w", "operator": "DoesNotExist"}]}),
                Some("a=b,t in (x,y),u notin (z),v,!w"),
            ),
            (json!({}), None),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "Gt"}]}),
                None,
            ),
        ] {
            assert_eq!(
                selector(&json!({"spec": {"selector": spec}})).as_deref(),
                text,
                "{spec}"
            );
        }
        assert_eq!(selector(&json!({"spec": {}})), None);
    }

    #[test]
    fn containers_that_fail_are_told_from_those_that_start() {
        let pod = json!({"status": {
            "initContainerStatuses": [
                {"name": "done", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
                {"name": "lost", "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}],
            "containerStatuses": [
                {"name": "starts", "state": {"waiting": {"reason": "ContainerCreating"}}},
                {"name": "crashes", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
                {"name": "runs", "ready": true, "restartCount": 1, "state": {"running": {}}}]}});
        let failing: Vec<_> = containers(&pod)
            .into_iter()
            .filter(Container::is_failing)
            .map(|c| c.name)
            .collect();
        assert_eq!(failing, ["lost", "crashes"]);
        assert!(containers(&pod)[3].was_restarted());
        assert_eq!(containers(&json!({"status": 5})), []);
    }
}
