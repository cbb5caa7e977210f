//! What a client asks for, read so that the API server can't read it otherwise.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use mk8s_lists::{Change, Failure, Template, TooLong, accept};
use mk8s_model::{KubeRequest, ResourceRequest, Verb};
use mk8s_net::{Body, status::Status};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{Scope, upstream::NAME};

/// The query parameters that go upstream; whatever else a client sends stays here.
/// Source: `k8s.io/apimachinery/pkg/apis/meta/v1/types.go`, `ListOptions`, `GetOptions`, `TableOptions`.
const KNOWN: [&str; 13] = [
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "includeObject",
    "labelSelector",
    "limit",
    "pretty",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeout",
    "timeoutSeconds",
    "watch",
];
/// Of lists and watches; they mean nothing for one object.
const OF_LISTS: [&str; 9] = [
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const PARTIAL_LIST: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");

/// A client's request for a resource.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    /// That of the path.
    pub(crate) namespace: Option<String>,
    /// That of the path.
    pub(crate) name: Option<String>,
    template: Template,
}

impl Asked {
    /// Reads a request that is expected to be of this verb.
    ///
    /// # Errors
    /// 400 if it is of another, or could be read in two ways; 405 for another method than GET; 406 if the client takes no
    /// form that we can read.
    pub(crate) fn read(request: Request<Body>, verb: Verb) -> Result<Self, Failure> {
        let (parts, _) = request.into_parts();
        if parts.method != Method::GET {
            return Err(Status::method_not_allowed(format!("{NAME} answers GET alone here")).into());
        }
        let uri = normal(&parts.uri)?;
        let classified = KubeRequest::classify(&Method::GET, &uri);
        let resource = match classified.map_err(|why| Status::bad_request(why.to_string()))? {
            KubeRequest::Resource(resource) if resource.subresource.is_none() && resource.verb == verb => {
                resource
            }
            _ => return Err(Status::bad_request(format!("this is no {verb} of a resource")).into()),
        };
        let ResourceRequest {
            group,
            resource,
            namespace,
            name,
            ..
        } = resource;
        let asked = Self {
            path: uri.path().to_owned(),
            group: group.into_owned(),
            resource: resource.into_owned(),
            namespace: namespace.map(Into::into),
            name: name.map(Into::into),
            template: Template::new(&uri, passed_on(&parts.headers)?),
        };
        // The old form of it has "watch" in its path, where it would stay in whatever else we ask for.
        if verb == Verb::Watch && !asked.flag("watch") {
            return Err(Status::bad_request("ask for the list with watch=true in the query").into());
        }
        Ok(asked)
    }

    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.template.value(key)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.template.flag(key)
    }

    /// The resource as messages name it: `pods`, `deployments.apps`.
    pub(crate) fn kind(&self) -> String {
        if self.group.is_empty() {
            self.resource.clone()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }

    /// The change that narrows the client's own label selector to a scope; none if all can be seen.
    pub(crate) fn narrowed(&self, scope: &Scope) -> Option<Change<'static>> {
        let selector = scope.selector()?;
        let client = self.value("labelSelector");
        Some(("labelSelector", Some(selector.and(client.as_deref()))))
    }

    /// The request to the API server.
    ///
    /// # Errors
    /// 400, if it gets too long for a URI.
    pub(crate) fn request(&self, changes: &[Change<'_>]) -> Result<Request<Body>, Failure> {
        self.template
            .request(changes)
            .map_err(|why: TooLong| Status::bad_request(why.to_string()).into())
    }

    /// The request for one object, by its name.
    pub(crate) fn object(&self) -> Result<Request<Body>, Failure> {
        self.request(&OF_LISTS.map(|key| (key, None)))
    }

    /// The request for the metadata alone of objects in the list at `path`.
    pub(crate) fn metadata(&self, path: &str, changes: &[Change<'_>]) -> Result<Request<Body>, Failure> {
        let mut request = self.request(changes)?;
        let query = request.uri().query().unwrap_or_default();
        *request.uri_mut() = format!("{path}?{query}")
            .parse()
            .map_err(|_| Status::bad_request("the path can't be read"))?;
        request.headers_mut().insert(header::ACCEPT, PARTIAL_LIST);
        Ok(request)
    }
}

/// The same path, with the parameters that we know, each encoded in one way.
fn normal(uri: &Uri) -> Result<Uri, Failure> {
    let mut target = uri.path().to_owned();
    let mut separator = '?';
    let mut seen: Vec<&str> = Vec::new();
    let pairs = uri.query().unwrap_or_default().split('&');
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decoded(key)?;
        let value = decoded(value)?;
        let Some(known) = KNOWN.into_iter().find(|known| *known == key) else {
            continue;
        };
        if seen.contains(&known) {
            return Err(Status::bad_request(format!("{known} is in the query twice; give it once")).into());
        }
        seen.push(known);
        // Writing to memory can't fail.
        let _ = write!(
            target,
            "{separator}{known}={}",
            utf8_percent_encode(&value, NON_ALPHANUMERIC)
        );
        separator = '&';
    }
    target
        .parse()
        .map_err(|_| Status::bad_request("the request's path and query can't be read").into())
}

fn decoded(text: &str) -> Result<String, Failure> {
    let unreadable =
        || Status::bad_request("the query can't be read: its encoding is broken, or it has a \";\" in it");
    let bytes = text.as_bytes();
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    let is_broken = bytes
        .iter()
        .enumerate()
        .any(|(at, b)| *b == b'%' && !bytes.get(at + 1..at + 3).is_some_and(is_hex));
    // Servers of different ages split at it, or leave the pair out.
    if is_broken || text.contains(';') {
        return Err(unreadable().into());
    }
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    Ok(decoded.map_err(|_| unreadable())?.into_owned())
}

/// The headers that go upstream.
fn passed_on(client: &HeaderMap) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, accepted(client)?);
    for name in [header::USER_AGENT, AUDIT_ID] {
        if let Some(value) = client.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    Ok(headers)
}

fn accepted(client: &HeaderMap) -> Result<HeaderValue, Failure> {
    let mut kept = accept::json_ranges(client);
    kept.retain(|range| is_readable(range));
    if kept.is_empty() {
        return Err(Status::not_acceptable(format!(
            "{NAME} answers in JSON alone, plain, as Table or as PartialObjectMetadata: accept application/json as well"
        ))
        .into());
    }
    // Made of what was header text before.
    HeaderValue::from_str(&kept.join(","))
        .map_err(|_| Status::bad_request("the Accept header can't be read").into())
}

/// Whether a range of JSON is of a form in which we find an object's namespace.
fn is_readable(range: &str) -> bool {
    let (mut form, mut group, mut version) = (None, None, None);
    for parameter in range.split(';').skip(1) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let place = match key.trim() {
            "as" => &mut form,
            "g" => &mut group,
            "v" => &mut version,
            "q" | "charset" | "pretty" | "stream" => continue,
            _ => return false,
        };
        if place.replace(value.trim()).is_some() {
            return false;
        }
    }
    matches!(
        (form, group, version),
        (None, None, None)
            | (Some("Table"), Some("meta.k8s.io"), Some("v1" | "v1beta1"))
            | (
                Some("PartialObjectMetadata" | "PartialObjectMetadataList"),
                Some("meta.k8s.io"),
                Some("v1")
            )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, verb: Verb) -> Result<Asked, Failure> {
        Asked::read(Request::get(uri).body(Body::empty()).expect("request"), verb)
    }

    fn accept(value: &str) -> Result<String, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, value.parse().expect("value"));
        let accepted = accepted(&headers).map_err(|why| why.code().as_u16())?;
        Ok(accepted.to_str().expect("text").to_owned())
    }

    #[test]
    fn only_forms_that_can_be_read_are_asked_for() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let old = "application/json;as=Table;v=v1beta1;g=meta.k8s.io";
        let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        let kubectl = format!("{table},{old},application/json");
        for (given, expected) in [
            (kubectl.as_str(), kubectl.as_str()),
            (partial, partial),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                "application/json",
            ),
            ("application/cbor, */*;q=0.1", "application/json"),
            ("application/json;stream=watch", "application/json;stream=watch"),
            (
                "application/json;as=Table;v=v2;g=meta.k8s.io,application/json;q=0.5",
                "application/json;q=0.5",
            ),
        ] {
            assert_eq!(accept(given).as_deref(), Ok(expected), "{given}");
        }
        for given in [
            "application/vnd.kubernetes.protobuf",
            "application/cbor",
            "application/yaml",
            "application/json;as=Table",
            "application/json;as=Table;v=v1;g=other",
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1",
            "application/json;as=Table;as=Other;v=v1;g=meta.k8s.io",
            "application/json;as=Other;v=v1;g=meta.k8s.io",
            "application/json;profile=nope",
        ] {
            assert_eq!(accept(given), Err(406), "{given}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for uri in [
            "/api/v1/pods?labelSelector=a&labelSelector=b",
            "/api/v1/pods?labelSelector=a&label%53elector=b",
            "/api/v1/pods?limit=1&limit=2",
            "/api/v1/pods?a;labelSelector=b",
            "/api/v1/pods?labelSelector=a;b",
            "/api/v1/pods?labelSelector=%zz",
            "/api/v1/pods?labelSelector=%ff",
            "/api/v1/x/../pods",
            "/api/v1/pods?watch=1",
            "/api/v1/watch/pods",
            "/api/v1/namespaces/x/pods/y",
            "/api/v1/namespaces/x/pods/y/log",
            "/version",
        ] {
            let refused = read(uri, Verb::List).expect_err("refused");
            assert_eq!(refused.code(), 400, "{uri}");
        }
        assert_eq!(
            read("/api/v1/watch/pods", Verb::Watch)
                .expect_err("old form")
                .code(),
            400
        );
        let request = Request::post("/api/v1/pods")
            .body(Body::empty())
            .expect("request");
        assert_eq!(Asked::read(request, Verb::List).expect_err("POST").code(), 405);
    }

    #[test]
    fn what_goes_upstream_is_what_we_know() {
        let request = Request::get("/api/v1/pods?shard=1&labelSelector=a+in+%28b%29&&pretty&limit=5")
            .header("user-agent", "kubectl")
            .header("audit-id", "7")
            .header("accept-encoding", "gzip")
            .header("authorization", "Bearer x")
            .header("impersonate-user", "x")
            .body(Body::empty())
            .expect("request");
        let asked = Asked::read(request, Verb::List).expect("a list");
        assert_eq!(asked.value("labelSelector").as_deref(), Some("a in (b)"));
        let request = asked
            .request(&[("limit", Some("500".to_owned()))])
            .expect("request");
        assert_eq!(
            request.uri(),
            "/api/v1/pods?labelSelector=a%20in%20%28b%29&pretty=&limit=500"
        );
        let mut headers: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        headers.sort_unstable();
        assert_eq!(headers, ["accept", "audit-id", "user-agent"]);
    }
}
