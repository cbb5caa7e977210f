//! `get`: an object, or a page of a list, of one cluster or of several.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, Tool, count, read, schema};
use crate::{
    answer::{Answer, Content, FieldPath, Objects, Rank, Section, Shape, name},
    cluster::{Cluster, Selection},
    error::ToolError,
};

/// Objects of a page, if nobody says how many. More than fit into an answer are ranked by the renderer, so that what is unhealthy
/// is told.
const PAGE: u32 = 500;
const LARGEST_PAGE: u32 = 1_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    /// pods, deploy, deployments.apps, ...
    kind: String,
    /// Object name; without it, a list.
    name: Option<String>,
    /// Namespace; without it, a list has all.
    namespace: Option<String>,
    /// Cluster name; "*" asks all.
    cluster: Option<String>,
    /// app=web,tier!=db
    label_selector: Option<String>,
    /// status.phase=Failed
    field_selector: Option<String>,
    /// slim: what matters; names; full: everything.
    #[serde(default)]
    output: Output,
    /// JSONPaths: tell only these, e.g. .spec.replicas
    #[serde(default)]
    fields: Vec<String>,
    /// Objects of a page, 1000 at most.
    limit: Option<u32>,
    /// From the answer before: the next page.
    #[serde(rename = "continue")]
    after: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Output {
    #[default]
    Slim,
    Names,
    Full,
}

impl From<Output> for Shape {
    fn from(output: Output) -> Self {
        match output {
            Output::Slim => Self::Slim,
            Output::Names => Self::Names,
            Output::Full => Self::Full,
        }
    }
}

pub(super) fn tool() -> Tool {
    Tool {
        name: "get",
        title: "Get objects",
        description: "Read an object, or list objects (unhealthy ones first). Values of Secrets and credentials are never shown.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    let fields = fields(&arguments.fields)?;
    let limit = limit(arguments.limit)?;
    let selection = Selection {
        namespace: arguments.namespace,
        labels: arguments.label_selector,
        fields: arguments.field_selector,
        after: arguments.after,
        limit,
    };
    let clusters = context.several(arguments.cluster.as_deref()).await?;
    let shape = arguments.output.into();
    if let Some(object) = &arguments.name {
        if selection.labels.is_some() || selection.fields.is_some() || selection.after.is_some() {
            return Err(ToolError::arguments(
                "a name and a selector or \"continue\" don't go together: leave one out",
            ));
        }
        let title = format!("{} {}", name(&arguments.kind), name(object));
        let sections = context.ask_each(clusters, |cluster| {
            one(
                cluster,
                &arguments.kind,
                selection.namespace.as_deref(),
                object,
                shape,
                &fields,
            )
        });
        return Ok(Answer {
            sections: sections.await?,
            ..Answer::new(title)
        });
    }
    if let [cluster] = &*clusters {
        return page(cluster, &arguments.kind, &selection, shape, &fields).await;
    }
    if selection.after.is_some() {
        return Err(ToolError::arguments(
            "\"continue\" goes on in one cluster: name it in \"cluster\"",
        ));
    }
    let title = format!(
        "{} of {}",
        name(&arguments.kind),
        count(clusters.len(), "cluster")
    );
    let sections = context.ask_each(clusters, |cluster| {
        let (kind, selection, fields) = (&arguments.kind, &selection, &fields);
        async move {
            let answer = page(&cluster, kind, selection, shape, fields).await?;
            let heading = answer.title;
            Ok(answer
                .sections
                .into_iter()
                .map(|section| section.under(heading.clone()))
                .collect())
        }
    });
    Ok(Answer {
        sections: sections.await?,
        ..Answer::new(title)
    })
}

async fn one(
    cluster: Cluster,
    kind: &str,
    namespace: Option<&str>,
    object: &str,
    shape: Shape,
    fields: &[FieldPath],
) -> Result<Vec<Section>, ToolError> {
    let discovery = cluster.discovery().await?;
    let resource = discovery.find(kind)?;
    let object = cluster.object(resource, namespace, object).await?;
    let objects = Objects {
        fields: fields.to_vec(),
        ..Objects::new(vec![object], shape)
    };
    Ok(vec![Section::new(Rank::Essential, Content::Objects(objects))])
}

async fn page(
    cluster: &Cluster,
    kind: &str,
    selection: &Selection,
    shape: Shape,
    fields: &[FieldPath],
) -> Result<Answer, ToolError> {
    let discovery = cluster.discovery().await?;
    let resource = discovery.find(kind)?;
    if !resource.can("list") {
        return Err(ToolError::arguments(format!(
            "{resource} can't be listed: give \"name\""
        )));
    }
    let page = cluster.page(resource, selection).await?;
    let place = match &selection.namespace {
        Some(namespace) => format!(" in namespace {}", name(namespace)),
        None => String::new(),
    };
    let mut answer = Answer::new(format!(
        "{} of {resource}{place}",
        count(page.items.len(), "object")
    ));
    let objects = Objects {
        fields: fields.to_vec(),
        remaining: page.remaining,
        ..Objects::new(page.items, shape)
    };
    answer = answer.with(Section::new(Rank::Essential, Content::Objects(objects)));
    if let Some(next) = page.next {
        answer = answer.with_more(format!(
            "next page: the same arguments and \"continue\": \"{next}\""
        ));
    }
    Ok(answer)
}

fn fields(written: &[String]) -> Result<Vec<FieldPath>, ToolError> {
    let parse = |field: &String| {
        field
            .parse::<FieldPath>()
            .map_err(|error| ToolError::Arguments(error.to_string()))
    };
    written.iter().map(parse).collect()
}

fn limit(asked: Option<u32>) -> Result<u32, ToolError> {
    match asked {
        None => Ok(PAGE),
        Some(limit) if (1..=LARGEST_PAGE).contains(&limit) => Ok(limit),
        Some(limit) => Err(ToolError::Arguments(format!(
            "limit is {limit}: give 1 to {LARGEST_PAGE}"
        ))),
    }
}
