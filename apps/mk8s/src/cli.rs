//! What can be typed, and the help that teaches it.

pub(crate) mod doctor;
pub(crate) mod front_proxy;
pub(crate) mod pki;

use std::{ffi::OsString, num::NonZeroU16, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use mk8s_inject::{GroupId, Image, Quantity, UserId};
use mk8s_model::ClusterName;

use crate::{central_url::CentralUrl, output::Format};

/// One login, then kubectl to every cluster behind mk8s-central.
#[derive(Debug, Parser)]
#[command(
    name = "mk8s",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  mk8s login --central https://central.example.com:8080
  mk8s clusters list
  mk8s clusters use production-us-east
  mk8s kubectl get pods                       # or: mk8s k get pods
  mk8s --cluster staging kubectl logs -f web  # another cluster, this once
  mk8s kubeconfig -o ~/.kube/mk8s.yaml        # for helm, k9s and plain kubectl
  mk8s inject -f app.yaml | kubectl apply -f- # the sidecar proxy beside a pod's containers
  mk8s pki issue user jane --group dev        # a certificate of an authority of your own
  mk8s front-proxy kubeconfig --server https://proxy.example.com:8443 --user jane
  mk8s mcp                                    # an AI agent reads your clusters, in your name
  mk8s doctor                                 # what is wrong with mk8s-apiserver, mk8s-front-proxy

Environment:
  MK8S_CENTRAL   central's URL, instead of the configured one
  MK8S_CLUSTER   the cluster, instead of the chosen one (--cluster goes before it)
  MK8S_HOME      where configuration and credentials are kept (default: ~/.mk8s)
  HTTPS_PROXY, NO_PROXY, NO_COLOR are honoured"
)]
pub(crate) struct Cli {
    /// The cluster for this one command (kubectl, kubeconfig, mcp, status, doctor, pki issue user --cluster-csr)
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<ClusterName>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Login(Login),
    Logout(Logout),
    Status(Status),
    Clusters(Clusters),
    Kubectl(Kubectl),
    Kubeconfig(Kubeconfig),
    Credential(Credential),
    Inject(Inject),
    Uninject(Uninject),
    Pki(pki::Pki),
    FrontProxy(front_proxy::FrontProxy),
    Mcp(Mcp),
    Doctor(doctor::Doctor),
    Completion(Completion),
    Version(Version),
    #[command(name = "__complete", hide = true)]
    Complete(Complete),
}

/// Log in at central with e-mail and password
///
/// The token is kept in ~/.mk8s/credentials.json (readable by you alone) and renewed by itself for as long as central
/// allows. When central's certificate isn't one that this machine trusts, the first login shows the fingerprint of its
/// certificate authority and asks; compare it with the one that your administrator gave you.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s login --central https://central.example.com:8080
  mk8s login                                   # again, to the same central
  mk8s login --email ci@example.com --password-stdin --ca-fingerprint SHA256:… <password.txt
  mk8s login --central https://central.internal --ca-file corporate-ca.pem

A script has no terminal to be asked on: give it --email, --password-stdin, and --ca-fingerprint or
--ca-file unless central's certificate is publicly trusted.")]
pub(crate) struct Login {
    /// Where central is; needed once, then remembered
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) central: Option<CentralUrl>,

    /// Who you are (default: asked)
    #[arg(long, value_name = "EMAIL", value_hint = ValueHint::EmailAddress)]
    pub(crate) email: Option<String>,

    /// Read the password from the first line of standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// Trust the certificate authorities in this PEM file, and no others, for central
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "ca_fingerprint")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Trust central's own certificate authority if it has this SHA-256 fingerprint
    #[arg(long, value_name = "SHA256:…")]
    pub(crate) ca_fingerprint: Option<String>,
}

/// End the session at central and forget its tokens
///
/// The configuration (central's URL, the chosen cluster) and the trusted certificate authority stay.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s logout")]
pub(crate) struct Logout {}

/// Show who you are, which cluster is chosen and what you may do
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s status
  mk8s --cluster staging status   # what you may do there
  mk8s status -o json")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) output: Output,
}

/// List the clusters and choose one
#[derive(Debug, Args)]
#[command(
    visible_alias = "cluster",
    after_help = "\
Examples:
  mk8s clusters list
  mk8s clusters use production-us-east"
)]
pub(crate) struct Clusters {
    #[command(subcommand)]
    pub(crate) command: ClustersCommand,
}

/// What can be done with clusters.
#[derive(Debug, Subcommand)]
pub(crate) enum ClustersCommand {
    List(ClustersList),
    Use(ClustersUse),
}

/// List the clusters that you can reach; * marks the chosen one
#[derive(Debug, Args)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  mk8s clusters list
  mk8s clusters ls -o json"
)]
pub(crate) struct ClustersList {
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Choose the cluster that `mk8s kubectl` works on
///
/// The choice holds in every shell until the next one. For one command, put --cluster NAME before the command; for one
/// shell, set MK8S_CLUSTER.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s clusters use production-us-east
  mk8s clusters use staging --namespace web   # and kubectl's default namespace there")]
pub(crate) struct ClustersUse {
    /// The cluster's name, as `mk8s clusters list` shows it
    #[arg(value_name = "NAME")]
    pub(crate) name: ClusterName,

    /// The namespace that kubectl uses when none is given
    #[arg(long, short, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
}

/// Run kubectl on the chosen cluster
///
/// Everything after the word `kubectl` goes to your own kubectl as it is: flags, `--`, plugins, `--help`. Standard
/// input, the terminal, signals and the exit code are kubectl's. So a cluster for this one command is named before:
/// mk8s --cluster NAME kubectl …
///
/// kubectl is found on the PATH; `kubectl:` in ~/.mk8s/config.yaml names another program that takes the same arguments.
#[derive(Debug, Args)]
#[command(
    visible_alias = "k",
    disable_help_flag = true,
    override_usage = "mk8s [--cluster NAME] kubectl [ARGUMENTS OF KUBECTL]...",
    after_help = "\
Examples:
  mk8s kubectl get pods
  mk8s k exec -it web-0 -- sh
  mk8s k apply -f app.yaml
  mk8s --cluster staging k port-forward service/web 8080:80
  mk8s k --help                   # kubectl's own help"
)]
pub(crate) struct Kubectl {}

/// Write a kubeconfig for helm, k9s, plain kubectl and other tools
///
/// It holds no secret: it names central, its certificate authority, and `mk8s credential` as the program that gives the
/// token. So it stays valid after the next login, and is of no use to somebody else.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s kubeconfig                                      # the chosen cluster, to standard output
  mk8s kubeconfig --cluster staging -o staging.yaml
  mk8s kubeconfig --all -o ~/.kube/mk8s.yaml           # a context for each cluster
  KUBECONFIG=~/.kube/mk8s.yaml helm list")]
pub(crate) struct Kubeconfig {
    /// The cluster (default: the chosen one)
    #[arg(long = "cluster", value_name = "NAME", id = "kubeconfig_cluster")]
    pub(crate) cluster: Option<ClusterName>,

    /// A context for every cluster that you can reach
    #[arg(long, conflicts_with = "kubeconfig_cluster")]
    pub(crate) all: bool,

    /// The file to write (mode 0600), instead of standard output
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

/// Let an AI agent read the clusters that you can reach
///
/// A desktop client starts it and speaks MCP with it on standard input and output. The agent reads in your name, with your
/// login and your roles; it changes nothing unless you say so (--mode), and no secret is shown to it. The program is mk8s-mcp, beside this one or on
/// the PATH; what follows goes to it as it is.
#[derive(Debug, Args)]
#[command(
    override_usage = "mk8s [--cluster NAME] mcp [ARGUMENTS OF MK8S-MCP]...",
    after_help = "\
Examples:
  mk8s mcp                            # every cluster that you can reach
  mk8s --cluster staging mcp          # staging alone
  mk8s mcp --deny secrets             # more: mk8s-mcp --help

In a desktop client's configuration:
  {\"mcpServers\": {\"mk8s\": {\"command\": \"mk8s\", \"args\": [\"mcp\"]}}}"
)]
pub(crate) struct Mcp {
    /// Arguments of mk8s-mcp
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENTS OF MK8S-MCP"
    )]
    pub(crate) arguments: Vec<OsString>,
}

/// Give kubectl a token (a client.authentication.k8s.io/v1 credential plugin)
#[derive(Debug, Args)]
#[command(
    hide = true,
    after_help = "\
Examples:
  mk8s credential --central https://central.example.com:8080   # as a kubeconfig's exec plugin"
)]
pub(crate) struct Credential {
    /// The central that the kubeconfig is for
    #[arg(long, value_name = "URL")]
    pub(crate) central: Option<CentralUrl>,
}

/// Put the sidecar proxy into the pods of manifests
///
/// The pods' containers then reach the Kubernetes API through the sidecar and never hold a token. Pods, Deployments,
/// DaemonSets, StatefulSets, ReplicaSets, ReplicationControllers, Jobs, CronJobs, PodTemplates and Lists of them are
/// changed; everything else passes as it is. Comments, the order of keys and the formatting stay. Nothing is sent to a
/// cluster.
///
/// Annotations on a pod (mca.k8s.io/…) go before the options here. A pod that has the sidecar already is brought up to
/// date; one that can't have it is an error, and then nothing is written at all.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s inject -f app.yaml | kubectl apply -f -
  helm template shop | mk8s inject >shop.yaml
  kubectl get deployment web -o yaml | mk8s inject --order last | kubectl apply -f -
  mk8s inject -f app.yaml --check              # exit code 1 if something would change
  mk8s inject -f app.yaml --uid unset --gid unset   # OpenShift chooses the IDs
  mk8s inject -f app.yaml --settings sidecar.yaml --image registry.example.com/mca-proxy:1.2.3")]
pub(crate) struct Inject {
    #[command(flatten)]
    pub(crate) manifests: Manifests,

    /// YAML with the sidecar's settings, as the webhook's chart has them; the options below go before it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) settings: Option<PathBuf>,

    /// The sidecar's image
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<Image>,

    /// When its image is pulled (default: Kubernetes decides by the tag)
    #[arg(long, value_name = "POLICY")]
    pub(crate) image_pull_policy: Option<PullPolicy>,

    /// Its UID, or `unset` (default: 999)
    #[arg(long, value_name = "UID")]
    pub(crate) uid: Option<OrUnset<UserId>>,

    /// Its GID, or `unset` (default: 999)
    #[arg(long, value_name = "GID")]
    pub(crate) gid: Option<OrUnset<GroupId>>,

    /// Where it stands among the init containers (default: first)
    #[arg(long, value_name = "WHERE")]
    pub(crate) order: Option<Position>,

    /// Its log filter
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,

    /// Serve /metrics on this port of the pod (default: nowhere)
    #[arg(long, value_name = "PORT")]
    pub(crate) metrics_port: Option<NonZeroU16>,

    /// Its CPU request
    #[arg(long, value_name = "QUANTITY")]
    pub(crate) cpu_request: Option<Quantity>,

    /// Its CPU limit
    #[arg(long, value_name = "QUANTITY")]
    pub(crate) cpu_limit: Option<Quantity>,

    /// Its memory request
    #[arg(long, value_name = "QUANTITY")]
    pub(crate) memory_request: Option<Quantity>,

    /// Its memory limit
    #[arg(long, value_name = "QUANTITY")]
    pub(crate) memory_limit: Option<Quantity>,
}

/// Take the sidecar proxy out of the pods of manifests
///
/// They are then what they were before `mk8s inject`, or before the webhook: what was replaced is put back from the note
/// in the annotation mca.k8s.io/injected.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s uninject -f app.yaml >plain.yaml
  kubectl get deployment web -o yaml | mk8s uninject | kubectl apply -f -
  mk8s uninject -f app.yaml --check            # exit code 1 if a pod has the sidecar")]
pub(crate) struct Uninject {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
}

/// What is read, and how it is written.
#[derive(Debug, Clone, Args)]
pub(crate) struct Manifests {
    /// A file with one or many YAML or JSON documents, or - for standard input (default); may be repeated
    #[arg(long = "filename", short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// What to write (default: what was read)
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<ManifestFormat>,

    /// Write nothing; say what would change, and exit with 1 if something would
    #[arg(long, conflicts_with = "output")]
    pub(crate) check: bool,
}

/// The forms of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManifestFormat {
    Yaml,
    Json,
}

/// When an image is pulled, in Kubernetes' spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PullPolicy {
    #[value(name = "Always")]
    Always,
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    #[value(name = "Never")]
    Never,
}

/// Where the sidecar stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Position {
    First,
    Last,
}

/// A value, or the word `unset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrUnset<T>(pub(crate) Option<T>);

impl<T: FromStr> FromStr for OrUnset<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == "unset" {
            Ok(Self(None))
        } else {
            text.parse().map(|value| Self(Some(value)))
        }
    }
}

/// Print the completion script of a shell
///
/// It completes commands, options and the names of clusters; after `mk8s kubectl` it asks kubectl itself, so that
/// resources and names of the chosen cluster complete too (bash, zsh and fish).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(mk8s completion bash)                          # this shell; or add the line to ~/.bashrc
  mk8s completion zsh >\"${fpath[1]}/_mk8s\"
  mk8s completion fish >~/.config/fish/completions/mk8s.fish
  complete -o default -F __mk8s_complete mk               # bash, after `alias mk=mk8s`")]
pub(crate) struct Completion {
    /// The shell
    pub(crate) shell: Shell,
}

/// The shells with a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

/// Print the version
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s version
  mk8s kubectl version   # kubectl's, and the cluster's")]
pub(crate) struct Version {}

/// Answer a completion script: the words typed so far, the last one being completed.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Complete {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<std::ffi::OsString>,
}

/// How to print an answer.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// How to print it
    #[arg(
        long = "output",
        short = 'o',
        value_name = "FORMAT",
        value_enum,
        default_value = "table"
    )]
    pub(crate) format: Format,
}
