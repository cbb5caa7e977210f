//! `exec`: a command in a container, each time after the user approved. No shell of ours reads it, and it reads nothing of ours.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Context, Tool, each, pods, read, schema, text};
use crate::{
    answer::{Answer, Content, Keep, Lines, Rank, Section, name},
    cluster::{ApiError, Frames, channels},
    error::ToolError,
    plan::{Approved, Harm},
    render::redact::Stream,
    server::{self, Subject},
};

/// What a command may take if nobody says so, and at most, in seconds.
const SECONDS: u32 = 30;
const MOST_SECONDS: u32 = 300;
/// What is kept of each of its two outputs, in bytes: the start.
const KEPT: usize = 1 << 20;
/// A command's parts, and their bytes together: it goes into a URI.
const MOST_PARTS: usize = 64;
const LONGEST: usize = 4 << 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Pod name.
    pod: String,
    /// Namespace.
    namespace: String,
    /// The program and its arguments, one each. No shell reads them.
    command: Vec<String>,
    /// Container; without it, the default or first.
    container: Option<String>,
    /// Seconds that it may take: 30, 300 at most.
    timeout: Option<u32>,
    /// Cluster name.
    cluster: Option<String>,
}

pub(super) fn tool() -> Tool {
    Tool {
        name: "exec",
        title: "Run a command in a container",
        description: "Run a command in a container: your user is asked each time. Its output, with credentials hidden, and exit code.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    context.approver.note("exec", None);
    context.guard.act().map_err(ApiError::from)?;
    context.guard.allow(Some(Harm::Enters)).map_err(ApiError::from)?;
    let seconds = check(&arguments)?;
    let cluster = context.cluster(arguments.cluster.as_deref()).await?;
    let pod = pods::find(&cluster, &arguments.namespace, &arguments.pod, "exec").await?;
    let container = container(&pod.object, arguments.container.as_deref())?;
    let mut query: Vec<(&str, Option<String>)> = arguments
        .command
        .iter()
        .map(|part| ("command", Some(part.clone())))
        .collect();
    query.extend([
        ("container", Some(container.clone())),
        ("stdout", Some("true".to_owned())),
        ("stderr", Some("true".to_owned())),
    ]);
    let wire = pod.wire("exec", query);
    let place = format!(
        "pod {}, container {}, in namespace {} of cluster {}",
        name(&arguments.pod),
        name(&container),
        name(&arguments.namespace),
        cluster.name()
    );
    let subject = Subject {
        nonce: None,
        digest: wire.digest(cluster.name()),
    };
    let consent = context
        .approver
        .ask(subject, async || {
            Ok(question(&context, &place, &arguments.command))
        })
        .await?;
    let approved = Approved::of(cluster.name().clone(), wire, Some(Harm::Enters), &consent)?;
    let time = Duration::from_secs(seconds.into());
    let ran = async {
        let frames = cluster.enter(&approved, "v5.channel.k8s.io").await?;
        let mut output = Output::default();
        let is_over = tokio::time::timeout(time, output.read(frames)).await;
        Ok::<_, ApiError>((output, is_over))
    };
    // It has a time of its own.
    let (output, is_over) = context
        .approver
        .patience()
        .without(tokio::time::timeout(time + Duration::from_secs(10), ran))
        .await
        .map_err(|_| ToolError::TimedOut {
            seconds: seconds.into(),
        })??;
    let ended = match is_over {
        Ok(read) => {
            read?;
            output.ended()
        }
        Err(_) => format!("was left alone after {seconds} s, and may still run"),
    };
    let mut answer = Answer::new(format!("the command in {place} {ended}"));
    if let Some(why) = &output.trouble {
        answer = answer.with(section("why it ended", why.as_bytes(), 0));
    }
    for (from, told) in [("stdout", &output.out), ("stderr", &output.errors)] {
        if !told.bytes.is_empty() {
            answer = answer.with(section(from, &told.bytes, told.left_out));
        }
    }
    Ok(answer)
}

/// Whether it can be a command, and how long it may take.
fn check(arguments: &Arguments) -> Result<u32, ToolError> {
    let command = &arguments.command;
    let length: usize = command.iter().map(String::len).sum();
    if command.first().is_none_or(String::is_empty) {
        return Err(ToolError::arguments(
            "command is empty: give the program and its arguments, e.g. [\"ls\", \"-l\"]",
        ));
    }
    if command.len() > MOST_PARTS || length > LONGEST {
        return Err(ToolError::Arguments(format!(
            "command has more than {MOST_PARTS} parts or {LONGEST} bytes"
        )));
    }
    if command.iter().any(|part| part.contains('\0')) {
        return Err(ToolError::arguments("command has a NUL in it"));
    }
    match arguments.timeout.unwrap_or(SECONDS) {
        seconds if (1..=MOST_SECONDS).contains(&seconds) => Ok(seconds),
        seconds => Err(ToolError::Arguments(format!(
            "timeout is {seconds}: give 1 to {MOST_SECONDS}"
        ))),
    }
}

/// The one that is meant, as kubectl has it.
fn container(pod: &Value, asked: Option<&str>) -> Result<String, ToolError> {
    let names = [
        "/spec/containers",
        "/spec/initContainers",
        "/spec/ephemeralContainers",
    ];
    let names: Vec<&str> = names
        .iter()
        .flat_map(|at| each(pod, at))
        .map(|container| text(container, "/name"))
        .collect();
    let marked = text(
        pod,
        "/metadata/annotations/kubectl.kubernetes.io~1default-container",
    );
    let found = match asked {
        Some(asked) => names.iter().find(|name| **name == asked),
        None => names.iter().find(|name| **name == marked).or(names.first()),
    };
    found.map(|name| (*name).to_owned()).ok_or_else(|| {
        ToolError::Arguments(format!("the pod has no such container, but {}", names.join(", ")))
    })
}

fn question(context: &Context, place: &str, command: &[String]) -> String {
    let lines = Lines {
        from: "the command, each part on a line".to_owned(),
        text: command.iter().map(|part| format!("{part:?}")).collect(),
        keep: Keep::Head,
    };
    let title =
        format!("An agent wants to run a command in {place}. Approve it only if that is what you want.");
    let answer = Answer::new(title).with(Section::new(Rank::Essential, Content::Lines(lines)));
    server::text(answer, &context.settings).text
}

fn section(from: &str, bytes: &[u8], left_out: usize) -> Section {
    let mut stream = Stream::default();
    let mut told = stream.feed(bytes);
    told.push_str(&stream.finish());
    let mut from = from.to_owned();
    if left_out > 0 {
        from = format!("{from} ({} KiB after it were left out)", left_out.div_ceil(1024));
    }
    let lines = Lines {
        from,
        text: told.lines().map(str::to_owned).collect(),
        keep: Keep::Head,
    };
    Section::new(Rank::Essential, Content::Lines(lines))
}

#[derive(Debug, Default)]
struct Told {
    bytes: Vec<u8>,
    left_out: usize,
}

impl Told {
    fn push(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.left_out += bytes.len() - room;
    }
}

/// What a command says until it ends.
#[derive(Debug, Default)]
struct Output {
    out: Told,
    errors: Told,
    code: Option<i64>,
    trouble: Option<String>,
}

impl Output {
    async fn read(&mut self, mut frames: Frames) -> Result<(), ApiError> {
        while let Some(message) = frames.next().await {
            let (channel, bytes) = message?;
            match channel {
                channels::OUT => self.out.push(&bytes),
                channels::ERRORS => self.errors.push(&bytes),
                channels::END => {
                    self.end(&serde_json::from_slice(&bytes).unwrap_or_default());
                    return Ok(());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn end(&mut self, status: &Value) {
        if status["status"] == "Success" {
            self.code = Some(0);
            return;
        }
        let code = each(status, "/details/causes").find(|cause| cause["reason"] == "ExitCode");
        self.code = code.and_then(|cause| text(cause, "/message").parse().ok());
        if self.code.is_none() {
            self.trouble = Some(text(status, "/message").to_owned());
        }
    }

    fn ended(&self) -> String {
        match self.code {
            Some(code) => format!("ended with exit code {code}"),
            None => "ended without an exit code".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn how_a_command_ended_is_read_from_its_status() {
        let ended = |status: Value| {
            let mut output = Output::default();
            output.end(&status);
            output.ended()
        };
        assert_eq!(ended(json!({"status": "Success"})), "ended with exit code 0");
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}});
        assert_eq!(ended(failed), "ended with exit code 7");
        assert_eq!(
            ended(json!({"status": "Failure", "message": "no such file"})),
            "ended without an exit code"
        );
        assert_eq!(ended(json!(null)), "ended without an exit code");
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let mut told = Told::default();
        told.push(&vec![b'x'; KEPT - 1]);
        told.push(b"abc");
        assert_eq!((told.bytes.len(), told.left_out), (KEPT, 2));
    }
}
