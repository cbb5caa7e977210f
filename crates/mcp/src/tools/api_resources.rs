//! `api_resources`: what a cluster has to ask for.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, Tool, count, read, schema};
use crate::{
    answer::{Answer, Content, Rank, Section, Table, name},
    cluster::Resource,
    error::ToolError,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Cluster name.
    cluster: Option<String>,
    /// API group only; "" is the core group.
    group: Option<String>,
    /// Part of a kind's name.
    search: Option<String>,
    /// Only those in namespaces (true) or not (false).
    namespaced: Option<bool>,
}

pub(super) fn tool() -> Tool {
    Tool {
        name: "api_resources",
        title: "Kinds of objects",
        description: "The kinds of objects a cluster has, with short names and verbs.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    let cluster = context.cluster(arguments.cluster.as_deref()).await?;
    let discovery = cluster.discovery().await?;
    let search = arguments.search.map(|search| search.to_lowercase());
    let is_wanted = |resource: &&Resource| {
        arguments
            .group
            .as_ref()
            .is_none_or(|group| resource.group == *group)
            && arguments
                .namespaced
                .is_none_or(|namespaced| resource.is_namespaced == namespaced)
            && search.as_ref().is_none_or(|search| {
                resource.plural.contains(search.as_str())
                    || resource.kind.to_lowercase().contains(search.as_str())
            })
    };
    let rows: Vec<Vec<String>> = discovery.resources().filter(is_wanted).map(row).collect();
    let mut answer = Answer::new(format!(
        "{} in cluster {}",
        count(rows.len(), "kind"),
        cluster.name()
    ));
    let columns = ["KIND", "RESOURCE", "VERSION", "SHORT", "NAMESPACED", "VERBS"]
        .map(str::to_owned)
        .into();
    answer = answer.with(Section::new(
        Rank::Essential,
        Content::Table(Table { columns, rows }),
    ));
    let stale: Vec<&str> = discovery.stale().map(name).collect();
    if !stale.is_empty() {
        let note = format!(
            "Their servers don't answer, so they may be out of date: {}",
            stale.join(", ")
        );
        answer = answer.with(Section::new(Rank::Essential, Content::Note(note)));
    }
    Ok(answer)
}

fn row(resource: &Resource) -> Vec<String> {
    // Those that nearly all have are said by what is missing.
    const ALL: &[&str] = &[
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    let has_all = ALL.iter().all(|verb| resource.can(verb));
    vec![
        resource.kind.clone(),
        resource.to_string(),
        resource.version.clone(),
        resource.short_names.join(","),
        if resource.is_namespaced { "yes" } else { "no" }.to_owned(),
        if has_all {
            "all".to_owned()
        } else {
            resource.verbs.join(",")
        },
    ]
}
