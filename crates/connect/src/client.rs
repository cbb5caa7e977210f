//! A client for a program's own calls, which are few: reviews, leases, what it watches. Never for what it relays.

use anyhow::{Context as _, bail};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::Settings;

/// Prepares the client. Nothing is dialled yet.
///
/// # Errors
/// If the kubeconfig can't be used, or there is none and this is no pod.
pub async fn client(settings: &Settings) -> anyhow::Result<Client> {
    let found = match &settings.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)?;
            let options = KubeConfigOptions {
                context: settings.context.clone(),
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
