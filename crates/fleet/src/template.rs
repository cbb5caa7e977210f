//! The client's request, from which those to the clusters are made.

use std::fmt::Write as _;

use http::{
    HeaderMap, HeaderName, Method, Request, Uri,
    header::{self, HeaderValue},
    uri::PathAndQuery,
};
use mk8s_model::query;
use mk8s_net::{Body, status::Status};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{accept, failure::Failure};

/// What needs no encoding in a query (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// What is about one answer's form and length, and not about ours.
const NOT_PASSED_ON: [HeaderName; 9] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
];

/// What the client asked for.
#[derive(Debug)]
pub(crate) struct Template {
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

/// A query parameter with its new value; `None` takes it out.
pub(crate) type Change<'a> = (&'a str, Option<String>);

impl Template {
    /// # Errors
    /// 406, if the client takes no JSON.
    pub(crate) fn new(request: Request<Body>) -> Result<Self, Failure> {
        let (parts, _) = request.into_parts();
        let accept = accept::narrow(&parts.headers)?;
        let mut headers = parts.headers;
        for name in &NOT_PASSED_ON {
            headers.remove(name);
        }
        headers.insert(header::ACCEPT, accept);
        // A list read while it comes can't be unpacked.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Ok(Self {
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers,
        })
    }

    /// A parameter's value; `None` if it isn't there, or isn't text.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        String::from_utf8(query::value(self.query.as_deref(), key)?).ok()
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        query::flag(self.query.as_deref(), key)
    }

    /// The same request with other parameters.
    ///
    /// # Errors
    /// 400, if it gets too long for a URI.
    pub(crate) fn request(&self, changes: &[Change<'_>]) -> Result<Request<Body>, Failure> {
        let kept = self.query.as_deref().unwrap_or_default().split('&');
        let kept = kept.filter(|pair| !pair.is_empty() && !changes.iter().any(|(key, _)| is_of(pair, key)));
        let mut target = self.path.clone();
        let mut separator = '?';
        for pair in kept {
            target.push(separator);
            target.push_str(pair);
            separator = '&';
        }
        for (key, value) in changes {
            if let Some(value) = value {
                // Writing to memory can't fail.
                let _ = write!(target, "{separator}{key}={}", utf8_percent_encode(value, ENCODED));
                separator = '&';
            }
        }
        let target: PathAndQuery = target
            .parse()
            .map_err(|_| Status::bad_request("the request is too long once it is for one cluster"))?;
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = Uri::from(target);
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}

/// Whether a pair of the query is of this key, however it is encoded.
fn is_of(pair: &str, key: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    percent_decode_str(&name.replace('+', " ")).eq(key.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_replaced_however_they_are_written() {
        let request = Request::get("/api/v1/pods?labelSelector=a%3Db&l%69mit=5&limit=6&x&continue=")
            .header("accept-encoding", "gzip")
            .header("user-agent", "kubectl")
            .body(Body::empty())
            .expect("request");
        let template = Template::new(request).expect("JSON");
        assert_eq!(template.value("limit").as_deref(), Some("5"));
        let asked = template
            .request(&[
                ("limit", Some("2".to_owned())),
                ("continue", Some("a/b=~".to_owned())),
            ])
            .expect("request");
        assert_eq!(
            asked.uri(),
            "/api/v1/pods?labelSelector=a%3Db&x&limit=2&continue=a%2Fb%3D~"
        );
        assert_eq!(asked.headers()["accept"], "application/json");
        assert_eq!(asked.headers()["accept-encoding"], "identity");
        assert_eq!(asked.headers()["user-agent"], "kubectl");
        let bare = template
            .request(&[
                ("limit", None),
                ("x", None),
                ("labelSelector", None),
                ("continue", None),
            ])
            .expect("request");
        assert_eq!(bare.uri(), "/api/v1/pods");
        let request = Request::get("/api/v1/pods").body(Body::empty()).expect("request");
        let plain = Template::new(request).expect("JSON");
        assert_eq!(plain.request(&[]).expect("request").uri(), "/api/v1/pods");
    }
}
