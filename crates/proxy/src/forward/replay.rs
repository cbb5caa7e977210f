//! One request, sent at most a few times: again only where the first try can't have been acted on, or acting twice
//! changes nothing.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use mk8s_net::{
    Body, BoxError,
    link::{Link, LinkBody, SendError, Traffic},
};

use crate::{
    decide::Permitted,
    error::ForwardError,
    rewrite::Head,
    upstream::{Direct, Upstream},
};

/// Tries in all.
pub(super) const ATTEMPTS: usize = 4;
/// The largest body kept for another try, in bytes.
const REPLAY_BYTES: u64 = 64 * 1024;
/// How long a client may take to send such a body: as long as the API server would wait for it.
const SMALL_BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A request on its way out.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) upstream: Upstream,
    pub(crate) head: Head,
    pub(crate) body: OutboundBody,
    pub(crate) traffic: Traffic,
}

/// Its body.
#[derive(Debug)]
pub(crate) enum OutboundBody {
    /// Small and whole: can be sent again.
    Whole(Whole),
    /// Passing through: can be sent once.
    Streamed(Body),
}

/// A body that is there, trailers included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whole {
    bytes: Bytes,
    trailers: Option<HeaderMap>,
}

impl OutboundBody {
    /// Reads a body that is announced to be small, so that it can be sent again; leaves any other a stream.
    ///
    /// # Errors
    /// If the client's body breaks off, or takes longer than a minute.
    pub(crate) async fn prepare(body: Body) -> Result<Self, BoxError> {
        if http_body::Body::is_end_stream(&body) {
            return Ok(Self::Whole(Whole::default()));
        }
        match http_body::Body::size_hint(&body).exact() {
            Some(size) if size <= REPLAY_BYTES => {
                let collected = tokio::time::timeout(SMALL_BODY_TIMEOUT, body.collect())
                    .await
                    .map_err(|_| format!("it was not there within {} s", SMALL_BODY_TIMEOUT.as_secs()))??;
                let trailers = collected.trailers().cloned();
                Ok(Self::Whole(Whole {
                    bytes: collected.to_bytes(),
                    trailers,
                }))
            }
            _ => Ok(Self::Streamed(body)),
        }
    }
}

impl OutboundBody {
    /// All of it, if it is there.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(whole) => Some(&whole.bytes),
            Self::Streamed(_) => None,
        }
    }
}

impl Whole {
    fn again(&self) -> Body {
        match self.trailers.clone() {
            None => Body::full(self.bytes.clone()),
            Some(trailers) => {
                Body::boxed(Full::new(self.bytes.clone()).with_trailers(async { Some(Ok(trailers)) }))
            }
        }
    }
}

/// Sends it and waits for the head of the answer.
///
/// # Errors
/// [`ForwardError`], after the tries that were safe.
pub(crate) async fn send(permitted: Permitted<Outbound>) -> Result<Response<LinkBody>, ForwardError> {
    let Outbound {
        upstream,
        mut head,
        body,
        traffic,
    } = permitted.into_inner();
    let body = match body {
        OutboundBody::Whole(body) => body,
        OutboundBody::Streamed(body) => return send_once(&upstream, head, body, traffic).await,
    };
    let mut last = ForwardError::Unprocessed;
    for _ in 0..ATTEMPTS {
        match link(&upstream, traffic)
            .await?
            .send_as(traffic, request(&head, body.again()))
            .await
        {
            Ok(response) if is_unauthorized(&response) && renew_for(&upstream, &mut head) => {}
            Ok(response) => return Ok(response),
            Err(SendError::Unprocessed(_)) => last = ForwardError::Unprocessed,
            Err(SendError::Broken(error)) => {
                last = ForwardError::Broken(error.into());
                if !head.method.is_safe() {
                    break;
                }
            }
        }
    }
    Err(last)
}

async fn send_once(
    upstream: &Upstream,
    mut head: Head,
    body: Body,
    traffic: Traffic,
) -> Result<Response<LinkBody>, ForwardError> {
    match link(upstream, traffic)
        .await?
        .send_as(traffic, request(&head, body))
        .await
    {
        // Who isn't known isn't heard: the client may send it again, and then it has the new token.
        Ok(response) if is_unauthorized(&response) && renew_for(upstream, &mut head) => {
            Err(ForwardError::Unprocessed)
        }
        Ok(response) => Ok(response),
        Err(SendError::Unprocessed(_)) => Err(ForwardError::Unprocessed),
        Err(SendError::Broken(error)) => Err(ForwardError::Broken(error.into())),
    }
}

/// An open link towards the upstream.
pub(super) async fn link(upstream: &Upstream, traffic: Traffic) -> Result<Link, ForwardError> {
    match upstream {
        Upstream::Direct(direct) => direct.link(traffic).await.map_err(ForwardError::Connect),
        Upstream::Agent(links) => links
            .pick(traffic)
            .ok_or_else(|| ForwardError::Connect("the agent's connections are gone".into())),
    }
}

fn request(head: &Head, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = head.headers.clone();
    request
}

fn is_unauthorized<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
}

fn renew_for(upstream: &Upstream, head: &mut Head) -> bool {
    match upstream {
        Upstream::Direct(direct) => renew(direct, head),
        Upstream::Agent(_) => false,
    }
}

/// Takes a token that was renewed since the request's head was made. Returns whether there is one.
pub(super) fn renew(direct: &Direct, head: &mut Head) -> bool {
    let renewed = direct
        .credentials()
        .renewed(head.headers.get(header::AUTHORIZATION));
    let is_renewed = renewed.is_some();
    if let Some(authorization) = renewed {
        head.headers.insert(header::AUTHORIZATION, authorization);
    }
    is_renewed
}
