//! The one destination an agent has: its cluster's API server, from a kubeconfig or as a pod.

use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt, Limited};
use mk8s_net::{Body, link::StreamCounters};
use mk8s_proxy::{Direct, upstream::Naming};
use tracing::warn;

/// Prepares the way to the API server. Nothing is dialled yet.
pub(crate) fn connect(
    settings: &mk8s_connect::Settings,
    counters: Arc<StreamCounters>,
) -> anyhow::Result<Direct> {
    let target = settings.target(|name| std::env::var(name).ok())?;
    Ok(target.direct(Naming::Impersonate, counters)?)
}

/// The API server's `gitVersion`, asked in the agent's own name. None if it can't be told: an agent whose API server is
/// away still connects, and says 503 to those who ask.
pub(crate) async fn version(api_server: &Arc<Direct>) -> Option<String> {
    match ask_version(api_server).await {
        Ok(version) => Some(version),
        Err(error) => {
            warn!(%error, "can't ask the API server for its version");
            None
        }
    }
}

async fn ask_version(api_server: &Arc<Direct>) -> Result<String, mk8s_net::BoxError> {
    let response = api_server
        .ask_as_self(Request::get("/version").body(Body::empty())?)
        .await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), 64 * 1024)
        .collect()
        .await?
        .to_bytes();
    if !status.is_success() {
        return Err(format!("it answered {status}").into());
    }
    let version: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(version["gitVersion"]
        .as_str()
        .ok_or("its answer has no gitVersion")?
        .to_owned())
}
