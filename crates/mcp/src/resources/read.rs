//! Reading a resource: the same requests and the same form as the tools' `get` and `logs`.

use super::{Part, ResourceUri};
use crate::{
    answer::{Answer, Content, Objects, Rank, Section, Shape, name},
    cluster::{Cluster, Resource, Selection},
    error::ToolError,
    tools::{Context, count, logs},
};

/// Objects of a list that are read. What is unhealthy among them is told first.
const PAGE: u32 = 500;
/// A log's last lines that are read.
const LINES: u32 = 200;

/// What is there now.
pub(crate) async fn read(context: &Context, uri: &ResourceUri) -> Result<Answer, ToolError> {
    let cluster = context.cluster(Some(uri.cluster.as_str())).await?;
    let resource = uri.resource();
    let place = match &uri.namespace {
        Some(namespace) => format!(" in namespace {namespace} of cluster {}", uri.cluster),
        None => format!(" of cluster {}", uri.cluster),
    };
    match &uri.part {
        Part::Object(object) => {
            let found = cluster
                .object(&resource, uri.namespace.as_deref(), object)
                .await?;
            let objects = Objects::new(vec![found], Shape::Slim);
            Ok(Answer::new(format!("{resource} {}{place}", name(object)))
                .with(Section::new(Rank::Essential, Content::Objects(objects))))
        }
        Part::List { labels, fields } => {
            let selection = Selection {
                namespace: uri.namespace.clone(),
                labels: labels.clone(),
                fields: fields.clone(),
                after: None,
                limit: PAGE,
            };
            let page = cluster.page(&resource, &selection).await?;
            let title = format!("{} of {resource}{place}", count(page.items.len(), "object"));
            let objects = Objects {
                remaining: page.remaining,
                ..Objects::new(page.items, Shape::Slim)
            };
            let answer = Answer::new(title).with(Section::new(Rank::Essential, Content::Objects(objects)));
            Ok(match page.next {
                Some(_) => answer.with_more("there are more: the tool \"get\" turns pages"),
                None => answer,
            })
        }
        Part::Log {
            pod,
            container,
            is_previous,
        } => log(&cluster, uri, pod, container.as_deref(), *is_previous).await,
    }
}

async fn log(
    cluster: &Cluster,
    uri: &ResourceUri,
    pod: &str,
    container: Option<&str>,
    is_previous: bool,
) -> Result<Answer, ToolError> {
    let found = cluster
        .object(&uri.resource(), uri.namespace.as_deref(), pod)
        .await?;
    let wanted = logs::Wanted {
        container: logs::container(&found, container)?,
        is_previous,
        since: None,
        lines: LINES,
    };
    let section = logs::fetch(cluster, &found, &wanted).await?.section(None, 0);
    Ok(Answer::new(format!(
        "log of pod {}, container {}, of cluster {}",
        name(pod),
        name(&wanted.container),
        uri.cluster
    ))
    .with(section))
}

impl ResourceUri {
    /// Where the API server has those of this kind.
    pub(crate) fn path(&self) -> Result<String, ToolError> {
        self.resource().path(self.namespace.as_deref(), None)
    }

    /// The kind of objects, as far as a path tells it. What it is called is read from what comes.
    pub(super) fn resource(&self) -> Resource {
        Resource {
            group: self.group.clone(),
            version: self.version.clone(),
            plural: self.plural.clone(),
            singular: String::new(),
            kind: String::new(),
            short_names: Vec::new(),
            is_namespaced: self.namespace.is_some(),
            verbs: Vec::new(),
            subresources: Vec::new(),
        }
    }
}
