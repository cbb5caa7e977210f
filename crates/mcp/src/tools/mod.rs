//! The tools. Each is a module with its arguments, whose doc comments are what an agent reads, and a function that answers.
//!
//! A tool finds things out and says nothing itself: what it returns is an [`Answer`], and only [`crate::render`] makes text of
//! it. What it asks of clusters passes [`crate::guard`].

mod api_resources;
mod can_i;
mod change;
mod clusters;
mod describe;
mod diagnose;
mod events;
mod exec;
mod get;
pub(crate) mod logs;
mod pods;
mod port_forward;
mod top;
mod workload;

use std::{borrow::Cow, future::Future, pin::Pin, sync::Arc};

use futures_util::{StreamExt as _, stream};
use mk8s_model::ClusterName;
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub(crate) use port_forward::Forwards;

use crate::{
    answer::{Answer, Content, Keep, Lines, Rank, Section},
    cluster::{Cluster, Clusters, Discoveries, KnownCluster, Resource},
    error::ToolError,
    guard::Guard,
    plan::Plans,
    principal::Call,
    server::Approver,
    settings::{Mode, Settings},
};

/// How many clusters are asked at a time.
const AT_ONCE: usize = 8;
/// What is read of one answer of one of several clusters, at least, in bytes. Together they may have what one has.
const LEAST_READ: usize = 4 << 20;

/// Those that do more than read.
const CHANGING: &[&str] = &["change", "exec", "port_forward"];

/// A tool as clients see it, and how it is called.
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it is for, for agents.
    pub description: &'static str,
    /// Its arguments, as JSON Schema. Nothing else is taken.
    pub arguments: Map<String, Value>,
    run: fn(Context, Value) -> Running,
}

type Running = Pin<Box<dyn Future<Output = Result<Answer, ToolError>> + Send>>;

/// What a tool has to work with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) call: Arc<Call>,
    pub(crate) clusters: Arc<dyn Clusters>,
    pub(crate) discoveries: Discoveries,
    pub(crate) guard: Arc<Guard>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) plans: Arc<Plans>,
    pub(crate) approver: Arc<Approver>,
    pub(crate) forwards: Arc<Forwards>,
}

/// The tools that there are by these settings, in the order in which they are listed. `is_local`: the server runs on its user's
/// own machine.
#[must_use]
pub fn all(settings: &Settings, is_local: bool) -> Vec<Tool> {
    let mut all = vec![
        clusters::tool(),
        get::tool(),
        describe::tool(),
        logs::tool(),
        events::tool(),
        top::tool(),
        diagnose::tool(),
        can_i::tool(),
        api_resources::tool(),
    ];
    if settings.mode != Mode::ReadOnly {
        all.extend([change::tool(), exec::tool()]);
        if is_local {
            all.push(port_forward::tool());
        }
    }
    all
}

/// Whether a tool does more than read.
pub(crate) fn changes(tool: &Tool) -> bool {
    CHANGING.contains(&tool.name)
}

impl Tool {
    pub(crate) async fn call(&self, context: Context, arguments: Value) -> Result<Answer, ToolError> {
        (self.run)(context, arguments).await
    }
}

/// The arguments of tools that are about one object.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// Kind of object.
    kind: String,
    /// Object name.
    name: String,
    /// Namespace.
    namespace: Option<String>,
    /// Cluster name.
    cluster: Option<String>,
}

/// The object that is meant, and where it is.
struct Found {
    cluster: Cluster,
    resource: Resource,
    object: Value,
}

impl Named {
    async fn find(&self, context: &Context) -> Result<Found, ToolError> {
        let cluster = context.cluster(self.cluster.as_deref()).await?;
        let resource = cluster.discovery().await?.find(&self.kind)?.clone();
        let object = cluster
            .object(&resource, self.namespace.as_deref(), &self.name)
            .await?;
        Ok(Found {
            cluster,
            resource,
            object,
        })
    }
}

/// The arguments, or what is wrong with them.
fn read<A: DeserializeOwned>(arguments: Value) -> Result<A, ToolError> {
    serde_json::from_value(arguments)
        .map_err(|error| ToolError::Arguments(format!("the arguments can't be meant: {error}")))
}

/// The schema of `A` in few words: no titles, no formats, no references, and no `null` beside a type.
fn schema<A: JsonSchema>() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<A>();
    plain(&mut schema);
    schema.remove("description");
    schema.to_value().as_object().cloned().unwrap_or_default()
}

fn plain(schema: &mut Schema) {
    for needless in ["title", "format", "$schema"] {
        schema.remove(needless);
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get("type")
        && let [Value::String(only)] = &*types
            .iter()
            .filter(|kind| *kind != "null")
            .cloned()
            .collect::<Vec<_>>()
    {
        schema.insert("type".to_owned(), only.clone().into());
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(ways)) = schema.get_mut("anyOf") {
        ways.retain(|way| way["type"] != "null");
        if let [Value::Object(only)] = &**ways {
            let only = only.clone();
            schema.remove("anyOf");
            for (key, value) in only {
                if !schema.as_object().is_some_and(|known| known.contains_key(&key)) {
                    schema.insert(key, value);
                }
            }
        }
    }
    transform_subschemas(&mut plain, schema);
}

impl Context {
    /// The cluster that is meant.
    pub(crate) async fn cluster(&self, asked: Option<&str>) -> Result<Cluster, ToolError> {
        if asked == Some("*") {
            return Err(ToolError::arguments(
                "name one cluster: this tool asks one at a time",
            ));
        }
        let name = self.clusters.choose(&self.call.principal, asked).await?;
        Ok(self.open(name))
    }

    /// The clusters that are meant: one, or by `*` all of them.
    pub(crate) async fn several(&self, asked: Option<&str>) -> Result<Vec<Cluster>, ToolError> {
        if asked == Some("*") {
            let known = self.clusters.list(&self.call.principal).await?;
            let share = self.settings.read_bytes / known.len().clamp(1, AT_ONCE);
            let open = |known: KnownCluster| self.open_for(known.name, share.max(LEAST_READ));
            return Ok(known.into_iter().map(open).collect());
        }
        Ok(vec![self.cluster(asked).await?])
    }

    pub(crate) fn open(&self, name: ClusterName) -> Cluster {
        self.open_for(name, self.settings.read_bytes)
    }

    fn open_for(&self, name: ClusterName, read_bytes: usize) -> Cluster {
        Cluster::new(
            self.clusters.clone(),
            self.discoveries.clone(),
            self.guard.clone(),
            self.call.clone(),
            name,
            read_bytes,
        )
    }

    /// Asks each cluster. One that fails, or hangs, is a section of its own that says so, and the others' answers are there.
    pub(crate) async fn ask_each<F, R>(
        &self,
        clusters: Vec<Cluster>,
        ask: F,
    ) -> Result<Vec<Section>, ToolError>
    where
        F: Fn(Cluster) -> R,
        R: Future<Output = Result<Vec<Section>, ToolError>>,
    {
        if let [cluster] = &*clusters {
            return ask(cluster.clone()).await;
        }
        // Less than the call has, so that there is time to say what the others said.
        let patience = std::time::Duration::from_millis(self.settings.call_seconds * 700);
        let answers = stream::iter(clusters).map(|cluster| {
            let name = cluster.name().clone();
            let asked = ask(cluster);
            async move {
                let seconds = patience.as_secs();
                let answer = tokio::time::timeout(patience, asked).await;
                (name, answer.unwrap_or(Err(ToolError::TimedOut { seconds })))
            }
        });
        let answers: Vec<_> = answers.buffered(AT_ONCE).collect().await;
        let mut sections = Vec::new();
        for (cluster, answer) in answers {
            match answer {
                Ok(found) => sections.extend(found.into_iter().map(|section| of_cluster(&cluster, section))),
                Err(error) => sections.push(of_cluster(&cluster, failed(&error))),
            }
        }
        Ok(sections)
    }
}

/// What a cluster that gave no answer says. It is told before anything else: what is missing matters more than what is there.
fn failed(error: &ToolError) -> Section {
    let (ours, said) = error.said();
    let lines = Lines {
        from: format!("NO ANSWER: {ours}"),
        text: said.into_iter().collect(),
        keep: Keep::Head,
    };
    Section::new(Rank::Essential, Content::Lines(lines)).under("NO ANSWER")
}

fn of_cluster(cluster: &ClusterName, mut section: Section) -> Section {
    section.heading = Some(match section.heading {
        Some(heading) => format!("cluster {cluster}: {heading}"),
        None => format!("cluster {cluster}"),
    });
    section
}

/// `15m`, `2h`, `1d` in seconds.
pub(crate) fn seconds(text: &str, argument: &str) -> Result<u64, ToolError> {
    mk8s_model::duration::parse(text)
        .map(|duration| duration.as_secs())
        .map_err(|error| ToolError::Arguments(format!("{argument}: {error}")))
}

/// An object's text at a JSON pointer, or nothing.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The items at a JSON pointer.
pub(crate) fn each<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// `n things`, for titles.
pub(crate) fn count(n: usize, what: &str) -> Cow<'_, str> {
    match n {
        1 => format!("1 {what}").into(),
        n => format!("{n} {what}s").into(),
    }
}
