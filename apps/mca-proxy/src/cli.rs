//! Flags and environment variables: read once, here.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use mk8s_cache::Cache;
use mk8s_connect::in_cluster::SERVICE_ACCOUNT;
use mk8s_telemetry::{LogFormat, Traces, TracesError};

use crate::limit::Limit;

/// Where the containers' service account is written, as the sidecar sees it.
const SHARED: &str = "/var/run/secrets/kubernetes.io/mca-serviceaccount";
/// Where the sidecar keeps what must outlive it.
const STATE: &str = "/var/lib/mca-proxy";
const TWICE: NonZeroU32 = NonZeroU32::new(2).expect("two isn't zero");
/// Development happens beneath this directory.
const DEV_ROOT: &str = "tmp";

/// The sidecar that keeps a pod's real token and lets its containers use the Kubernetes API.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  mca-proxy run                          in a pod, as `mk8s inject` or the webhook puts it there
  mca-proxy run --dev                    on a workstation, with the current context of your kubeconfig
  MCA_K8S_CTX=kind-dev mca-proxy run --dev
  mca-proxy ready                        as a pod's startup probe

In development, everything is written below ./tmp, and tmp/kubeconfig is for clients:
  kubectl --kubeconfig tmp/kubeconfig get pods"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the Kubernetes API to the containers of this pod
    Run(Box<Run>),
    /// Exit with 0 if the sidecar is ready, else with 1
    Ready(Ready),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Use a kubeconfig instead of a pod's service account, and write below ./tmp
    #[arg(long)]
    pub(crate) dev: bool,
    /// With --dev: the kubeconfig [default: ~/.kube/config]
    #[arg(long, env = "KUBECONFIG", value_name = "FILE", requires = "dev")]
    kubeconfig: Option<PathBuf>,
    /// With --dev: the context of the kubeconfig [default: its current one]
    #[arg(long, env = "MCA_K8S_CTX", value_name = "NAME", requires = "dev")]
    pub(crate) context: Option<String>,
    /// Where to listen; give it again for more
    #[arg(
        long,
        env = "MCA_LISTEN",
        value_name = "ADDRESS:PORT",
        value_delimiter = ',',
        default_values = ["127.0.0.1:6443", "[::1]:6443"]
    )]
    pub(crate) listen: Vec<SocketAddr>,
    /// Another name or address in the certificate; give it again for more
    #[arg(long, env = "MCA_NAMES", value_name = "NAME", value_delimiter = ',')]
    pub(crate) name: Vec<String>,
    /// The cluster's DNS domain
    #[arg(
        long,
        env = "MCA_CLUSTER_DOMAIN",
        value_name = "DOMAIN",
        default_value = "cluster.local"
    )]
    pub(crate) cluster_domain: String,
    /// The real service account: token, ca.crt, namespace
    #[arg(long, env = "MCA_SERVICE_ACCOUNT_DIR", value_name = "DIR", default_value = SERVICE_ACCOUNT)]
    pub(crate) service_account_dir: PathBuf,
    /// Where to write what the containers see in its place
    #[arg(long, env = "MCA_SHARED_DIR", value_name = "DIR", default_value = SHARED)]
    shared_dir: PathBuf,
    /// Where to keep the authority and the placeholder token across restarts; for this program alone
    #[arg(long, env = "MCA_STATE_DIR", value_name = "DIR", default_value = STATE)]
    state_dir: PathBuf,
    /// Clusters and routes: *.yaml and *.json files, reloaded as they change
    #[arg(
        long,
        env = "MCA_CONFIG_DIR",
        value_name = "DIR",
        default_value = "/etc/mca-proxy/config"
    )]
    pub(crate) config_dir: PathBuf,
    /// Read clusters and routes from custom resources in the pod's namespace, too
    #[arg(long, env = "MCA_CUSTOM_RESOURCES", action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value_t = false, value_name = "BOOL")]
    pub(crate) custom_resources: bool,
    /// The clusters' credentials: a directory for each Secret
    #[arg(
        long,
        env = "MCA_CREDENTIALS_DIR",
        value_name = "DIR",
        default_value = "/etc/mca-proxy/credentials"
    )]
    pub(crate) credentials_dir: PathBuf,
    /// Serve /metrics on this port of every address of the pod [default: not at all]
    #[arg(long, env = "MCA_METRICS_PORT", value_name = "PORT")]
    pub(crate) metrics_port: Option<u16>,
    /// Requests a second that the whole pod may make [default: any number]
    #[arg(long, env = "MCA_QPS", value_name = "N")]
    qps: Option<NonZeroU32>,
    /// Requests that it may make at once [default: twice MCA_QPS]
    #[arg(long, env = "MCA_BURST", value_name = "N", requires = "qps")]
    burst: Option<NonZeroU32>,
    /// Answer GETs again from memory for this long; fractions may be given [default: never]
    #[arg(long, env = "MCA_CACHE_SECONDS", value_name = "SECONDS", value_parser = seconds)]
    cache_seconds: Option<Duration>,
    /// How much memory that may take, in bytes
    #[arg(long, env = "MCA_CACHE_BYTES", value_name = "BYTES", default_value_t = 8 * 1024 * 1024)]
    cache_bytes: u64,
    /// Send spans to this collector: http://HOST:PORT, OTLP over gRPC [default: nowhere]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// How many of the requests that come without a trace begin one, between 0 and 1
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    trace_share: f64,
    /// Threads that carry traffic [default: one per core, two at most]
    #[arg(long, env = "MCA_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
    /// How long running requests may go on after SIGTERM, in seconds
    #[arg(long, env = "MCA_DRAIN_SECONDS", value_name = "SECONDS", default_value_t = 5)]
    drain_seconds: u64,
    /// What to log: a level, or levels by module ("info,hyper=debug")
    #[arg(long, env = "MCA_LOG", value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
    /// How log lines look: text or json
    #[arg(long, env = "MCA_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct Ready {
    /// As for `run`
    #[arg(long, env = "MCA_STATE_DIR", value_name = "DIR", default_value = STATE)]
    pub(crate) state_dir: PathBuf,
    /// How long to wait for an answer, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    timeout_ms: u64,
}

impl Run {
    /// Where the containers' service account is written.
    pub(crate) fn shared_dir(&self) -> PathBuf {
        // A pod's places, but below a directory of their own: what a container would see at /.
        self.placed(if self.dev && self.shared_dir == Path::new(SHARED) {
            Path::new(SERVICE_ACCOUNT)
        } else {
            &self.shared_dir
        })
    }

    /// Where the authority and the placeholder token are kept.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.placed(&self.state_dir)
    }

    /// Where the kubeconfig for clients goes in development.
    pub(crate) fn dev_kubeconfig(&self) -> PathBuf {
        Path::new(DEV_ROOT).join("kubeconfig")
    }

    /// The kubeconfig that development uses.
    pub(crate) fn kubeconfig(&self) -> Option<PathBuf> {
        self.kubeconfig
            .clone()
            .filter(|path| !path.as_os_str().is_empty())
            .or_else(|| std::env::home_dir().map(|home| home.join(".kube/config")))
    }

    pub(crate) fn threads(&self) -> usize {
        // Every thread has upstream connections of its own, and on a node of many cores most sidecars idle.
        self.threads.map_or_else(
            || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2)),
            usize::from,
        )
    }

    /// The cache for GETs.
    pub(crate) fn cache(&self) -> Option<Cache> {
        let max_age = self.cache_seconds.filter(|age| !age.is_zero())?;
        Some(Cache::new(mk8s_cache::Settings {
            max_age,
            max_bytes: self.cache_bytes,
            max_entry_bytes: self.cache_bytes / 8,
        }))
    }

    /// Where spans go.
    pub(crate) fn traces(&self) -> Result<Option<Traces>, TracesError> {
        let Some(endpoint) = self
            .otlp_endpoint
            .as_deref()
            .filter(|endpoint| !endpoint.is_empty())
        else {
            return Ok(None);
        };
        Traces::to_collector(endpoint, "mca-proxy", env!("CARGO_PKG_VERSION"), self.trace_share).map(Some)
    }

    /// The rate limit.
    pub(crate) fn limit(&self) -> Option<Limit> {
        let qps = self.qps?;
        Some(Limit::new(qps, self.burst.unwrap_or(qps.saturating_mul(TWICE))))
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    fn placed(&self, path: &Path) -> PathBuf {
        if self.dev {
            Path::new(DEV_ROOT).join(path.strip_prefix("/").unwrap_or(path))
        } else {
            path.to_owned()
        }
    }
}

/// The longest age that is still one of a cache.
const MAX_CACHE_SECONDS: f64 = 3600.0;

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=MAX_CACHE_SECONDS).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("give seconds, {MAX_CACHE_SECONDS} at most")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("give a number between 0 and 1".to_owned()),
    }
}

impl Ready {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Run {
        let all = ["mca-proxy", "run"].iter().chain(arguments);
        match Arguments::try_parse_from(all).expect("good arguments").command {
            Command::Run(run) => *run,
            Command::Ready(_) => panic!("it was run"),
        }
    }

    #[test]
    fn a_pod_has_its_places_and_development_has_them_below_a_directory() {
        let pod = run(&[]);
        assert_eq!(pod.shared_dir(), Path::new(SHARED));
        assert_eq!(pod.state_dir(), Path::new(STATE));
        let dev = run(&["--dev"]);
        assert_eq!(
            dev.shared_dir(),
            Path::new("tmp/var/run/secrets/kubernetes.io/serviceaccount")
        );
        assert_eq!(dev.state_dir(), Path::new("tmp/var/lib/mca-proxy"));
    }

    #[test]
    fn it_listens_on_both_loopbacks_unless_told_otherwise() {
        let addresses = |run: Run| run.listen.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(addresses(run(&[])), ["127.0.0.1:6443", "[::1]:6443"]);
        assert_eq!(
            addresses(run(&["--listen", "127.0.0.1:1,[::1]:2"])),
            ["127.0.0.1:1", "[::1]:2"]
        );
    }
}
