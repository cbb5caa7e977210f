//! `diagnose`: why something isn't as it should be, in one call: who owns it, which conditions are wrong, which containers fail
//! and how they ended, the warnings, and the end of the failing container's log.

use serde_json::Value;

use super::{
    Context, Found, Named, Tool, count, each,
    events::{self, Filter},
    logs::{self, Wanted},
    read, schema, text,
    workload::{self, Container},
};
use crate::{
    answer::{Answer, Content, Rank, Section, Table, name},
    cluster::Cluster,
    error::ToolError,
};

/// Pods that are looked at closely.
const PODS: usize = 3;
/// Lines of a failing container's log.
const LINES: u32 = 60;

pub(super) fn tool() -> Tool {
    Tool {
        name: "diagnose",
        title: "Diagnose an object",
        description: "Start here when something is broken: owners, wrong conditions, failing containers, warnings and log ends of an object and its pods.",
        arguments: schema::<Named>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, arguments: Named) -> Result<Answer, ToolError> {
    let Found {
        cluster,
        resource,
        object,
    } = arguments.find(&context).await?;
    let resource = &resource;
    let is_pod = resource.group.is_empty() && resource.plural == "pods";
    let (pods, owners) = futures_util::join!(
        workload::pods(&cluster, resource, &object),
        workload::owners(&cluster, &object)
    );
    let mut missing = Vec::new();
    let pods = pods.map(|page| page.items).unwrap_or_else(|error| {
        missing.push(format!("pods: {}", error.said().0));
        Vec::new()
    });
    let unwell: Vec<&Value> = pods.iter().filter(|pod| !workload::is_well(pod)).collect();

    let title = format!(
        "{} {} in cluster {}",
        resource.kind,
        name(&arguments.name),
        cluster.name()
    );
    let mut answer = Answer::new(title);
    let mut notes = vec![summary(&pods, &unwell, is_pod)];
    match owners {
        Ok(owners) if !owners.is_empty() => {
            notes.push(format!(
                "owned by {}",
                owners
                    .iter()
                    .map(|(owner, _)| &**owner)
                    .collect::<Vec<_>>()
                    .join(", of ")
            ));
        }
        Ok(_) => {}
        Err(error) => missing.push(format!("owners: {}", error.said().0)),
    }
    answer = answer.with(Section::new(Rank::Essential, Content::Note(notes.join("; "))));
    let mut rows = conditions(&object, &resource.kind);
    for pod in unwell.iter().take(PODS).filter(|_| !is_pod) {
        rows.extend(conditions(pod, "Pod"));
    }
    answer = with_table(
        answer,
        "conditions that are wrong",
        &["OBJECT", "CONDITION", "STATUS", "REASON", "MESSAGE"],
        rows,
    );
    let rows = pods.iter().flat_map(containers).collect();
    let columns = [
        "POD",
        "CONTAINER",
        "STATE",
        "REASON",
        "EXIT",
        "RESTARTS",
        "BEFORE",
    ];
    answer = with_table(answer, "containers that fail or were restarted", &columns, rows);

    let namespace = resource
        .is_namespaced
        .then(|| text(&object, "/metadata/namespace"));
    let mut about: Vec<(&str, &str)> = vec![(&resource.kind, &arguments.name)];
    about.extend(
        unwell
            .iter()
            .take(PODS)
            .filter(|_| !is_pod)
            .map(|pod| ("Pod", text(pod, "/metadata/name"))),
    );
    match warnings(&cluster, namespace, &about).await {
        Ok(found) if !found.is_empty() => {
            let heading = count(found.len(), "warning").into_owned();
            answer = answer.with(Section::new(Rank::Essential, events::table(&found)).under(heading));
        }
        Ok(_) => {}
        Err(error) => missing.push(format!("events: {}", error.said().0)),
    }
    for pod in pods.iter().filter(|pod| worst(pod).is_some()).take(PODS) {
        match log(&cluster, pod).await {
            Ok(section) => answer = answer.with(section),
            Err(error) => missing.push(format!(
                "log of {}: {}",
                name(text(pod, "/metadata/name")),
                error.said().0
            )),
        }
    }
    if !missing.is_empty() {
        let note = format!("what couldn't be looked at: {}", missing.join("; "));
        answer = answer.with(Section::new(Rank::Essential, Content::Note(note)));
    }
    Ok(answer)
}

fn summary(pods: &[Value], unwell: &[&Value], is_pod: bool) -> String {
    match (pods.len(), unwell.len()) {
        (0, _) => "it has no pods".to_owned(),
        (_, 0) if is_pod => "the pod is well".to_owned(),
        (_, _) if is_pod => "the pod is not well".to_owned(),
        (all, bad) => format!("{} of its {} not well", bad, count(all, "pod")),
    }
}

fn with_table(answer: Answer, heading: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Answer {
    if rows.is_empty() {
        return answer;
    }
    let table = Table {
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        rows,
    };
    answer.with(Section::new(Rank::Essential, Content::Table(table)).under(heading))
}

/// Conditions that say that something is wrong. Most say so by `False`; some by `True`, and those are told by their names.
fn conditions(object: &Value, kind: &str) -> Vec<Vec<String>> {
    let is_wrong = |condition: &&Value| {
        let (condition_type, status) = (text(condition, "/type"), text(condition, "/status"));
        let is_bad_news = [
            "Pressure",
            "Failure",
            "Failed",
            "Unavailable",
            "Degraded",
            "Stalled",
            "Terminating",
            "DisruptionTarget",
        ]
        .iter()
        .any(|bad| condition_type.ends_with(bad));
        match status {
            "True" => is_bad_news,
            "False" => {
                !is_bad_news && text(condition, "/reason") != "PodCompleted" && !is_of_success(condition_type)
            }
            _ => true,
        }
    };
    // A job that isn't complete yet, or isn't suspended, is no news.
    fn is_of_success(condition_type: &str) -> bool {
        ["Complete", "SuccessCriteriaMet", "Suspended"].contains(&condition_type)
    }
    each(object, "/status/conditions")
        .filter(is_wrong)
        .map(|condition| {
            let field = |pointer: &str| text(condition, pointer).to_owned();
            let called = format!("{kind}/{}", text(object, "/metadata/name"));
            vec![
                called,
                field("/type"),
                field("/status"),
                field("/reason"),
                field("/message"),
            ]
        })
        .collect()
}

fn containers(pod: &Value) -> Vec<Vec<String>> {
    let row = |container: Container| {
        let code = |code: Option<i64>| code.map(|code| code.to_string()).unwrap_or_default();
        let before = match (&*container.last_reason, container.last_exit_code) {
            ("", None) => String::new(),
            (reason, last) => format!("{reason} (exit {})", code(last)),
        };
        vec![
            text(pod, "/metadata/name").to_owned(),
            container.name,
            container.state.to_owned(),
            container.reason,
            code(container.exit_code),
            container.restarts.to_string(),
            before,
        ]
    };
    let matters = |container: &Container| {
        container.is_failing() || (container.restarts > 0 && !container.last_reason.is_empty())
    };
    workload::containers(pod)
        .into_iter()
        .filter(matters)
        .map(row)
        .collect()
}

async fn warnings(
    cluster: &Cluster,
    namespace: Option<&str>,
    about: &[(&str, &str)],
) -> Result<Vec<events::Happening>, ToolError> {
    let mut all = Vec::new();
    for (kind, object) in about {
        let filter = Filter {
            namespace: namespace.map(str::to_owned),
            object: Some((*object).to_owned()),
            kind: Some((*kind).to_owned()),
            warnings: true,
            ..Filter::default()
        };
        all.extend(events::find(cluster, &filter).await?.0);
    }
    all.sort_by_key(|happening| std::cmp::Reverse(happening.last));
    Ok(all)
}

/// The container whose log tells most: one that fails, and ran.
fn worst(pod: &Value) -> Option<Container> {
    let ran = |container: &Container| {
        container.restarts > 0 || container.exit_code.is_some() || container.state == "running"
    };
    workload::containers(pod)
        .into_iter()
        .find(|container| container.is_failing() && ran(container))
}

async fn log(cluster: &Cluster, pod: &Value) -> Result<Section, ToolError> {
    let container = worst(pod).ok_or_else(|| ToolError::arguments("no container fails"))?;
    let mut wanted = Wanted {
        container: container.name.clone(),
        is_previous: container.was_restarted(),
        since: None,
        lines: LINES,
    };
    let mut log = logs::fetch(cluster, pod, &wanted).await;
    if log.is_err() && wanted.is_previous {
        // The kubelet may have thrown it away.
        wanted.is_previous = false;
        log = logs::fetch(cluster, pod, &wanted).await;
    }
    let which = if wanted.is_previous {
        ", before its restart"
    } else {
        ""
    };
    let heading = format!(
        "log of {}, container {}{which}",
        name(text(pod, "/metadata/name")),
        name(&wanted.container)
    );
    let mut section = log?.section(None, 0).under(heading);
    section.rank = Rank::Useful;
    Ok(section)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_wrong_by_their_meaning() {
        let object = json!({"metadata": {"name": "x"}, "status": {"conditions": [
            {"type": "Ready", "status": "False", "reason": "KubeletNotReady"},
            {"type": "Available", "status": "True"},
            {"type": "MemoryPressure", "status": "False"},
            {"type": "DiskPressure", "status": "True"},
            {"type": "ReplicaFailure", "status": "True"},
            {"type": "Progressing", "status": "Unknown"},
            {"type": "Complete", "status": "False"},
            {"type": "Ready", "status": "False", "reason": "PodCompleted"}]}});
        let wrong: Vec<_> = conditions(&object, "Node")
            .into_iter()
            .map(|row| row[1].clone())
            .collect();
        assert_eq!(wrong, ["Ready", "DiskPressure", "ReplicaFailure", "Progressing"]);
    }

    #[test]
    fn the_log_that_tells_most_is_of_a_container_that_ran() {
        let pod = json!({"status": {"containerStatuses": [
            {"name": "pulls", "state": {"waiting": {"reason": "ImagePullBackOff"}}},
            {"name": "crashes", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
        assert_eq!(
            worst(&pod).map(|container| container.name).as_deref(),
            Some("crashes")
        );
        assert_eq!(worst(&json!({})), None);
    }
}
