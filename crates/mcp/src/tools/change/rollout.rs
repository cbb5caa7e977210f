//! Rollouts, as kubectl does them: all but the revision that is gone back to is a patch of a few words.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::arguments::Word;
use crate::{
    cluster::{Cluster, Resource, Selection},
    error::ToolError,
    plan::{Operation, PatchForm, Step},
    tools::{each, text, workload},
};

const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";
/// More revisions than these nobody keeps.
const MOST: u32 = 500;

/// The patch that does it.
pub(super) async fn operation(
    cluster: &Cluster,
    resource: &Resource,
    object: &Value,
    word: Word,
    revision: Option<i64>,
    now: Timestamp,
) -> Result<Operation, ToolError> {
    let is_deployment = resource.plural == "deployments";
    let has_rollouts = resource.group == "apps"
        && ["deployments", "statefulsets", "daemonsets"].contains(&&*resource.plural);
    let pauses = matches!(word, Word::Pause | Word::Resume);
    if !has_rollouts || (pauses && !is_deployment) {
        let which = if pauses {
            "deployments"
        } else {
            "deployments, statefulsets and daemonsets"
        };
        return Err(ToolError::Arguments(format!(
            "{resource} have no such rollouts, {which} do"
        )));
    }
    let is_paused = object.pointer("/spec/paused") == Some(&Value::Bool(true));
    let (step, form, patch) = match word {
        Word::Pause if is_paused => return Err(ToolError::arguments("its rollout is paused already")),
        Word::Pause => (Step::Pause, PatchForm::Merge, json!({"spec": {"paused": true}})),
        Word::Resume if !is_paused => return Err(ToolError::arguments("its rollout isn't paused")),
        Word::Resume => (Step::Resume, PatchForm::Merge, json!({"spec": {"paused": null}})),
        _ if is_paused => {
            return Err(ToolError::arguments("its rollout is paused: resume it first"));
        }
        Word::Undo if is_deployment => (
            Step::Undo,
            PatchForm::Json,
            replica_set(cluster, object, revision).await?,
        ),
        Word::Undo => (
            Step::Undo,
            PatchForm::Strategic,
            controller_revision(cluster, object, revision).await?,
        ),
        _ => {
            let annotations = json!({RESTARTED: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
            let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
            (Step::Restart, PatchForm::Merge, patch)
        }
    };
    Ok(Operation::Rollout { step, form, patch })
}

/// The objects that have a workload's earlier templates.
async fn history(cluster: &Cluster, kind: &str, object: &Value) -> Result<Vec<Value>, ToolError> {
    let discovery = cluster.discovery().await?;
    let selection = Selection {
        namespace: Some(text(object, "/metadata/namespace").to_owned()),
        labels: workload::selector(object),
        limit: MOST,
        ..Selection::default()
    };
    let page = cluster.page(discovery.find(kind)?, &selection).await?;
    let uid = text(object, "/metadata/uid");
    let is_its = |item: &Value| each(item, "/metadata/ownerReferences").any(|owner| owner["uid"] == uid);
    Ok(page.items.into_iter().filter(is_its).collect())
}

async fn replica_set(cluster: &Cluster, object: &Value, wanted: Option<i64>) -> Result<Value, ToolError> {
    let of = |object: &Value| text(object, REVISION).parse::<i64>().ok();
    let all = history(cluster, "replicasets.apps", object).await?;
    let set = choose(
        all.iter().filter_map(|set| Some((of(set)?, set))),
        of(object),
        wanted,
    )?;
    let mut template = set.pointer("/spec/template").cloned().unwrap_or_default();
    if let Some(labels) = template
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut)
    {
        labels.remove("pod-template-hash");
    }
    Ok(json!([{"op": "replace", "path": "/spec/template", "value": template}]))
}

async fn controller_revision(
    cluster: &Cluster,
    object: &Value,
    wanted: Option<i64>,
) -> Result<Value, ToolError> {
    let all = history(cluster, "controllerrevisions.apps", object).await?;
    let of = |revision: &Value| revision["revision"].as_i64();
    let newest = all.iter().filter_map(of).max();
    let revision = choose(
        all.iter().filter_map(|revision| Some((of(revision)?, revision))),
        newest,
        wanted,
    )?;
    // It is a patch itself (`k8s.io/kubernetes/pkg/controller/history`).
    Ok(revision["data"].clone())
}

/// The revision that is wanted, or the one before the current.
fn choose<'a>(
    all: impl Iterator<Item = (i64, &'a Value)>,
    current: Option<i64>,
    wanted: Option<i64>,
) -> Result<&'a Value, ToolError> {
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(revision, _)| *revision);
    let found = match wanted {
        Some(wanted) => all.iter().find(|(revision, _)| *revision == wanted),
        None => all
            .iter()
            .rev()
            .find(|(revision, _)| current.is_none_or(|current| *revision < current)),
    };
    found.map(|(_, object)| *object).ok_or_else(|| {
        let there: Vec<String> = all.iter().map(|(revision, _)| revision.to_string()).collect();
        ToolError::Arguments(format!(
            "there is no such revision to go back to; there is {}",
            if there.is_empty() {
                "none".to_owned()
            } else {
                there.join(", ")
            }
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_before_is_gone_back_to_or_the_one_that_is_named() {
        let [first, second, third] = [json!(1), json!(2), json!(3)];
        let all = || [(3, &third), (1, &first), (2, &second)].into_iter();
        assert_eq!(choose(all(), Some(3), None).expect("one"), &second);
        assert_eq!(choose(all(), Some(2), None).expect("one"), &first);
        assert_eq!(choose(all(), Some(3), Some(1)).expect("one"), &first);
        let error = choose(all(), Some(3), Some(9)).expect_err("none").to_string();
        assert!(error.ends_with("there is 1, 2, 3"), "{error}");
        assert!(choose(all(), Some(1), None).is_err());
    }
}
