//! The client's request, from which those to API servers are made.

use std::fmt::Write as _;

use http::{HeaderMap, Method, Request, Uri, uri::PathAndQuery};
use mk8s_model::query;
use mk8s_net::Body;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What needs no encoding in a query (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// What the client asked for.
#[derive(Debug)]
pub struct Template {
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

/// A query parameter with its new value; `None` takes it out.
pub type Change<'a> = (&'a str, Option<String>);

/// With its changes, the request's target is longer than a URI may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request is too long for a URI; ask for less at once")]
pub struct TooLong;

impl Template {
    /// Requests with this path and query, and these headers.
    pub fn new(uri: &Uri, headers: HeaderMap) -> Self {
        Self {
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            headers,
        }
    }

    /// A parameter's value; `None` if it isn't there, or isn't text.
    pub fn value(&self, key: &str) -> Option<String> {
        String::from_utf8(query::value(self.query.as_deref(), key)?).ok()
    }

    /// Whether a parameter is set, as Kubernetes reads booleans.
    pub fn flag(&self, key: &str) -> bool {
        query::flag(self.query.as_deref(), key)
    }

    /// The same request with other parameters.
    ///
    /// # Errors
    /// [`TooLong`], if it gets too long for a URI.
    pub fn request(&self, changes: &[Change<'_>]) -> Result<Request<Body>, TooLong> {
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
        let target: PathAndQuery = target.parse().map_err(|_| TooLong)?;
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
        let uri = Uri::from_static("/api/v1/pods?labelSelector=a%3Db&l%69mit=5&limit=6&x&continue=");
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", http::HeaderValue::from_static("kubectl"));
        let template = Template::new(&uri, headers);
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
        let plain = Template::new(&Uri::from_static("/api/v1/pods"), HeaderMap::new());
        assert_eq!(plain.request(&[]).expect("request").uri(), "/api/v1/pods");
        let long = template.request(&[("x", Some("y".repeat(1 << 16)))]);
        assert_eq!(long.err(), Some(TooLong));
    }
}
