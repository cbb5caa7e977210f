//! Flags and variables. In a pod all of them are variables that injection sets.

use std::{num::NonZeroU16, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use mk8s_connect::in_cluster::SERVICE_ACCOUNT;
use mk8s_inject::secrets::contract;
use mk8s_telemetry::LogFormat;

/// Brings secrets into a pod: as files in memory, as variables of its programs, as Kubernetes Secrets.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Pods get this program by the annotation keeper.security/inject: \"true\"; the webhook
reads the others and sets the variables. docs/secrets.md has all of them.

By hand, with Secrets mounted below ./source as records (source/db/password, …):
  keeper-secrets init --source-dir source \\
    --request '{\"version\":1,\"auth\":{\"method\":\"kubernetes\"},\"secrets\":[{\"origin\":\"me\",
      \"source\":{\"record\":{\"record\":\"db\"}},\"file\":{\"path\":\"/tmp/out/db.json\",\"content\":{\"format\":\"json\"}}}],
      \"refreshSeconds\":300,\"initOnly\":true,\"failOnError\":true,\"strictLookup\":false,
      \"kubernetesSecrets\":{\"mode\":\"overwrite\",\"rotation\":false,\"ownerReference\":false}}'"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch and write once, then end: 0 if all is there, or if the pod may start without
    Init(Settings),
    /// Fetch again and again, and write what changed, until a signal ends it
    Run(Settings),
}

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// What is asked for, as JSON
    #[arg(long, env = contract::REQUEST_VARIABLE, value_name = "JSON")]
    pub(crate) request: String,
    /// The hosts that may be asked; those below them too. More come by comma
    #[arg(long, env = contract::HOSTS_VARIABLE, value_name = "HOST", value_delimiter = ',')]
    pub(crate) hosts: Vec<String>,
    /// The group that files are for; without it they are the user's own
    #[arg(long, env = contract::READERS_VARIABLE, value_name = "GID")]
    pub(crate) readers: Option<u32>,
    /// Where the application's configuration is mounted, as a file "config"
    #[arg(long, default_value = contract::CONFIG_PATH, value_name = "DIRECTORY")]
    pub(crate) config_dir: PathBuf,
    /// Where certificate authorities are mounted, as a file "ca.crt"
    #[arg(long, default_value = contract::AUTHORITIES_PATH, value_name = "DIRECTORY")]
    pub(crate) ca_dir: PathBuf,
    /// Where Secrets that are records are mounted, a directory each
    #[arg(long, default_value = contract::SOURCE_PATH, value_name = "DIRECTORY")]
    pub(crate) source_dir: PathBuf,
    /// Where the environment of the pod's programs goes
    #[arg(long, default_value = contract::ENVIRONMENT_PATH, value_name = "DIRECTORY")]
    pub(crate) environment_dir: PathBuf,
    /// The program that sets it
    #[arg(long, default_value = "/keeper-secrets-exec", value_name = "PROGRAM")]
    pub(crate) exec_program: PathBuf,
    /// Where the service account's token is mounted, for Kubernetes Secrets
    #[arg(long, default_value = SERVICE_ACCOUNT, value_name = "DIRECTORY")]
    pub(crate) service_account_dir: PathBuf,
    /// The pod's name
    #[arg(long, env = "POD_NAME", default_value = "", value_name = "NAME")]
    pub(crate) pod_name: String,
    /// The pod's namespace
    #[arg(long, env = "POD_NAMESPACE", default_value = "", value_name = "NAME")]
    pub(crate) pod_namespace: String,
    /// The pod's UID
    #[arg(long, env = "POD_UID", default_value = "", value_name = "UID")]
    pub(crate) pod_uid: String,
    /// Serve /metrics on this port
    #[arg(long, env = contract::METRICS_PORT_VARIABLE, value_name = "PORT")]
    pub(crate) metrics_port: Option<NonZeroU16>,
    /// What to log: a level, or levels by module
    #[arg(long, env = contract::LOG_VARIABLE, default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
    /// How to log: text or json
    #[arg(
        long,
        env = "KEEPER_SECRETS_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub(crate) log_format: LogFormat,
}
