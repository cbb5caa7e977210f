//! Telling central that we live, and renewing the certificate in time.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use mk8s_proxy::Direct;
use mk8s_tunnel::{
    grpc::Channel,
    proto::{HeartbeatRequest, agent_service_client::AgentServiceClient},
};
use tracing::{debug, warn};

use crate::{
    cluster,
    identity::{self, Identity},
};

const RETRY: Duration = Duration::from_secs(5);
/// A certificate of a day is renewed when less than this is left, in seconds: two thirds of the day for trying again.
const RENEW_BEFORE: i64 = 16 * 3600;
/// A clock that is off by more is worth a warning: certificates and tokens are judged by it.
const CLOCK_SKEW_MS: i64 = 60_000;

/// Beats for as long as the agent runs.
pub(crate) async fn run(identity: Identity, api_server: Arc<Direct>) {
    let mut client = None;
    loop {
        let wait = match beat(&identity, &api_server, &mut client).await {
            Ok(wait) => wait,
            Err(error) => {
                warn!(error = format!("{error:#}"), "heartbeat failed");
                client = None;
                RETRY
            }
        };
        tokio::time::sleep(wait).await;
    }
}

async fn beat(
    identity: &Identity,
    api_server: &Arc<Direct>,
    client: &mut Option<AgentServiceClient<Channel>>,
) -> anyhow::Result<Duration> {
    let client = match client {
        Some(client) => client,
        None => client.insert(identity::control(&identity.central(mk8s_tunnel::GRPC_ALPN)?).await?),
    };
    let request = HeartbeatRequest {
        metadata: Some(identity::metadata(cluster::version(api_server).await)),
        sent_at_ms: Timestamp::now().as_millisecond(),
    };
    let answer = client
        .heartbeat(request)
        .await
        .map_err(identity::refused)?
        .into_inner();
    let skew = Timestamp::now().as_millisecond() - answer.received_at_ms;
    if skew.abs() > CLOCK_SKEW_MS {
        warn!(
            seconds = skew / 1000,
            "this machine's clock and central's differ: check both"
        );
    }
    if identity.not_after().as_second() - Timestamp::now().as_second() < RENEW_BEFORE {
        identity.renew(client).await?;
    }
    debug!("heartbeat");
    Ok(Duration::from_secs(u64::from(
        answer.interval_seconds.clamp(1, 300),
    )))
}
