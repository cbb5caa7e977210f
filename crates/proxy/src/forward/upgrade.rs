//! Upgrades (exec, attach, port-forward, proxied WebSockets).
//!
//! Towards an API server: HTTP/1.1 on a connection of its own, because that is what it upgrades. Towards an agent: an
//! extended CONNECT stream (RFC 8441), with the client's own method in a header. In both cases bytes are spliced only
//! after the other side agreed (101, or 200 to the CONNECT); any other answer is relayed as an answer and nothing else,
//! since treating it as a tunnel let clients speak to the backend unchecked (CVE-2018-1002105).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Incoming, ext::Protocol, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use mk8s_net::{Body, link::LinkBody};

use crate::{
    decide::Permitted,
    error::ForwardError,
    forward::replay::link,
    rewrite::{Head, METHOD_HEADER},
    upstream::{Direct, Upstream},
};

/// An upgrade on its way out.
#[derive(Debug)]
pub(crate) struct OutboundUpgrade {
    pub(crate) upstream: Upstream,
    pub(crate) head: Head,
    pub(crate) protocol: HeaderValue,
}

/// What came back.
pub(crate) enum Upgraded {
    /// The other side switched: these headers go into our 101, and then bytes both ways. `held` keeps the stream
    /// counted.
    Switched { headers: HeaderMap, upstream: OnUpgrade, held: Option<LinkBody> },
    /// It did not: an answer like any other.
    Answered(Response<Body>),
}

/// Asks the upstream to switch protocols.
///
/// # Errors
/// [`ForwardError`] if there was no answer.
pub(crate) async fn send_upgrade(permitted: Permitted<OutboundUpgrade>) -> Result<Upgraded, ForwardError> {
    let OutboundUpgrade { upstream, mut head, protocol } = permitted.into_inner();
    // SPDY asks with a POST of no content; on an extended CONNECT, a length of 0 would forbid the very bytes to follow.
    head.headers.remove(header::CONTENT_LENGTH);
    match &upstream {
        Upstream::Direct(direct) => over_http1(direct, head, protocol).await,
        Upstream::Agent(_) => over_connect(&upstream, head, &protocol).await,
    }
}

async fn over_http1(direct: &Direct, mut head: Head, protocol: HeaderValue) -> Result<Upgraded, ForwardError> {
    let stream = direct.dial_http1().await.map_err(ForwardError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        // The API server looks for them in any case; some backends behind it do not.
        .title_case_headers(true)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|e| ForwardError::Connect(e.into()))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "upgrade connection ended");
        }
    });
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    head.headers.insert(header::UPGRADE, protocol);
    let host = HeaderValue::from_str(direct.authority().as_str()).map_err(http::Error::from)?;
    head.headers.insert(header::HOST, host);
    let mut request = Request::new(Empty::new());
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri.path_and_query().map_or_else(|| head.uri.clone(), |path| path.clone().into());
    *request.headers_mut() = head.headers;
    let mut response = sender.send_request(request).await.map_err(|e| ForwardError::Broken(e.into()))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upstream = hyper::upgrade::on(&mut response);
        let headers = std::mem::take(response.headers_mut());
        return Ok(Upgraded::Switched { headers, upstream, held: None });
    }
    Ok(Upgraded::Answered(response.map(|body: Incoming| Body::from(body))))
}

async fn over_connect(upstream: &Upstream, mut head: Head, protocol: &HeaderValue) -> Result<Upgraded, ForwardError> {
    let mut link = link(upstream).await?;
    let method = HeaderValue::from_str(head.method.as_str()).map_err(http::Error::from)?;
    head.headers.insert(METHOD_HEADER.clone(), method);
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = head.headers;
    request.extensions_mut().insert(Protocol::from(protocol.to_str().unwrap_or("websocket")));
    let mut response = link.send(request).await.map_err(|e| ForwardError::Broken(e.into()))?;
    if response.status().is_success() {
        let upstream = hyper::upgrade::on(&mut response);
        let headers = std::mem::take(response.headers_mut());
        return Ok(Upgraded::Switched { headers, upstream, held: Some(response.into_body()) });
    }
    Ok(Upgraded::Answered(response.map(Body::boxed)))
}
