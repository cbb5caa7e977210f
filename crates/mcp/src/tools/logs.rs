//! `logs`: what containers said. Searched after what is secret was hidden, so that a search finds out nothing about it.

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Context, Tool, count, read, schema, seconds, text, workload};
use crate::{
    answer::{Answer, Content, Keep, Lines, Rank, Section, name},
    cluster::{ApiError, Cluster, query},
    error::ToolError,
    render::redact,
};

const LINES: u32 = 200;
/// Lines that are searched if nobody says how many.
const SEARCHED: u32 = 5_000;
const MOST_LINES: u32 = 20_000;
/// What is kept of one container's log, in bytes: its end.
const KEPT: usize = 2 << 20;
/// What is made readable at once, in bytes: it takes a millisecond or two.
const AT_ONCE: usize = 64 << 10;
/// Pods of a workload whose logs are read.
const PODS: usize = 5;
/// A pattern may not be larger than this, compiled, in bytes.
const LARGEST_PATTERN: usize = 1 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Pod name, or kind/name of a workload: deploy/web
    pod: String,
    /// Namespace.
    namespace: String,
    /// Cluster name.
    cluster: Option<String>,
    /// Container; without it, the failing one or the first.
    container: Option<String>,
    /// Of the container before its last restart.
    #[serde(default)]
    previous: bool,
    /// Only of the last 15m, 2h, ...
    since: Option<String>,
    /// How many of the last lines are read.
    tail: Option<u32>,
    /// Regular expression: only lines that match.
    grep: Option<String>,
    /// Lines before and after each match.
    #[serde(default)]
    context: u8,
}

pub(super) fn tool() -> Tool {
    Tool {
        name: "logs",
        title: "Logs",
        description: "Logs of a pod or of a workload's pods, repeated lines folded; grep searches here, not by you.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    let grep = arguments.grep.as_deref().map(pattern).transpose()?;
    let since = arguments
        .since
        .as_deref()
        .map(|since| seconds(since, "since"))
        .transpose()?;
    let lines = match arguments.tail {
        None if grep.is_some() => SEARCHED,
        None => LINES,
        Some(lines) if (1..=MOST_LINES).contains(&lines) => lines,
        Some(lines) => {
            return Err(ToolError::Arguments(format!(
                "tail is {lines}: give 1 to {MOST_LINES}"
            )));
        }
    };
    let cluster = context.cluster(arguments.cluster.as_deref()).await?;
    let (pods, all) = pods(&cluster, &arguments.pod, &arguments.namespace).await?;
    let mut answer = Answer::new(format!(
        "logs of {} in namespace {} of cluster {}",
        name(&arguments.pod),
        name(&arguments.namespace),
        cluster.name()
    ));
    for pod in &pods {
        let request = Wanted {
            container: container(pod, arguments.container.as_deref())?,
            is_previous: arguments.previous,
            since,
            lines,
        };
        let section = match fetch(&cluster, pod, &request).await {
            Ok(log) => log.section(grep.as_ref(), arguments.context.into()),
            // One pod of several that has no log yet doesn't hide the others'.
            Err(error) if pods.len() > 1 => {
                let (ours, said) = error.said();
                let lines = Lines {
                    from: ours,
                    text: said.into_iter().collect(),
                    keep: Keep::Head,
                };
                Section::new(Rank::Essential, Content::Lines(lines))
            }
            Err(error) => return Err(error),
        };
        let pod = name(text(pod, "/metadata/name"));
        answer = answer.with(section.under(format!("{pod}, container {}", name(&request.container))));
    }
    if all > pods.len() {
        answer = answer.with_more(format!(
            "{} more of it: name one in \"pod\"",
            count(all - pods.len(), "pod")
        ));
    }
    Ok(answer)
}

fn pattern(written: &str) -> Result<Regex, ToolError> {
    RegexBuilder::new(written)
        .size_limit(LARGEST_PATTERN)
        .build()
        .map_err(|error| ToolError::Arguments(format!("grep: {}", error.to_string().replace('\n', " "))))
}

/// The pods that are meant, those that are not well first, and how many there are of them.
async fn pods(cluster: &Cluster, asked: &str, namespace: &str) -> Result<(Vec<Value>, usize), ToolError> {
    let discovery = cluster.discovery().await?;
    let (kind, object) = asked.rsplit_once('/').unwrap_or(("pods", asked));
    let resource = discovery.find(kind)?;
    let found = cluster.object(resource, Some(namespace), object).await?;
    let page = workload::pods(cluster, resource, &found).await?;
    if page.items.is_empty() {
        return Err(ToolError::Arguments(format!("{resource} {object:?} has no pods")));
    }
    let all = page.items.len();
    Ok((page.items.into_iter().take(PODS).collect(), all))
}

/// Which container's log says most, if nobody names one.
pub(crate) fn container(pod: &Value, asked: Option<&str>) -> Result<String, ToolError> {
    let names = workload::container_names(pod);
    if let Some(asked) = asked {
        if names.contains(&asked) {
            return Ok(asked.to_owned());
        }
        return Err(ToolError::Arguments(format!(
            "the pod has no container {asked:?}, but {}",
            names.join(", ")
        )));
    }
    let failing = workload::containers(pod)
        .into_iter()
        .find(workload::Container::is_failing);
    let marked = text(
        pod,
        "/metadata/annotations/kubectl.kubernetes.io~1default-container",
    );
    let default = names.iter().find(|name| **name == marked).or(names.first());
    failing
        .map(|container| container.name)
        .or_else(|| default.map(|name| (*name).to_owned()))
        .ok_or_else(|| ToolError::arguments("the pod has no containers"))
}

/// What is read of a container's log.
pub(crate) struct Wanted {
    pub(crate) container: String,
    pub(crate) is_previous: bool,
    pub(crate) since: Option<u64>,
    pub(crate) lines: u32,
}

/// A container's log, with nothing secret in it.
pub(crate) struct Log {
    lines: Vec<String>,
    /// Bytes before it that were read and not kept.
    left_out: usize,
}

/// Reads a log: no more is kept in memory than its end.
pub(crate) async fn fetch(cluster: &Cluster, pod: &Value, wanted: &Wanted) -> Result<Log, ToolError> {
    let discovery = cluster.discovery().await?;
    let path = discovery.find("pods")?.path(
        Some(text(pod, "/metadata/namespace")),
        Some(text(pod, "/metadata/name")),
    )?;
    let query = query([
        ("container", Some(wanted.container.clone())),
        ("previous", wanted.is_previous.then(|| "true".to_owned())),
        (
            "sinceSeconds",
            wanted.since.map(|seconds| seconds.max(1).to_string()),
        ),
        ("tailLines", Some(wanted.lines.to_string())),
    ]);
    let (bytes, left_out) = cluster.tail(&format!("{path}/log{query}"), KEPT).await?;
    let lines = if bytes.len() < AT_ONCE {
        told(&bytes)
    } else {
        // Others' requests are on this thread, too.
        tokio::task::spawn_blocking(move || told(&bytes))
            .await
            .map_err(|error| ApiError::Unreadable(error.to_string()))?
    };
    Ok(Log { lines, left_out })
}

/// The lines of a log, with nothing secret in them.
fn told(bytes: &[u8]) -> Vec<String> {
    let mut stream = redact::Stream::default();
    let mut told = stream.feed(bytes);
    told.push_str(&stream.finish());
    told.lines().map(str::to_owned).collect()
}

impl Log {
    /// What is told of it.
    pub(crate) fn section(self, grep: Option<&Regex>, around: usize) -> Section {
        let read = self.lines.len();
        let (lines, mut from) = match grep {
            None => (self.lines, count(read, "line").into_owned()),
            Some(grep) => {
                let (lines, matches) = search(self.lines, grep, around);
                (
                    lines,
                    format!(
                        "{} of the last {}",
                        count(matches, "match").replace("matchs", "matches"),
                        count(read, "line")
                    ),
                )
            }
        };
        if self.left_out > 0 {
            from = format!("{from} ({} KiB before them were left out)", self.left_out >> 10);
        }
        Section::new(
            Rank::Essential,
            Content::Lines(Lines {
                from,
                text: lines,
                keep: Keep::Tail,
            }),
        )
    }
}

/// The lines that match, each with those around it; `--` where some are left out between.
fn search(lines: Vec<String>, grep: &Regex, around: usize) -> (Vec<String>, usize) {
    let hits: Vec<usize> = (0..lines.len()).filter(|at| grep.is_match(&lines[*at])).collect();
    let mut found = Vec::new();
    let mut next = 0;
    for hit in &hits {
        let (from, to) = (
            hit.saturating_sub(around).max(next),
            (hit + around + 1).min(lines.len()),
        );
        if around > 0 && from > next && next > 0 {
            found.push("--".to_owned());
        }
        found.extend(lines.get(from..to).into_iter().flatten().cloned());
        next = next.max(to);
    }
    (found, hits.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(all: &[&str]) -> Vec<String> {
        all.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn matches_come_with_what_is_around_them() {
        let log = lines(&["a", "b", "x1", "c", "d", "e", "x2", "x3", "f"]);
        let grep = pattern("^x").expect("a pattern");
        assert_eq!(search(log.clone(), &grep, 0), (lines(&["x1", "x2", "x3"]), 3));
        assert_eq!(
            search(log.clone(), &grep, 1),
            (lines(&["b", "x1", "c", "--", "e", "x2", "x3", "f"]), 3)
        );
        assert_eq!(search(log, &grep, 255).0.len(), 9);
        assert_eq!(search(Vec::new(), &grep, 2), (Vec::new(), 0));
    }

    #[test]
    fn patterns_that_cant_be_are_refused_in_one_line() {
        for written in ["(", "a{99999}{99999}", "(?P<", "\\"] {
            let error = pattern(written).expect_err(written).to_string();
            assert!(error.starts_with("grep: ") && !error.contains('\n'), "{error}");
        }
    }
}
