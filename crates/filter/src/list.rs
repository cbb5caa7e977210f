//! Lists, narrowed.

use std::sync::Arc;

use http::{Request, Response};
use mk8s_lists::Failure;
use mk8s_model::Verb;
use mk8s_net::{Body, status::Status};

use crate::{
    Ask, Scoped,
    asked::Asked,
    page::Page,
    seal::{Seal, is_sealed},
    upstream::{Compression, Upstream, answer},
};

/// Lists what of a resource the caller may see. The request is a GET of the API server's own path, with the client's query
/// and its `Accept`; the answer is streamed. Failures are answers too.
pub async fn list(ask: Arc<dyn Ask>, scoped: &Scoped, seal: &Seal, request: Request<Body>) -> Response<Body> {
    match begin(ask, scoped, seal, request).await {
        Ok(response) => response,
        Err(why) => why.into_response(),
    }
}

async fn begin(
    ask: Arc<dyn Ask>,
    scoped: &Scoped,
    seal: &Seal,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let taken = Compression::taken(request.headers());
    let asked = Asked::read(request, Verb::List)?;
    let upstream = Upstream::new(ask, asked.kind());
    if let Some(namespaces) = scoped.scope.namespaces() {
        let page = Page::begin(upstream, asked, namespaces.clone(), seal.clone()).await?;
        return Ok(page.into_response());
    }
    // One of a page that was narrowed by namespaces, from before the scope changed.
    if asked.value("continue").is_some_and(|token| is_sealed(&token)) {
        return Err(expired().into());
    }
    let changes: Vec<_> = asked.narrowed(&scoped.scope).into_iter().collect();
    let (headers, compression, body) = upstream.ask_for(taken, "list", asked.request(&changes)?).await?;
    let mut response = answer(&headers, body);
    compression.tell(response.headers_mut());
    Ok(response)
}

/// A `continue` that isn't one, or not of this list.
pub(crate) fn expired() -> Status {
    Status::expired("the continue parameter is not of a list that you may see; list anew")
}
