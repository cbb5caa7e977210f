//! Whether the cluster can run what we make.

use kube::Client;
use mk8s_serving::CALL_LIMIT;
use tracing::warn;

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
