//! What can be typed after `mk8s doctor`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::{Output, front_proxy::ServerUrl};

/// Look for what is wrong with mk8s-apiserver and mk8s-front-proxy
///
/// Each check is a row: what was seen, whether it is fine, and what to do if not. Nothing is changed. The cluster is asked with
/// your own kubectl (or through central, with mk8s --cluster NAME); the front proxy is dialled from here, with the client
/// certificate that you name or that a context of your kubeconfig has.
///
/// Without a part, mk8s-apiserver is looked at, and the front proxy, too, if --server says where it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s doctor apiserver
  mk8s doctor apiserver --user jane --group dev       # and what jane would see, and why
  mk8s doctor front-proxy --context front-proxy       # server and certificate as in this context
  mk8s doctor front-proxy --server https://proxy.example.com:8443 --ca ca.crt \\
    --certificate jane.crt --key jane.key
  mk8s doctor -o json

Exit code 1: a check failed. Warnings alone don't count.")]
pub(crate) struct Doctor {
    /// What to look at
    #[arg(value_name = "PART")]
    pub(crate) part: Option<Part>,

    /// Where the front proxy is (default: the context's server)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, requires = "certificate_file", id = "server_url")]
    pub(crate) server: Option<ServerUrl>,

    /// The authorities that vouch for the front proxy (default: the system's)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "server_url")]
    pub(crate) ca: Option<PathBuf>,

    /// The client certificate to come with
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "key", id = "certificate_file")]
    pub(crate) certificate: Option<PathBuf>,

    /// Its key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires_all = ["certificate_file", "server_url"])]
    pub(crate) key: Option<PathBuf>,

    /// The context of your kubeconfig
    #[arg(long, value_name = "NAME", id = "kube_context")]
    pub(crate) context: Option<String>,

    /// Somebody who sees too little or too much: what the cluster says of them
    #[arg(long, value_name = "NAME", id = "reviewed_user")]
    pub(crate) user: Option<String>,

    /// A group of theirs; may be repeated
    #[arg(long = "group", value_name = "GROUP", requires = "reviewed_user")]
    pub(crate) groups: Vec<String>,

    /// The service account of mk8s-apiserver, in the namespace of its Service
    #[arg(long, value_name = "NAME", default_value = "mk8s-apiserver")]
    pub(crate) service_account: String,

    /// The Secret with its serving certificate (default: the Service's name, and -tls)
    #[arg(long, value_name = "NAME")]
    pub(crate) secret: Option<String>,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// What can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The way in: its certificate, yours, and in whose name the cluster is asked
    FrontProxy,
    /// The aggregated API: whether the cluster reaches it, and its rights
    Apiserver,
}
