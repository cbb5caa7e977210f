//! Without a pod: a kubeconfig in place of the service account, and one for clients.

use anyhow::Context as _;
use mk8s_connect::{Target, kubeconfig};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::{
    cli::Run,
    service_account::{self, ServiceAccount},
};

/// The API server of the kubeconfig's context.
pub(crate) fn target(run: &Run) -> anyhow::Result<Target> {
    let path = run
        .kubeconfig()
        .context("no kubeconfig: this user has no home directory; name one with --kubeconfig")?;
    Ok(kubeconfig::from_file(&path, run.context.as_deref())?)
}

/// Writes a kubeconfig that leads to us.
pub(crate) fn write_kubeconfig(run: &Run, account: &ServiceAccount, namespace: &str) -> anyhow::Result<()> {
    let address = run.listen.first().context("there is no address to listen on")?;
    let ca = run.shared_dir().join("ca.crt");
    let ca = std::path::absolute(&ca).with_context(|| format!("can't find {}", ca.display()))?;
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "mca-proxy",
        "clusters": [{"name": "mca-proxy", "cluster": {"server": format!("https://{address}"), "certificate-authority": ca}}],
        "users": [{"name": "mca-proxy", "user": {"token": account.placeholder.secret().expose_secret()}}],
        "contexts": [{
            "name": "mca-proxy",
            "context": {"cluster": "mca-proxy", "user": "mca-proxy", "namespace": namespace},
        }],
    });
    let path = run.dev_kubeconfig();
    // JSON is YAML.
    let text = serde_json::to_string_pretty(&kubeconfig)?;
    service_account::write(&path, text.as_bytes(), 0o600)
        .with_context(|| format!("can't write {}", path.display()))
}
