//! `can_i`: what the user may do, as the cluster says (`SelfSubjectAccessReview`, `SelfSubjectRulesReview`).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, Tool, each, read, schema, text};
use crate::{
    answer::{Answer, Content, Keep, Lines, Rank, Section, Table, name},
    cluster::{Cluster, check_name, check_namespace},
    error::ToolError,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    /// get, list, watch, create, update, patch, delete, ... Without it, all your rights in the namespace are listed.
    verb: Option<String>,
    /// Kind of object; "pods/log" for a subresource.
    kind: Option<String>,
    /// Object name.
    name: Option<String>,
    /// Namespace; without it, all of them are meant.
    namespace: Option<String>,
    /// Cluster name.
    cluster: Option<String>,
}

pub(super) fn tool() -> Tool {
    Tool {
        name: "can_i",
        title: "What you may do",
        description: "Whether you may do something, or a list of what you may do in a namespace.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    let cluster = context.cluster(arguments.cluster.as_deref()).await?;
    let namespace = arguments.namespace.as_deref().map(check_namespace).transpose()?;
    match (&arguments.verb, &arguments.kind) {
        (Some(verb), Some(kind)) => one(&cluster, verb, kind, namespace, arguments.name.as_deref()).await,
        (None, None) if arguments.name.is_none() => all(&cluster, namespace.unwrap_or("default")).await,
        _ => Err(ToolError::arguments(
            "give both \"verb\" and \"kind\", or neither to list all",
        )),
    }
}

async fn one(
    cluster: &Cluster,
    verb: &str,
    kind: &str,
    namespace: Option<&str>,
    object: Option<&str>,
) -> Result<Answer, ToolError> {
    let (kind, subresource) = match kind.split_once('/') {
        // `apps/deployments` is a group's, `pods/log` a subresource.
        Some((kind, sub)) if cluster.discovery().await?.find(kind).is_ok() => (kind, Some(check_name(sub)?)),
        _ => (kind, None),
    };
    let discovery = cluster.discovery().await?;
    let resource = discovery.find(kind)?;
    let mut attributes = json!({
        "verb": verb,
        "group": resource.group,
        "resource": resource.plural,
        "namespace": namespace.unwrap_or_default(),
        "name": object.map(check_name).transpose()?.unwrap_or_default(),
    });
    if let Some(subresource) = subresource {
        attributes["subresource"] = subresource.into();
    }
    let (is_allowed, review) = access(cluster, &attributes).await?;
    let what = match subresource {
        Some(subresource) => format!("{resource}/{subresource}"),
        None => resource.to_string(),
    };
    let place = match namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None if resource.is_namespaced => "in all namespaces".to_owned(),
        None => "in the cluster".to_owned(),
    };
    let answer = if is_allowed { "yes" } else { "no" };
    let mut answer = Answer::new(format!(
        "{answer}: {} {} {place} of cluster {}",
        name(verb),
        name(&what),
        cluster.name()
    ));
    let reason = text(&review, "/status/reason");
    if !reason.is_empty() {
        let lines = Lines {
            from: "the reason".to_owned(),
            text: vec![reason.to_owned()],
            keep: Keep::Head,
        };
        answer = answer.with(Section::new(Rank::Useful, Content::Lines(lines)));
    }
    Ok(answer)
}

async fn all(cluster: &Cluster, namespace: &str) -> Result<Answer, ToolError> {
    let review = review(
        cluster,
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        &json!({"namespace": namespace}),
    )
    .await?;
    let rows = each(&review, "/status/resourceRules").map(|rule| {
        let list = |key: &str| {
            each(rule, key)
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(",")
        };
        vec![
            list("/verbs"),
            list("/resources"),
            list("/apiGroups"),
            list("/resourceNames"),
        ]
    });
    let columns = ["VERBS", "RESOURCES", "GROUPS", "NAMES"]
        .map(str::to_owned)
        .into();
    let table = Table {
        columns,
        rows: rows.collect(),
    };
    let mut answer = Answer::new(format!(
        "what you may do in namespace {namespace} of cluster {}",
        cluster.name()
    ))
    .with(Section::new(Rank::Essential, Content::Table(table)));
    if review.pointer("/status/incomplete") == Some(&Value::Bool(true)) {
        let note = "The list is incomplete: the cluster has authorizers that can't list. Ask for one right with verb and kind.";
        answer = answer.with(Section::new(Rank::Essential, Content::Note(note.to_owned())));
    }
    Ok(answer)
}

/// Whether one may, and what the cluster says of it.
pub(super) async fn access(cluster: &Cluster, attributes: &Value) -> Result<(bool, Value), ToolError> {
    let spec = json!({"resourceAttributes": attributes});
    let review = review(
        cluster,
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        &spec,
    )
    .await?;
    Ok((
        review.pointer("/status/allowed") == Some(&Value::Bool(true)),
        review,
    ))
}

async fn review(cluster: &Cluster, resource: &str, kind: &str, spec: &Value) -> Result<Value, ToolError> {
    let object = json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
    Ok(cluster
        .create(&format!("/apis/authorization.k8s.io/v1/{resource}"), &object)
        .await?)
}
