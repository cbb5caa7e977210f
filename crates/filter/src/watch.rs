//! Watches, narrowed.

use std::sync::Arc;

use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use mk8s_lists::{Failure, write_error};
use mk8s_model::Verb;
use mk8s_net::{Body, BoxError, gather::Gathered, status::Status};
use tokio::sync::watch::Receiver;

use crate::{
    Ask, Scoped,
    asked::Asked,
    live::Live,
    upstream::{Upstream, answer},
};

/// Watches what of a resource the caller may see, also when that changes. The request is a GET of the API server's own path,
/// with `watch=true` in the client's query, and its `Accept`. The answer begins when the API server's has; failures up to
/// then are answers too.
///
/// The watch ends when the API server's does, and when nobody holds the sender of `scoped` any more: what the caller may see
/// isn't known then. Whoever lets go of the answer lets go of the API server's.
pub async fn watch(ask: Arc<dyn Ask>, scoped: Receiver<Scoped>, request: Request<Body>) -> Response<Body> {
    match begin(ask, scoped, request).await {
        Ok(response) => response,
        Err(why) => why.into_response(),
    }
}

async fn begin(
    ask: Arc<dyn Ask>,
    mut scoped: Receiver<Scoped>,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let asked = Asked::read(request, Verb::Watch)?;
    let first = scoped.borrow_and_update().clone();
    if begins_before(&asked, first.since) {
        // As API servers say it: the answer is a watch, of one event.
        let mut event = Vec::new();
        write_error(&expired().to_json(), &mut event);
        return Ok(answer(&http::HeaderMap::new(), Body::full(event)));
    }
    let upstream = Upstream::new(ask, asked.kind());
    let (headers, live) = Live::begin(upstream, asked, scoped, first.scope).await?;
    let body = stream::try_unfold(live, async |mut live| {
        let more = live.next().await?;
        Ok::<_, BoxError>(more.map(|more| (Frame::data(more), live)))
    });
    let body = Gathered::new(StreamBody::new(Box::pin(body)));
    Ok(answer(&headers, Body::boxed(body)))
}

/// Whether the watch goes on from a state that another scope has made. One that is sent its state anew doesn't go on from
/// any.
fn begins_before(asked: &Asked, since: u64) -> bool {
    let version = asked.value("resourceVersion").unwrap_or_default();
    let version = version.parse::<u64>().unwrap_or_default();
    version > 0 && version < since && !asked.flag("sendInitialEvents")
}

/// Why a watch can't go on, or not from there: what the caller may see has changed.
pub(crate) fn expired() -> Status {
    Status::expired(
        "what you may see has changed since that resource version; list anew, and watch from there",
    )
}
