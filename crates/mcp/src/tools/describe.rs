//! `describe`: an object with what happened to it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Context, Tool, count,
    events::{self, Filter},
    read, schema, text, workload,
};
use crate::{
    answer::{Answer, Content, Objects, Rank, Section, Shape, name},
    error::ToolError,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Kind of object.
    kind: String,
    /// Object name.
    name: String,
    /// Namespace.
    namespace: Option<String>,
    /// Cluster name.
    cluster: Option<String>,
}

pub(super) fn tool() -> Tool {
    Tool {
        name: "describe",
        title: "Describe an object",
        description: "One object, its owners, its events and, of a workload, its pods.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    let cluster = context.cluster(arguments.cluster.as_deref()).await?;
    let discovery = cluster.discovery().await?;
    let resource = discovery.find(&arguments.kind)?;
    let object = cluster
        .object(resource, arguments.namespace.as_deref(), &arguments.name)
        .await?;
    let filter = Filter {
        namespace: resource
            .is_namespaced
            .then(|| text(&object, "/metadata/namespace").to_owned()),
        object: Some(arguments.name.clone()),
        kind: Some(resource.kind.clone()),
        ..Filter::default()
    };
    let (happened, pods, owners) = futures_util::join!(
        events::find(&cluster, &filter),
        workload::pods(&cluster, resource, &object),
        workload::owners(&cluster, &object),
    );
    let mut answer = Answer::new(format!(
        "{} {} in cluster {}",
        resource.kind,
        name(&arguments.name),
        cluster.name()
    ));
    let owners: Vec<String> = owners
        .unwrap_or_default()
        .into_iter()
        .map(|(owner, _)| owner)
        .collect();
    if !owners.is_empty() {
        answer = answer.with(Section::new(
            Rank::Useful,
            Content::Note(format!("owned by {}", owners.join(", of "))),
        ));
    }
    let objects = Objects::new(vec![object], Shape::Slim);
    answer = answer.with(Section::new(Rank::Essential, Content::Objects(objects)));
    // What the user may not see isn't there; the object is what was asked for.
    if let Ok((happened, _)) = happened {
        let heading = count(happened.len(), "event").into_owned();
        let section = if happened.is_empty() {
            Section::new(Rank::Useful, Content::Note("no events".to_owned()))
        } else {
            Section::new(Rank::Useful, events::table(&happened)).under(heading)
        };
        answer = answer.with(section);
    }
    if let Ok(page) = pods
        && resource.plural != "pods"
        && !page.items.is_empty()
    {
        let heading = count(page.items.len(), "pod").into_owned();
        let objects = Objects {
            remaining: page.remaining,
            ..Objects::new(page.items, Shape::Slim)
        };
        answer = answer.with(Section::new(Rank::Detail, Content::Objects(objects)).under(heading));
    }
    Ok(answer)
}
