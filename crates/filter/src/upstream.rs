//! The API server, as one that asks in our own name.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use mk8s_lists::{Failure, Refusal, Unfit, head, readable};
use mk8s_net::{Body, status::Status};
use serde_json::json;

use crate::Ask;

/// How messages name the program that asks.
pub(crate) const NAME: &str = "mk8s-apiserver";
const SERVER: &str = "the API server";

const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// How an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
}

impl Compression {
    /// What a client takes (RFC 9110, 12.5.3). One that weighs gzip against something else gets neither.
    pub(crate) fn taken(headers: &HeaderMap) -> Self {
        let takes = headers
            .get_all(header::ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|coding| coding.trim().eq_ignore_ascii_case("gzip"));
        if takes { Self::Gzip } else { Self::None }
    }

    /// Says so in an answer.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        if self == Self::Gzip {
            headers.insert(header::CONTENT_ENCODING, GZIP);
            headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
    }
}

/// Who is asked, and for what.
#[derive(Clone)]
pub(crate) struct Upstream {
    ask: Arc<dyn Ask>,
    /// The resource as messages name it.
    kind: String,
}

impl Upstream {
    pub(crate) fn new(ask: Arc<dyn Ask>, kind: String) -> Self {
        Self { ask, kind }
    }

    /// The same for an answer that is passed on unread: it may be compressed if the client takes that. Compressing it is what
    /// API servers do best, and an answer of megabytes has two more ways to go.
    ///
    /// # Errors
    /// As [`Upstream::ask`].
    pub(crate) async fn ask_for(
        &self,
        client: Compression,
        verb: &str,
        mut request: Request<Body>,
    ) -> Result<(HeaderMap, Compression, Body), Failure> {
        if client == Compression::Gzip {
            request.headers_mut().insert(header::ACCEPT_ENCODING, GZIP);
        }
        let mut response = self.ask.ask(request).await;
        let is_gzip = client == Compression::Gzip
            && response.status() == StatusCode::OK
            && response.headers().get(header::CONTENT_ENCODING) == Some(&GZIP);
        if is_gzip {
            // Known now; what is left has to be JSON all the same.
            response.headers_mut().remove(header::CONTENT_ENCODING);
        }
        let (headers, body) = self.read(verb, response).await?;
        let compression = if is_gzip {
            Compression::Gzip
        } else {
            Compression::None
        };
        Ok((headers, compression, body))
    }

    /// The head and body of an answer that says yes, in JSON. `verb` is Kubernetes' word for what is asked.
    ///
    /// # Errors
    /// What the API server said instead; 502 if that can't be read. 401 and 403 are about us, and become 503 and 500.
    pub(crate) async fn ask(&self, verb: &str, request: Request<Body>) -> Result<(HeaderMap, Body), Failure> {
        let response = self.ask.ask(request).await;
        self.read(verb, response).await
    }

    async fn read(&self, verb: &str, response: Response<Body>) -> Result<(HeaderMap, Body), Failure> {
        match readable(response) {
            Ok(answer) => Ok(answer),
            Err(Unfit::Refused(response)) => Err(self.refused(verb, *response).await),
            Err(Unfit::NotJson) => Err(unreadable(&"it is not plain JSON, which was asked for")),
        }
    }

    async fn refused(&self, verb: &str, response: Response<Body>) -> Failure {
        let refusal = Refusal::read(response).await;
        if !refusal.is_failure() {
            return unreadable(&format!("{} is neither an answer nor a failure", refusal.code));
        }
        let kind = &self.kind;
        match refusal.code {
            StatusCode::UNAUTHORIZED => Status::unavailable(
                format!(
                    "{SERVER} doesn't know {NAME}, which may therefore not {verb} {kind}: see to its ServiceAccount's token"
                ),
                5,
            )
            .into(),
            StatusCode::FORBIDDEN => Status::internal(format!(
                "{NAME} itself may not {verb} {kind}: give its ServiceAccount a role with that right"
            ))
            .into(),
            code => {
                let retry_after = refusal.retry_after.clone();
                let (mut status, _) = refusal.into_status(SERVER);
                // A `continue` in there is the server's own, and names an object.
                if let Some(members) = status.as_object_mut() {
                    members.insert("metadata".to_owned(), json!({}));
                }
                Failure::new(code, &status, retry_after)
            }
        }
    }
}

/// What can't be read of an answer.
pub(crate) fn unreadable(why: &dyn std::fmt::Display) -> Failure {
    Status::bad_gateway(format!("{SERVER}'s answer can't be read: {why}")).into()
}

/// An answer of ours, with the warnings that came along with the API server's.
pub(crate) fn answer(upstream: &HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    head(response.headers_mut());
    for warning in upstream.get_all(header::WARNING) {
        response.headers_mut().append(header::WARNING, warning.clone());
    }
    response
}
