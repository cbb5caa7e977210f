//! Central's end: a connection that an agent dialled becomes a [`Link`].

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode};
use mk8s_net::{
    Body, BoxError,
    link::{Link, StreamCounters},
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{CONTROL_AUTHORITY, HEALTH_PATH};

/// How long the first exchange may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes an agent's connection, and asks it one question before anybody's request is sent there: a tunnel that can't
/// answer must never be picked. `on_end` is called when the connection is gone.
///
/// # Errors
/// If HTTP/2 can't be spoken on it, or the agent doesn't answer the probe with 200 within ten seconds.
pub async fn accept<I>(
    io: I,
    counters: Arc<StreamCounters>,
    on_end: impl FnOnce() + Send + 'static,
) -> Result<Link, BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut link = Link::handshake(io, counters, on_end).await?;
    match probe(&mut link).await {
        Ok(()) => Ok(link),
        Err(why) => {
            // Nobody will use it, and the agent is to dial again.
            link.cut();
            Err(why)
        }
    }
}

async fn probe(link: &mut Link) -> Result<(), BoxError> {
    let probe = Request::get(format!("https://{CONTROL_AUTHORITY}{HEALTH_PATH}")).body(Body::empty())?;
    let answer = tokio::time::timeout(PROBE_TIMEOUT, link.send(probe))
        .await
        .map_err(|_| "the agent did not answer on its own connection")??;
    if answer.status() != StatusCode::OK {
        return Err(format!("the agent answered the probe with {}", answer.status()).into());
    }
    Ok(())
}
