//! `top`: what nodes and pods use now, as the metrics API says (`metrics.k8s.io`, KEP-118).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Context, Tool, count, each, read, schema, text};
use crate::{
    answer::{Answer, Content, Rank, Section, Table, name},
    cluster::{Cluster, Selection},
    error::ToolError,
};

const MOST: u32 = 5_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    /// pods or nodes
    of: Of,
    /// Namespace of the pods; without it, all.
    namespace: Option<String>,
    /// Labels of the pods or nodes.
    label_selector: Option<String>,
    /// Cluster name; "*" asks all.
    cluster: Option<String>,
    /// What comes first.
    #[serde(default)]
    sort: Sort,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Of {
    Pods,
    Nodes,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Sort {
    #[default]
    Memory,
    Cpu,
}

pub(super) fn tool() -> Tool {
    Tool {
        name: "top",
        title: "CPU and memory in use",
        description: "CPU and memory that pods or nodes use now, the largest first.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    let clusters = context.several(arguments.cluster.as_deref()).await?;
    let place = match &arguments.namespace {
        Some(namespace) => format!(" in namespace {}", name(namespace)),
        None => String::new(),
    };
    let what = if arguments.of == Of::Pods { "pods" } else { "nodes" };
    let sections = context.ask_each(clusters, |cluster| {
        let arguments = &arguments;
        async move {
            let rows = usage(&cluster, arguments).await?;
            let heading = count(rows.len(), what.trim_end_matches('s')).into_owned();
            Ok(vec![
                Section::new(Rank::Essential, Content::Table(table(rows, arguments))).under(heading),
            ])
        }
    });
    Ok(Answer {
        sections: sections.await?,
        ..Answer::new(format!("CPU and memory in use by {what}{place}"))
    })
}

/// What one pod or node uses: CPU in thousandths of a core, memory in bytes; of a node, what it has of both.
struct Usage {
    namespace: String,
    name: String,
    cpu: u64,
    memory: u64,
    has: Option<(u64, u64)>,
}

async fn usage(cluster: &Cluster, arguments: &Arguments) -> Result<Vec<Usage>, ToolError> {
    let discovery = cluster.discovery().await?;
    let is_pods = arguments.of == Of::Pods;
    let plural = if is_pods { "pods" } else { "nodes" };
    let Some(resource) = discovery
        .resources()
        .find(|resource| resource.group == "metrics.k8s.io" && resource.plural == plural)
    else {
        return Err(ToolError::Denied(
            "the cluster has no metrics API (metrics.k8s.io): its operators can install metrics-server"
                .to_owned(),
        ));
    };
    let selection = Selection {
        namespace: arguments.namespace.clone().filter(|_| is_pods),
        labels: arguments.label_selector.clone(),
        limit: MOST,
        ..Selection::default()
    };
    let page = cluster.page(resource, &selection).await?;
    // What nodes have is good to know, and not everybody may.
    let nodes = if is_pods {
        Value::Null
    } else {
        cluster.get("/api/v1/nodes?limit=5000").await.unwrap_or_default()
    };
    let mut rows: Vec<Usage> = page
        .items
        .iter()
        .map(|item| {
            let used = |what: &str| {
                let of = |at: &Value| quantity(text(at, &format!("/usage/{what}")));
                if is_pods {
                    each(item, "/containers").map(of).fold(0, u64::saturating_add)
                } else {
                    of(item)
                }
            };
            let name = text(item, "/metadata/name");
            let node = each(&nodes, "/items").find(|node| text(node, "/metadata/name") == name);
            let has = node.map(|node| {
                let has = |what: &str| quantity(text(node, &format!("/status/allocatable/{what}")));
                (has("cpu"), has("memory") / 1_000)
            });
            Usage {
                namespace: text(item, "/metadata/namespace").to_owned(),
                name: name.to_owned(),
                cpu: used("cpu"),
                memory: used("memory") / 1_000,
                has,
            }
        })
        .collect();
    rows.sort_by_key(|row| {
        std::cmp::Reverse(match arguments.sort {
            Sort::Cpu => row.cpu,
            Sort::Memory => row.memory,
        })
    });
    Ok(rows)
}

fn table(rows: Vec<Usage>, arguments: &Arguments) -> Table {
    let is_pods = arguments.of == Of::Pods;
    let columns: &[&str] = if is_pods {
        &["NAMESPACE", "NAME", "CPU", "MEMORY"]
    } else {
        &["NAME", "CPU", "CPU%", "MEMORY", "MEMORY%"]
    };
    let row = |row: Usage| {
        let (cpu, memory) = (format!("{}m", row.cpu), format!("{}Mi", row.memory >> 20));
        if is_pods {
            return vec![row.namespace, row.name, cpu, memory];
        }
        let part = |used: u64, has: Option<u64>| match has {
            Some(has) if has > 0 => format!("{}%", used.saturating_mul(100) / has),
            _ => String::new(),
        };
        let (of_cpu, of_memory) = (
            part(row.cpu, row.has.map(|has| has.0)),
            part(row.memory, row.has.map(|has| has.1)),
        );
        vec![row.name, cpu, of_cpu, memory, of_memory]
    };
    Table {
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        rows: rows.into_iter().map(row).collect(),
    }
}

/// A `resource.Quantity` in thousandths of its unit, rounded down; 0 if it is none.
fn quantity(text: &str) -> u64 {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let Ok(number) = number.parse::<f64>() else {
        return 0;
    };
    let factor = match unit {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        _ => return 0,
    };
    // A cast from a float saturates.
    (number * factor * 1_000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        for (text, thousandths) in [
            ("250m", 250),
            ("123456789n", 123),
            ("2", 2_000),
            ("1.5", 1_500),
            ("128Mi", 128 * 1024 * 1024 * 1_000),
            ("1k", 1_000_000),
            ("", 0),
            ("x", 0),
            ("5Q", 0),
            ("99999999999999999999999Pi", u64::MAX),
        ] {
            assert_eq!(quantity(text), thousandths, "{text}");
        }
    }
}
