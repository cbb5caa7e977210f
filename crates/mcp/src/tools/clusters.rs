//! `clusters`: which there are, and how they are.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use super::{AT_ONCE, Context, Tool, count, read, schema, text};
use crate::{
    answer::{Answer, Content, Rank, Section, Table},
    cluster::{ApiError, ClusterFilter, KnownCluster},
    error::ToolError,
};

/// The column that says whether a cluster is ready.
const READY: usize = 2;
/// How long a cluster may take to say how it is: one that hangs holds up nobody's list.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    /// One cluster only.
    cluster: Option<String>,
    /// Only those that are ready.
    ready_only: Option<bool>,
    /// Only those of a provider, like aws.
    provider: Option<String>,
    /// Only those with these labels.
    label_selector: Option<String>,
}

pub(super) fn tool() -> Tool {
    Tool {
        name: "clusters",
        title: "Clusters and their health",
        description: "The clusters you may name, whether each is ready, its version and nodes.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    let filter = ClusterFilter {
        provider: arguments.provider,
        labels: arguments.label_selector,
    };
    let mut known = context.clusters.select(&context.call.principal, &filter).await?;
    if let Some(asked) = arguments.cluster.as_deref().filter(|asked| *asked != "*") {
        known.retain(|known| known.name.as_str() == asked);
        if known.is_empty() {
            return Err(ToolError::NoCluster(asked.to_owned()));
        }
    }
    // Less than the call has: where many hang, the others' rows are told nevertheless.
    let deadline = Instant::now() + Duration::from_millis(context.settings.call_seconds * 700);
    let rows = stream::iter(known)
        .map(|known| row(&context, known, deadline))
        .buffered(AT_ONCE);
    let mut rows: Vec<_> = rows.collect().await;
    if arguments.ready_only == Some(true) {
        rows.retain(|row: &Vec<String>| row[READY] == "yes");
    }
    let title = count(rows.len(), "cluster").into_owned();
    let columns = ["NAME", "DEFAULT", "READY", "VERSION", "NODES", "ABOUT"]
        .map(str::to_owned)
        .into();
    let table = Table { columns, rows };
    Ok(Answer::new(title).with(Section::new(Rank::Essential, Content::Table(table))))
}

async fn row(context: &Context, known: KnownCluster, deadline: Instant) -> Vec<String> {
    let cluster = context.open(known.name.clone());
    let patience = PATIENCE.min(deadline.saturating_duration_since(Instant::now()));
    let answered = if patience.is_zero() {
        None
    } else {
        let ready = async { cluster.tail("/readyz", 256).await };
        let version = cluster.get("/version");
        let nodes = async { nodes(context, &known).await.unwrap_or_default() };
        let asked = async { futures_util::join!(ready, version, nodes) };
        Some(tokio::time::timeout(patience, asked).await)
    };
    let (ready, version, nodes) = match answered {
        Some(Ok((ready, version, nodes))) => {
            let ready = match ready {
                Ok((said, _)) if said == b"ok" => "yes".to_owned(),
                Ok(_) => "no".to_owned(),
                Err(ApiError::NoCluster) => "no: there is no way to it for you".to_owned(),
                Err(error) => format!("no: {error}"),
            };
            (
                ready,
                version
                    .map(|version| text(&version, "/gitVersion").to_owned())
                    .unwrap_or_default(),
                nodes,
            )
        }
        None => (
            "not asked: others took too long; name it in \"cluster\"".to_owned(),
            String::new(),
            String::new(),
        ),
        Some(Err(_)) => (
            format!("no answer within {} s", patience.as_secs()),
            String::new(),
            String::new(),
        ),
    };
    vec![
        known.name.to_string(),
        if known.is_default {
            "yes".to_owned()
        } else {
            String::new()
        },
        ready,
        version,
        nodes,
        known.about.unwrap_or_default(),
    ]
}

/// `2/3 ready`; nothing if the user may not see them.
async fn nodes(context: &Context, known: &KnownCluster) -> Result<String, ToolError> {
    let list = context
        .open(known.name.clone())
        .get("/api/v1/nodes?limit=1000")
        .await?;
    let all = super::each(&list, "/items").count();
    let is_ready = |node: &&serde_json::Value| {
        super::each(node, "/status/conditions")
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    let ready = super::each(&list, "/items").filter(is_ready).count();
    Ok(format!("{ready}/{all} ready"))
}
