//! The way to the API server, for our own calls: the Secret, the Lease, the caBundle.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tracing::warn;

use crate::config::Kubernetes;

/// What all our writes are marked with in an object's managed fields. The same for all replicas, so that any of them may
/// change what another wrote.
pub(crate) const FIELD_MANAGER: &str = "mk8s-webhook";
/// How long one call may take.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Prepares the way. Nothing is dialled yet.
pub(crate) async fn connect(config: &Kubernetes) -> anyhow::Result<Client> {
    let found = match &config.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)?;
            let options = KubeConfigOptions {
                context: config.context.clone(),
                ..KubeConfigOptions::default()
            };
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .with_context(|| format!("kubeconfig {}", path.display()))?
        }
        None => Config::incluster().context(
            "this is no pod: give a kubeconfig (kubernetes.kubeconfig, --kubeconfig or KUBECONFIG)",
        )?,
    };
    if found.accept_invalid_certs {
        bail!(
            "kubernetes: insecure-skip-tls-verify would send our credentials and keys to anybody: give \
             certificate-authority instead"
        );
    }
    Client::try_from(found).context("can't make a client for the API server")
}

/// Makes sure that the cluster can run what we put into its pods.
///
/// # Errors
/// If it is too old. One that can't be asked isn't judged.
pub(crate) async fn check_version(client: &Client) -> anyhow::Result<()> {
    let asked = tokio::time::timeout(CALL_LIMIT, client.apiserver_version()).await;
    let version = match asked {
        Ok(Ok(version)) => version,
        Ok(Err(error)) => {
            warn!(%error, "can't ask the API server for its version");
            return Ok(());
        }
        Err(_) => {
            warn!("the API server doesn't say its version in time");
            return Ok(());
        }
    };
    Ok(mk8s_inject::check_version(&version.git_version)?)
}
