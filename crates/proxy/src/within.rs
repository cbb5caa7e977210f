//! A switch of protocols by the one path, asked for by this process itself: it is a client of the path like any other, on a connection
//! in memory.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Incoming, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use mk8s_model::ClusterName;
use mk8s_net::{Body, status::Status};
use tracing::debug;

use crate::{Caller, Inbound, Proxy, Upgrade};

/// What is kept of each direction between the two ends in memory, in bytes.
const BUFFER: usize = 64 << 10;

/// A connection that has switched.
#[derive(Debug)]
pub struct Switched {
    /// What came with the answer.
    pub headers: HeaderMap,
    /// What is said from then on.
    pub stream: TokioIo<Upgraded>,
}

impl Proxy {
    /// Asks to switch to a WebSocket. `request` has all headers of one but `Connection`, `Upgrade` and `Host`.
    ///
    /// # Errors
    /// Whatever was answered instead.
    pub async fn switch(
        &self,
        caller: Caller,
        cluster: ClusterName,
        request: Request<()>,
    ) -> Result<Switched, Response<Body>> {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let proxy = self.clone();
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
            async move { Ok::<_, Infallible>(proxy.handle(inbound).await) }
        });
        tokio::spawn(async move {
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(theirs), take)
                .with_upgrades();
            if let Err(error) = serving.await {
                debug!(%error, "a connection that switched ended");
            }
        });
        let asked = async {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(ours)).await?;
            tokio::spawn(async move {
                if let Err(error) = connection.with_upgrades().await {
                    debug!(%error, "a connection that switched ended");
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
        Ok(Switched {
            headers: response.headers().clone(),
            stream: TokioIo::new(stream),
        })
    }
}
