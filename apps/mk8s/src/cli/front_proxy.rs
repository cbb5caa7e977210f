//! What can be typed after `mk8s front-proxy`.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand, ValueHint};

use crate::{central_url::CentralUrl, error::Failure};

/// Use a cluster with a client certificate, through mk8s-front-proxy
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s front-proxy kubeconfig --server https://proxy.example.com:8443 --user jane -o jane.yaml
  mk8s doctor front-proxy                    # when something doesn't work")]
pub(crate) struct FrontProxy {
    #[command(subcommand)]
    pub(crate) command: FrontProxyCommand,
}

/// What can be done for a front proxy.
#[derive(Debug, Subcommand)]
pub(crate) enum FrontProxyCommand {
    Kubeconfig(Kubeconfig),
}

/// Write a kubeconfig for plain kubectl, with a client certificate
///
/// The certificate and key are files that you name, or those that `mk8s pki issue user` made. The kubeconfig says where they
/// are; with --embed it holds them, and is as secret as the key is. Whether they fit each other, are for clients and still
/// hold is looked at before anything is written.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s front-proxy kubeconfig --server https://proxy.example.com:8443 --user jane
  mk8s front-proxy kubeconfig --server https://proxy.example.com:8443 --ca ca.crt \\
    --certificate jane.crt --key jane.key --embed -o jane.yaml
  KUBECONFIG=jane.yaml kubectl get namespaces
  KUBECONFIG=~/.kube/config:jane.yaml kubectl --context front-proxy get pods")]
pub(crate) struct Kubeconfig {
    /// Where the front proxy is
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) server: ServerUrl,

    /// The authorities that vouch for the front proxy (default: with --user the pki directory's, else the system's)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Option<PathBuf>,

    /// The client certificate
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "key", id = "certificate_file")]
    pub(crate) certificate: Option<PathBuf>,

    /// Its key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "certificate_file")]
    pub(crate) key: Option<PathBuf>,

    /// The newest valid certificate that `mk8s pki` issued to this user
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "certificate_file",
        conflicts_with = "certificate_file",
        id = "certificate_of_user"
    )]
    pub(crate) user: Option<String>,

    /// Where the authority of --user is kept (default: ~/.mk8s/pki)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "certificate_file")]
    pub(crate) dir: Option<PathBuf>,

    /// What the context and the cluster are called
    #[arg(
        long = "name",
        value_name = "NAME",
        default_value = "front-proxy",
        id = "context_name"
    )]
    pub(crate) name: String,

    /// Hold the certificate, the key and the authorities instead of naming their files
    #[arg(long)]
    pub(crate) embed: bool,

    /// The file to write (mode 0600), instead of standard output
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

/// Where a front proxy is.
#[derive(Debug, Clone)]
pub(crate) struct ServerUrl(pub(crate) CentralUrl);

impl FromStr for ServerUrl {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        CentralUrl::of("the server", text).map(Self)
    }
}
