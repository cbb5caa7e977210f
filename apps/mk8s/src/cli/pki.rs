//! What can be typed after `mk8s pki`.

use std::{net::IpAddr, num::NonZeroU16, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use mk8s_tls::RevocationReason;

use super::Output;

/// Make a certificate authority, and certificates of it for people and servers
///
/// For mk8s-front-proxy, and for whatever else takes client certificates and has no authority yet. All of it is files in a
/// directory of your own: ca.crt, which doors trust; ca.key, which stays here; crl.pem, the list of what was taken back,
/// which doors read; and an index of what was issued.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s pki init --name 'Example Inc. people'
  mk8s pki issue user jane --group dev --group ops
  mk8s pki issue server front-proxy --dns proxy.example.com --service front-proxy.mk8s
  mk8s pki secret front-proxy --namespace mk8s | kubectl apply -f -
  mk8s pki list
  mk8s pki revoke jane --reason keyCompromise   # then bring crl.pem to the doors
  mk8s pki crl                                  # before the list's next update")]
pub(crate) struct Pki {
    /// Where the authority is kept (default: ~/.mk8s/pki)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, global = true)]
    pub(crate) dir: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: PkiCommand,
}

/// What can be done with an authority.
#[derive(Debug, Subcommand)]
pub(crate) enum PkiCommand {
    Init(Init),
    Issue(Issue),
    Revoke(Revoke),
    List(List),
    Crl(Crl),
    Secret(Secret),
}

/// Make a certificate authority
///
/// Nothing is ever overwritten: an authority that is there stays. Whoever has ca.key can be anybody, so keep the directory
/// on a machine that few people use, and back it up.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s pki init
  mk8s pki init --dir /srv/pki --name 'Example Inc. people' --days 1825")]
pub(crate) struct Init {
    /// The authority's name, as it stands in certificates
    #[arg(
        long = "name",
        value_name = "NAME",
        default_value = "mk8s pki",
        id = "authority_name"
    )]
    pub(crate) name: String,

    /// How long the authority is valid
    #[arg(long, value_name = "N", default_value = "3650")]
    pub(crate) days: NonZeroU16,
}

/// Issue a certificate
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s pki issue user jane --group dev
  mk8s pki issue server front-proxy --dns proxy.example.com")]
pub(crate) struct Issue {
    #[command(subcommand)]
    pub(crate) command: IssueCommand,
}

/// For whom a certificate is.
#[derive(Debug, Subcommand)]
pub(crate) enum IssueCommand {
    User(IssueUser),
    Server(IssueServer),
}

/// Issue a certificate that says who somebody is
///
/// The name becomes the user (the common name), each group one of the user's groups (an organization), as Kubernetes reads
/// certificates. Names in `system:` belong to Kubernetes and are refused. The certificate is for clients alone.
///
/// With --cluster-csr it isn't an authority of yours that signs, but the cluster's: a CertificateSigningRequest is made with
/// your own kubectl (or through central, with mk8s --cluster NAME), approved if you say so, and the certificate written when
/// it is there. The cluster keeps no way to take such a certificate back, so keep it short.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s pki issue user jane --group dev --group ops
  mk8s pki issue user ci --days 1 --out ./ci
  mk8s pki issue user joe --csr joe.csr           # joe keeps his key to himself
  mk8s pki issue user jane --group dev --cluster-csr --approve --context production
  openssl ecparam -name prime256v1 -genkey -noout -out joe.key
  openssl req -new -key joe.key -subj /CN=joe -out joe.csr")]
pub(crate) struct IssueUser {
    /// The user
    #[arg(value_name = "NAME", id = "user")]
    pub(crate) name: String,

    /// A group of the user; may be repeated
    #[arg(long = "group", short, value_name = "GROUP")]
    pub(crate) groups: Vec<String>,

    /// How long the certificate is valid
    #[arg(long, value_name = "N", default_value = "30")]
    pub(crate) days: NonZeroU16,

    #[command(flatten)]
    pub(crate) common: Common,

    /// Have the cluster's own authority sign it
    #[arg(long, conflicts_with_all = ["csr", "crl_url", "ocsp_url"])]
    pub(crate) cluster_csr: bool,

    /// Which of the cluster's signers
    #[arg(
        long,
        value_name = "SIGNER",
        requires = "cluster_csr",
        default_value = "kubernetes.io/kube-apiserver-client"
    )]
    pub(crate) signer: String,

    /// Approve the request at once; you must be allowed to
    #[arg(long, requires = "cluster_csr")]
    pub(crate) approve: bool,

    /// The context of your kubeconfig
    #[arg(long, value_name = "NAME", requires = "cluster_csr", id = "kube_context")]
    pub(crate) context: Option<String>,

    /// How many seconds to wait for the cluster
    #[arg(long, value_name = "SECONDS", requires = "cluster_csr", default_value = "300")]
    pub(crate) wait: u16,
}

/// Issue a certificate for a server
///
/// Without --dns, --ip and --service, NAME itself is what the server is called; otherwise NAME is only how you call the
/// certificate here. The certificate is for servers alone, and the authority's own stands behind it in the file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s pki issue server proxy.example.com
  mk8s pki issue server front-proxy --dns proxy.example.com --dns '*.proxy.example.com' --ip 10.0.0.7
  mk8s pki issue server front-proxy --service front-proxy.mk8s   # all names that a Service has
  mk8s pki issue server front-proxy --csr proxy.csr --dns proxy.example.com")]
pub(crate) struct IssueServer {
    /// What the certificate is called here
    #[arg(value_name = "NAME", id = "server")]
    pub(crate) name: String,

    /// A DNS name of the server, *. in front for one label; may be repeated
    #[arg(long = "dns", value_name = "NAME", id = "dns_name")]
    pub(crate) dns: Vec<String>,

    /// An IP address of the server; may be repeated
    #[arg(long = "ip", value_name = "ADDRESS")]
    pub(crate) ips: Vec<IpAddr>,

    /// A Service before the server: all names that it has within a cluster; may be repeated
    #[arg(long = "service", value_name = "NAME.NAMESPACE")]
    pub(crate) services: Vec<String>,

    /// How long the certificate is valid
    #[arg(long, value_name = "N", default_value = "90")]
    pub(crate) days: NonZeroU16,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// What is the same for people and servers.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// A certificate request (PEM or DER); its public key is used and nothing else of it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) csr: Option<PathBuf>,

    /// Where NAME.crt and NAME.key are written (default: `issued` beside the authority)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,

    /// Replace NAME.crt and NAME.key if they are there
    #[arg(long)]
    pub(crate) force: bool,

    /// Where the revocation list can be had, to be written into the certificate
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) crl_url: Option<String>,

    /// Where an OCSP responder is, to be written into the certificate
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) ocsp_url: Option<String>,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Take a certificate back, and rewrite crl.pem
///
/// It counts where crl.pem is read: bring the new file to the doors. There is no way back; issue another certificate.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s pki revoke jane
  mk8s pki revoke jane --all --reason keyCompromise
  mk8s pki revoke 5f3a…      # the one with this serial number; `mk8s pki list` shows it")]
pub(crate) struct Revoke {
    /// The name that the certificate was issued for, or its serial number
    #[arg(value_name = "NAME|SERIAL", id = "certificate")]
    pub(crate) certificate: String,

    /// Why
    #[arg(long, value_name = "REASON", default_value = "unspecified")]
    pub(crate) reason: Reason,

    /// All valid certificates of this name
    #[arg(long)]
    pub(crate) all: bool,

    /// In how many days the list's next update is due
    #[arg(long, value_name = "N", default_value = "30")]
    pub(crate) days: NonZeroU16,
}

/// Why a certificate is taken back, by the names of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reason {
    #[value(name = "unspecified")]
    Unspecified,
    /// Somebody else may have the key
    #[value(name = "keyCompromise")]
    KeyCompromise,
    /// The name or the groups changed
    #[value(name = "affiliationChanged")]
    AffiliationChanged,
    /// Another certificate takes its place
    #[value(name = "superseded")]
    Superseded,
    /// It isn't needed any more
    #[value(name = "cessationOfOperation")]
    CessationOfOperation,
    /// The holder may no longer do this
    #[value(name = "privilegeWithdrawn")]
    PrivilegeWithdrawn,
}

impl From<Reason> for RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
            Reason::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
        }
    }
}

/// List what was issued
#[derive(Debug, Args)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  mk8s pki list
  mk8s pki list --expired        # also what is over by itself
  mk8s pki list -o json"
)]
pub(crate) struct List {
    /// Also certificates that have expired
    #[arg(long)]
    pub(crate) expired: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Rewrite crl.pem with a new next update
///
/// Do so before the last one is due, from a timer for instance: a door may be set to refuse everybody once the list is
/// overdue, and warns in any case.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s pki crl
  mk8s pki crl --days 7")]
pub(crate) struct Crl {
    /// In how many days the next update is due
    #[arg(long, value_name = "N", default_value = "30")]
    pub(crate) days: NonZeroU16,
}

/// Print a Secret with a server's certificate, key and authority
///
/// Its type is kubernetes.io/tls, with ca.crt beside tls.crt and tls.key. The private key is in it: pass it on to kubectl,
/// and to nobody else.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mk8s pki secret front-proxy --namespace mk8s | kubectl apply -f -
  mk8s pki secret proxy.example.com --namespace mk8s --secret-name front-proxy-tls | kubectl apply -f -")]
pub(crate) struct Secret {
    /// The name that the certificate was issued for
    #[arg(value_name = "NAME", id = "certificate")]
    pub(crate) certificate: String,

    /// The Secret's namespace
    #[arg(long, short, value_name = "NAMESPACE")]
    pub(crate) namespace: String,

    /// The Secret's name (default: NAME)
    #[arg(long, value_name = "NAME", id = "secret_name")]
    pub(crate) secret_name: Option<String>,
}
