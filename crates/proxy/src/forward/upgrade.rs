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
use mk8s_net::{
    Body,
    link::{LinkBody, SendError, Traffic},
};

use crate::{
    decide::Permitted,
    error::ForwardError,
    forward::replay::{ATTEMPTS, link, renew},
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
    /// The other side switched.
    Switched(Switched),
    /// It did not: an answer like any other, and no success.
    Answered(Response<Body>),
}

/// An upgrade that was agreed on: the headers go into our 101, and then bytes both ways.
pub(crate) struct Switched {
    pub(crate) headers: HeaderMap,
    pub(crate) protocol: HeaderValue,
    pub(crate) upstream: OnUpgrade,
    /// Keeps the stream counted.
    pub(crate) held: Option<LinkBody>,
}

impl Upgraded {
    /// Takes an answer for what it is.
    fn answered(response: Response<Body>) -> Result<Self, ForwardError> {
        // A success that isn't a switch is nothing that either side could go on from.
        if response.status().is_success() {
            return Err(ForwardError::NotUpgraded(response.status()));
        }
        Ok(Self::Answered(response))
    }

    /// The same, unless it is a 401 that can only be about us.
    pub(crate) fn or_refused(self, refuses_us: bool) -> Result<Self, ForwardError> {
        match self {
            Self::Answered(response) if refuses_us && response.status() == StatusCode::UNAUTHORIZED => {
                Err(ForwardError::Credentials)
            }
            upgraded => Ok(upgraded),
        }
    }
}

/// Asks the upstream to switch protocols.
///
/// # Errors
/// [`ForwardError`] if there was no answer, or one that can't be passed on.
pub(crate) async fn send_upgrade(permitted: Permitted<OutboundUpgrade>) -> Result<Upgraded, ForwardError> {
    let OutboundUpgrade {
        upstream,
        mut head,
        protocol,
    } = permitted.into_inner();
    // SPDY asks with a POST of no content; on an extended CONNECT, a length of 0 would forbid the very bytes to follow.
    head.headers.remove(header::CONTENT_LENGTH);
    match &upstream {
        Upstream::Direct(direct) => over_http1(direct, head, protocol).await,
        Upstream::Agent(_) => over_connect(&upstream, head, protocol).await,
    }
}

async fn over_http1(
    direct: &Direct,
    mut head: Head,
    protocol: HeaderValue,
) -> Result<Upgraded, ForwardError> {
    let mut response = ask_over_http1(direct, &head, &protocol).await?;
    if response.status() == StatusCode::UNAUTHORIZED && renew(direct, &mut head) {
        response = ask_over_http1(direct, &head, &protocol).await?;
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Upgraded::answered(response.map(Body::from_http1));
    }
    // A 101 without a word to what, or to something else, isn't what the client asked for (RFC 9110, 15.2.2).
    let agreed = response.headers_mut().remove(header::UPGRADE);
    let protocol = agreed
        .filter(|agreed| agreed.as_bytes().eq_ignore_ascii_case(protocol.as_bytes()))
        .ok_or(ForwardError::SwitchedElsewhere)?;
    let upstream = hyper::upgrade::on(&mut response);
    let headers = std::mem::take(response.headers_mut());
    Ok(Upgraded::Switched(Switched {
        headers,
        protocol,
        upstream,
        held: None,
    }))
}

async fn ask_over_http1(
    direct: &Direct,
    head: &Head,
    protocol: &HeaderValue,
) -> Result<Response<Incoming>, ForwardError> {
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
    let mut request = Request::new(Empty::new());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head
        .uri
        .path_and_query()
        .map_or_else(|| head.uri.clone(), |path| path.clone().into());
    let headers = request.headers_mut();
    headers.clone_from(&head.headers);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, protocol.clone());
    let host = HeaderValue::from_str(direct.authority().as_str()).map_err(http::Error::from)?;
    headers.insert(header::HOST, host);
    sender
        .send_request(request)
        .await
        .map_err(|e| ForwardError::Broken(e.into()))
}

async fn over_connect(
    upstream: &Upstream,
    mut head: Head,
    protocol: HeaderValue,
) -> Result<Upgraded, ForwardError> {
    let method = HeaderValue::from_str(head.method.as_str()).map_err(http::Error::from)?;
    head.headers.insert(METHOD_HEADER.clone(), method);
    let name = protocol.to_str().map_err(|_| ForwardError::SwitchedElsewhere)?;
    let mut last = ForwardError::Unprocessed;
    for _ in 0..ATTEMPTS {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        request.extensions_mut().insert(Protocol::from(name));
        let mut response = match link(upstream, Traffic::Bulk)
            .await?
            .send_as(Traffic::Bulk, request)
            .await
        {
            Ok(response) => response,
            Err(SendError::Unprocessed(_)) => continue,
            Err(SendError::Broken(error)) => {
                last = ForwardError::Broken(error.into());
                break;
            }
        };
        if response.status() != StatusCode::OK {
            return Upgraded::answered(response.map(Body::boxed));
        }
        let upstream = hyper::upgrade::on(&mut response);
        let headers = std::mem::take(response.headers_mut());
        let held = Some(response.into_body());
        return Ok(Upgraded::Switched(Switched {
            headers,
            protocol,
            upstream,
            held,
        }));
    }
    Err(last)
}
