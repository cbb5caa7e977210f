//! The agent's end: dial central, serve HTTP/2 on the connection, and dial again whenever it ends.

use std::{convert::Infallible, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use mk8s_net::{Body, BoxError, drain::Watch, listen::tune, serve::serve_http2, workers::Workers};
use mk8s_tls::{ClientConfig, ServerName, TlsConnector};
use tokio::net::TcpStream;
use tracing::{info, warn};

/// How long a connection may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection that lived this long was a good one: the next wait starts from the shortest again.
const SETTLED: Duration = Duration::from_secs(30);
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Where central is, and how to prove who we are.
#[derive(Clone)]
pub struct Central {
    /// Host name or address.
    pub host: String,
    /// The agents' port.
    pub port: u16,
    /// TLS 1.3 with our client certificate, offering [`crate::ALPN`].
    pub tls: Arc<ClientConfig>,
}

impl Central {
    /// A TLS connection to central.
    ///
    /// # Errors
    /// If there is none within 15 s.
    pub async fn connect(&self) -> Result<mk8s_tls::ClientTlsStream<TcpStream>, BoxError> {
        let connect = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tune(&stream)?;
            let name = ServerName::try_from(self.host.clone())?;
            let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
            // Whoever ends TLS in between may not know our protocols, and say nothing instead of no.
            if stream.get_ref().1.alpn_protocol().is_none() {
                return Err(
                    "whoever answers there is not mk8s-central, or a proxy in between ends TLS".into(),
                );
            }
            Ok::<_, BoxError>(stream)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connect)
            .await
            .map_err(|_| format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))?
    }
}

impl std::fmt::Debug for Central {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Central")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Keeps `connections` tunnels to central up until drained, each on a worker of its own in turn, and serves `service`
/// on all of them. Returns when the last one ended after draining.
pub async fn serve<S>(central: Central, connections: usize, workers: Arc<Workers>, drain: Watch, service: S)
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let tunnels: Vec<_> = (0..connections.max(1))
        .map(|index| {
            let (central, drain, service) = (central.clone(), drain.clone(), service.clone());
            workers.nth(index).spawn(keep_up(index, central, drain, service))
        })
        .collect();
    for tunnel in tunnels {
        let _ = tunnel.await;
    }
}

async fn keep_up<S>(index: usize, central: Central, mut drain: Watch, service: S)
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone,
    S::Future: Send + 'static,
{
    let mut waits = waits();
    while !drain.is_draining() {
        let started = tokio::time::Instant::now();
        let connected = tokio::select! {
            connected = central.connect() => connected,
            () = drain.draining() => return,
        };
        match connected {
            Ok(stream) => {
                info!(tunnel = index, central = %central.host, "tunnel up");
                let ended =
                    serve_http2(reversed_http2(), Box::new(stream), service.clone(), drain.clone()).await;
                match ended {
                    Ok(()) => info!(tunnel = index, "tunnel ended"),
                    Err(error) => warn!(tunnel = index, error = %causes(&error), "tunnel broke"),
                }
            }
            Err(error) => {
                warn!(tunnel = index, central = %central.host, port = central.port, %error, "can't reach central");
            }
        }
        if started.elapsed() >= SETTLED {
            waits = self::waits();
        }
        let wait = waits.next().unwrap_or(LONGEST_WAIT);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = drain.draining() => return,
        }
    }
}

/// Exponential, with jitter: a thousand agents whose central restarted must not all come back in the same second.
fn waits() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_jitter()
        .without_max_times()
        .build()
}

/// HTTP/2 towards central, whom we trust with how many streams it opens, and whom we notice being gone by pings.
fn reversed_http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(20_000)
        // A person's Ctrl-C on a thousand watches is a thousand resets, not an attack (CVE-2023-44487).
        .max_pending_accept_reset_streams(20_000)
        .max_local_error_reset_streams(20_000)
        .max_header_list_size(1024 * 1024)
        .initial_stream_window_size(512 * 1024)
        // As good as unlimited: an upload that waits must take nothing away from the other streams.
        .initial_connection_window_size((1 << 31) - 1)
        .max_send_buf_size(256 * 1024)
        .max_frame_size(32 * 1024)
        .keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// An error with its causes: hyper's own message alone never says why.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_never_end() {
        let waits: Vec<_> = waits().take(50).collect();
        assert_eq!(waits.len(), 50);
        assert!(
            waits
                .iter()
                .all(|wait| (FIRST_WAIT..=2 * LONGEST_WAIT).contains(wait)),
            "{waits:?}"
        );
        assert!(waits[0] < Duration::from_secs(1), "{waits:?}");
        assert!(waits[20..].iter().all(|wait| *wait >= LONGEST_WAIT), "{waits:?}");
    }

    #[test]
    fn no_two_agents_wait_alike() {
        let first: Vec<_> = waits().take(10).collect();
        let second: Vec<_> = waits().take(10).collect();
        assert_ne!(first, second);
    }
}
