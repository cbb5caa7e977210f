//! One request, sent at most a few times: again only where the first try can't have been acted on, or acting twice
//! changes nothing.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use mk8s_net::{
    Body, BoxError,
    link::{Link, LinkBody, SendError},
};

use crate::{
    decide::Permitted,
    error::ForwardError,
    rewrite::Head,
    upstream::Upstream,
};

/// Tries in all.
const ATTEMPTS: usize = 4;
/// The largest body kept for another try, in bytes.
const REPLAY_BYTES: u64 = 64 * 1024;

/// A request on its way out.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) upstream: Upstream,
    pub(crate) head: Head,
    pub(crate) body: OutboundBody,
}

/// Its body.
#[derive(Debug)]
pub(crate) enum OutboundBody {
    /// Small and whole: can be sent again.
    Whole(Bytes),
    /// Passing through: can be sent once.
    Streamed(Body),
}

impl OutboundBody {
    /// Reads a body that is announced to be small, so that it can be sent again; leaves any other a stream.
    ///
    /// # Errors
    /// If the client's body breaks off.
    pub(crate) async fn prepare(body: Body) -> Result<Self, BoxError> {
        if http_body::Body::is_end_stream(&body) {
            return Ok(Self::Whole(Bytes::new()));
        }
        match http_body::Body::size_hint(&body).exact() {
            Some(size) if size <= REPLAY_BYTES => Ok(Self::Whole(body.collect().await?.to_bytes())),
            _ => Ok(Self::Streamed(body)),
        }
    }
}

/// Sends it and waits for the head of the answer.
///
/// # Errors
/// [`ForwardError`], after the tries that were safe.
pub(crate) async fn send(permitted: Permitted<Outbound>) -> Result<Response<LinkBody>, ForwardError> {
    let Outbound { upstream, mut head, body } = permitted.into_inner();
    let body = match body {
        OutboundBody::Whole(bytes) => bytes,
        OutboundBody::Streamed(body) => return send_once(&upstream, request(&head, body)?).await,
    };
    let is_safe = head.method.is_safe();
    let mut tried_new_token = false;
    for _ in 0..ATTEMPTS {
        let mut link = link(&upstream).await?;
        match link.send(request(&head, Body::full(body.clone()))?).await {
            Ok(response) => {
                if response.status() == StatusCode::UNAUTHORIZED && !tried_new_token && renew(&upstream, &mut head) {
                    tried_new_token = true;
                    continue;
                }
                return Ok(response);
            }
            Err(SendError::Unprocessed(_)) => {}
            Err(SendError::Broken(_)) if is_safe => {}
            Err(SendError::Broken(error)) => return Err(ForwardError::Broken(error.into())),
        }
    }
    Err(ForwardError::Unprocessed)
}

async fn send_once(upstream: &Upstream, request: Request<Body>) -> Result<Response<LinkBody>, ForwardError> {
    link(upstream).await?.send(request).await.map_err(|error| match error {
        SendError::Unprocessed(_) => ForwardError::Unprocessed,
        SendError::Broken(error) => ForwardError::Broken(error.into()),
    })
}

/// An open link towards the upstream.
pub(super) async fn link(upstream: &Upstream) -> Result<Link, ForwardError> {
    match upstream {
        Upstream::Direct(direct) => direct.link().await.map_err(ForwardError::Connect),
        Upstream::Agent(links) => {
            links.pick().ok_or_else(|| ForwardError::Connect("the agent's connections are gone".into()))
        }
    }
}

fn request(head: &Head, body: Body) -> Result<Request<Body>, ForwardError> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = head.headers.clone();
    Ok(request)
}

/// Takes a token that was renewed meanwhile. Returns whether there is one.
fn renew(upstream: &Upstream, head: &mut Head) -> bool {
    let Upstream::Direct(direct) = upstream else { return false };
    if !direct.credentials().refresh() {
        return false;
    }
    match direct.credentials().authorization() {
        Some(authorization) => {
            head.headers.insert(http::header::AUTHORIZATION, authorization);
            true
        }
        None => false,
    }
}
