//! A connection into a pod, by the one path: what asks for it is a client of that path like any other, on a connection in memory.

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use mk8s_mcp_core::cluster::Upgraded;
use mk8s_model::ClusterName;
use mk8s_net::{Body, status::Status};
use mk8s_proxy::{Caller, Inbound, Proxy, Upgrade};
use tracing::debug;

/// What is kept of each direction between the two ends in memory, in bytes.
const BUFFER: usize = 64 << 10;

/// Asks to switch to a WebSocket.
///
/// # Errors
/// Whatever was answered instead.
pub(crate) async fn upgrade(
    proxy: Proxy,
    caller: Caller,
    cluster: ClusterName,
    request: Request<()>,
) -> Result<Upgraded, Response<Body>> {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let take = service_fn(move |mut request: Request<Incoming>| {
        let upgrade = Upgrade::from_http1(&mut request);
        let inbound = Inbound {
            caller: caller.clone(),
            cluster: cluster.clone(),
            request: Body::from_request(request),
            upgrade,
            audit_id: None,
        };
        let proxy = proxy.clone();
        async move { Ok::<_, std::convert::Infallible>(proxy.handle(inbound).await) }
    });
    tokio::spawn(async move {
        let serving = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(theirs), take)
            .with_upgrades();
        if let Err(error) = serving.await {
            debug!(%error, "a connection into a pod ended");
        }
    });
    let asked = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Empty<bytes::Bytes>>(TokioIo::new(ours)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(%error, "a connection into a pod ended");
            }
        });
        let mut request = request.map(|()| Empty::new());
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        sender.send_request(request).await
    };
    let unavailable = |error: hyper::Error| Status::unavailable(error.to_string(), 1).into_response();
    let mut response = asked.await.map_err(unavailable)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(response.map(Body::from_http1));
    }
    let switched = hyper::upgrade::on(&mut response);
    let stream = switched.await.map_err(unavailable)?;
    Ok(Upgraded {
        headers: response.headers().clone(),
        stream: Box::new(TokioIo::new(stream)),
    })
}
