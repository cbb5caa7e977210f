//! Flags, and `mcp.yaml` for what has no flag; read once, here.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand, ValueEnum};
use mk8s_mcp_core::settings::{DeniedResource, Mode, Settings};
use mk8s_telemetry::LogSettings;

use crate::http;

/// AI agents read your Kubernetes clusters in your name, see no secret of them, and change what you let them.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
A desktop client starts it and speaks with it on standard input and output:
  {\"mcpServers\": {\"mk8s\": {\"command\": \"mk8s-mcp\", \"args\": [\"--context\", \"staging\"]}}}

Examples:
  mk8s-mcp                                  the current context of your kubeconfig
  mk8s-mcp --context staging --context prod these two
  mk8s-mcp --all-contexts --deny secrets    every cluster you have; no tool touches Secrets at all
  mk8s-mcp --mode non-destructive           agents may change things that you approve of; nothing is deleted
  mk8s-mcp serve --config mcp.yaml          for many people, over HTTP",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The kubeconfig [default: ~/.kube/config]
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A context of it that agents may use; may be repeated. The first is the default
    #[arg(long, value_name = "NAME", conflicts_with = "all_contexts")]
    context: Vec<String>,
    /// Agents may use all its contexts
    #[arg(long)]
    all_contexts: bool,
    /// A resource that no tool touches, like secrets or deployments.apps; may be repeated
    #[arg(long, value_name = "RESOURCE")]
    deny: Vec<String>,
    /// What agents may change, if you approve each time [default: read-only]
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<ModeFlag>,
    /// Show what changes would do, and do none
    #[arg(long)]
    dry_run: bool,
    /// Where calls and requests are written down, a line of JSON each [default: ~/.local/state/mk8s/mcp-audit.jsonl]
    #[arg(long, value_name = "FILE")]
    audit_file: Option<PathBuf>,
    /// More settings, as YAML: answerTokens, callSeconds, readBytes, callsPerMinute, subscriptions, deniedResources, mode,
    /// dryRun, planSeconds, approvalSeconds, log
    #[arg(long, short, env = "MK8S_MCP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What else it does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves many people at once, over streamable HTTP
    Serve(http::config::Arguments),
    /// What the official conformance suite wants to find
    #[cfg(feature = "conformance")]
    #[command(hide = true)]
    Conformance(crate::conformance::Arguments),
}

/// What agents may change.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeFlag {
    /// Nothing
    ReadOnly,
    /// Create, apply, patch, scale up, restart
    NonDestructive,
    /// Also delete, scale down, exec, and connect to pods
    Full,
}

impl From<ModeFlag> for Mode {
    fn from(flag: ModeFlag) -> Self {
        match flag {
            ModeFlag::ReadOnly => Self::ReadOnly,
            ModeFlag::NonDestructive => Self::NonDestructive,
            ModeFlag::Full => Self::Full,
        }
    }
}

/// Everything the program needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) contexts: Contexts,
    pub(crate) settings: Settings,
    pub(crate) audit_file: PathBuf,
    pub(crate) log: LogSettings,
}

/// Which contexts agents may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contexts {
    Current,
    Named(Vec<String>),
    All,
}

impl Config {
    /// Reads what is said, and refuses what can't be meant.
    pub(crate) fn load(arguments: Arguments) -> anyhow::Result<Self> {
        let (mut settings, log) = match &arguments.config {
            Some(path) => from_file(path)?,
            None => (Settings::default(), LogSettings::default()),
        };
        for resource in arguments.deny {
            let denied = DeniedResource::try_from(resource).context("--deny")?;
            settings.denied_resources.push(denied);
        }
        if let Some(mode) = arguments.mode {
            settings.mode = mode.into();
        }
        settings.dry_run |= arguments.dry_run;
        settings.check()?;
        let kubeconfig = match arguments.kubeconfig {
            // kubectl's own variable may be a list.
            Some(path) if path.to_string_lossy().contains(':') && !path.exists() => bail!(
                "KUBECONFIG is a list of files, and agents are given one: name it with --kubeconfig \
                 (kubectl config view --flatten makes one of several)"
            ),
            Some(path) => path,
            None => home()?.join(".kube/config"),
        };
        let contexts = match (arguments.all_contexts, arguments.context) {
            (true, _) => Contexts::All,
            (false, named) if named.is_empty() => Contexts::Current,
            (false, named) => Contexts::Named(named),
        };
        let audit_file = match arguments.audit_file {
            Some(path) => path,
            None => home()?.join(".local/state/mk8s/mcp-audit.jsonl"),
        };
        Ok(Self {
            kubeconfig,
            contexts,
            settings,
            audit_file,
            log,
        })
    }
}

fn home() -> anyhow::Result<PathBuf> {
    std::env::home_dir()
        .filter(|home| home.is_absolute())
        .context("there is no home directory: give --kubeconfig and --audit-file")
}

fn from_file(path: &Path) -> anyhow::Result<(Settings, LogSettings)> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read {shown}"))?;
    read(&text).with_context(|| shown.to_string())
}

fn read(text: &str) -> anyhow::Result<(Settings, LogSettings)> {
    // Two structs of one map: each refuses what neither knows.
    let mut map: std::collections::BTreeMap<String, serde_json::Value> = serde_saphyr::from_str(text)?;
    let log = map
        .remove("log")
        .map(serde_json::from_value)
        .transpose()
        .context("log")?;
    let settings = serde_json::from_value(serde_json::Value::Object(map.into_iter().collect()))?;
    Ok((settings, log.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_log_stand_in_one_file() {
        let (settings, _) =
            read("answerTokens: 2000\ndeniedResources: [secrets]\nlog: {filter: warn}\n").expect("settings");
        assert_eq!(settings.answer_tokens, 2000);
        assert_eq!(settings.denied_resources.len(), 1);
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        for text in [
            "answerToken: 1",
            "log: {colour: red}",
            "- a",
            "deniedResources: [a/b]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
