//! What is asked: an HTTP method and URI, read as the API server reads them.
//!
//! Source: `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`. Where that code looks at the percent-decoded path,
//! so do we; where a path could be read in two ways (`..`, an encoded slash, an empty segment) it is refused, because a
//! decision on one reading must never let the other through.

mod path;
pub mod query;

use std::{borrow::Cow, fmt};

use self::{
    path::{Segments, decode},
    query::{flag, value},
};
use http::{Method, Uri};

/// Go's `net/url` reads at most this many query parameters (`urlmaxqueryparams`).
const MAX_PARAMETERS: usize = 10_000;

/// A request to a Kubernetes API. Borrows from the URI it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubeRequest<'a> {
    /// `/api/{version}/…` or `/apis/{group}/{version}/…` down to a resource.
    Resource(ResourceRequest<'a>),
    /// Anything else: discovery, `/version`, `/metrics`, …
    NonResource {
        /// The HTTP method in lower case, which is what Kubernetes takes as the verb here.
        verb: Cow<'a, str>,
        /// The percent-decoded path.
        path: Cow<'a, str>,
    },
}

/// A request for a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRequest<'a> {
    /// What is to be done.
    pub verb: Verb,
    /// The API group; empty for the core group.
    pub group: Cow<'a, str>,
    /// The API version.
    pub version: Cow<'a, str>,
    /// The resource, plural: `pods`.
    pub resource: Cow<'a, str>,
    /// The subresource: `log`, `exec`, `status`, …
    pub subresource: Option<Cow<'a, str>>,
    /// The namespace; for a request about a namespace itself, that namespace.
    pub namespace: Option<Cow<'a, str>>,
    /// The object's name.
    pub name: Option<Cow<'a, str>>,
}

/// Kubernetes' verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "Kubernetes' own words")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// The deprecated `/api/v1/proxy/…` prefix.
    Proxy,
}

/// Subresources that open a way into a workload. They are known by name, never by HTTP method: `exec` over WebSocket is
/// a GET (kubernetes#133515).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interactive {
    /// `pods/exec`, and `pods/ephemeralcontainers`, which runs a program in the pod just as well.
    Exec,
    /// `pods/attach`.
    Attach,
    /// `pods/portforward`.
    PortForward,
    /// `pods/proxy`, `services/proxy`, `nodes/proxy`.
    Proxy,
}

/// Why a method and URI can't be decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// `.` or `..`, plain or encoded.
    #[error("the path has a \".\" or \"..\" segment; give the path without it")]
    DotSegment,
    /// The target is `*` or an authority.
    #[error("the request names no path; paths begin with a slash")]
    NoPath,
    /// `//` before the end.
    #[error("the path has an empty segment (\"//\")")]
    EmptySegment,
    /// `%2F` or `%5C`, or a backslash, where the API server would see a separator.
    #[error("the path has an encoded slash or a backslash, which the API server would read as another path")]
    EncodedSlash,
    /// A control character, plain or encoded.
    #[error("the path has a control character in it")]
    ControlCharacter,
    /// The path is not UTF-8 after percent-decoding, or its encoding is broken.
    #[error("the path's percent-encoding is broken or not UTF-8")]
    BadEncoding,
    /// A method that Kubernetes gives no meaning to.
    #[error("Kubernetes gives this HTTP method no meaning here; use GET, HEAD, POST, PUT, PATCH or DELETE")]
    Method,
    /// More query parameters than the API server reads: it takes none of them then.
    #[error("the query has more than {MAX_PARAMETERS} parameters")]
    TooManyParameters,
    /// `/api/v1/watch` or `/api/v1/proxy` with nothing behind it.
    #[error("the path ends after \"watch\" or \"proxy\"; name a resource")]
    NoResource,
}

impl Verb {
    /// Kubernetes' word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Proxy => "proxy",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Interactive {
    /// The verb by which roles grant it.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::PortForward => "portforward",
            Self::Proxy => "proxy",
        }
    }
}

impl<'a> KubeRequest<'a> {
    /// Reads a method and a URI whose path is the API server's own (no gateway prefix).
    ///
    /// # Errors
    /// [`InvalidRequest`] if the API server could read the path differently, or the method means nothing there.
    pub fn classify(method: &Method, uri: &'a Uri) -> Result<Self, InvalidRequest> {
        let path = uri.path();
        let segments = Segments::read(path)?;
        if uri
            .query()
            .is_some_and(|query| query.bytes().filter(|b| *b == b'&').count() >= MAX_PARAMETERS)
        {
            return Err(InvalidRequest::TooManyParameters);
        }
        let Some((first, rest)) = segments.kept.split_first() else {
            segments.refuse_odd_before(usize::MAX)?;
            return non_resource(method, path);
        };
        let (group, rest) = match (first.as_ref(), rest) {
            ("api", rest) if rest.len() >= 2 => (Cow::Borrowed(""), rest),
            ("apis", [group, rest @ ..]) if rest.len() >= 2 => (group.clone(), rest),
            _ => {
                segments.refuse_odd_before(usize::MAX)?;
                return non_resource(method, path);
            }
        };
        let [version, rest @ ..] = rest else {
            return non_resource(method, path);
        };
        resource(method, uri, group, version.clone(), rest, &segments).map(Self::Resource)
    }

    /// Kubernetes' verb, or the HTTP method in lower case.
    pub fn verb(&self) -> &str {
        match self {
            Self::Resource(r) => r.verb.as_str(),
            Self::NonResource { verb, .. } => verb,
        }
    }

    /// Whether the answer is a stream with no end of its own: a watch, a followed log, an interactive session.
    pub fn is_long_running(&self, query: Option<&str>) -> bool {
        match self {
            Self::NonResource { .. } => false,
            Self::Resource(r) => {
                r.verb == Verb::Watch
                    || r.interactive().is_some()
                    || (r.subresource.as_deref() == Some("log") && flag(query, "follow"))
            }
        }
    }
}

impl ResourceRequest<'_> {
    /// The way into a workload that this request opens, if it opens one.
    pub fn interactive(&self) -> Option<Interactive> {
        if self.verb == Verb::Proxy {
            return Some(Interactive::Proxy);
        }
        match self.subresource.as_deref()? {
            "exec" => Some(Interactive::Exec),
            "ephemeralcontainers" if !matches!(self.verb, Verb::Get | Verb::List | Verb::Watch) => {
                Some(Interactive::Exec)
            }
            "attach" => Some(Interactive::Attach),
            "portforward" => Some(Interactive::PortForward),
            "proxy" => Some(Interactive::Proxy),
            _ => None,
        }
    }

    /// `pods` or `pods/log`.
    pub fn resource_path(&self) -> Cow<'_, str> {
        match &self.subresource {
            None => Cow::Borrowed(&self.resource),
            Some(sub) => Cow::Owned(format!("{}/{sub}", self.resource)),
        }
    }
}

fn non_resource<'a>(method: &Method, path: &'a str) -> Result<KubeRequest<'a>, InvalidRequest> {
    // Neither asks for anything: one makes a tunnel, the other sends the head, credentials included, back.
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(InvalidRequest::Method);
    }
    let decoded = decode(path)?;
    Ok(KubeRequest::NonResource {
        verb: lower(method),
        path: decoded,
    })
}

fn resource<'a>(
    method: &Method,
    uri: &Uri,
    group: Cow<'a, str>,
    version: Cow<'a, str>,
    parts: &[Cow<'a, str>],
    segments: &Segments<'a>,
) -> Result<ResourceRequest<'a>, InvalidRequest> {
    let (mut verb, mut parts) = match parts {
        [special] if special == "watch" || special == "proxy" => return Err(InvalidRequest::NoResource),
        [special, rest @ ..] if special == "watch" => (Verb::Watch, rest),
        [special, rest @ ..] if special == "proxy" => (Verb::Proxy, rest),
        parts => (verb_of(method)?, parts),
    };
    let mut namespace = None;
    if let [first, name, rest @ ..] = parts
        && first == "namespaces"
    {
        namespace = Some(name.clone());
        // `status` and `finalize` belong to the namespace itself; anything else is a resource within it.
        if rest
            .first()
            .is_some_and(|next| next != "status" && next != "finalize")
        {
            parts = rest;
        }
    }
    let subresource = if verb == Verb::Proxy {
        None
    } else {
        parts.get(2).cloned()
    };
    // Behind `…/proxy/` comes the workload's own path, where Kubernetes interprets nothing; up to there all is plain.
    let workload_path = match subresource.as_deref() {
        Some("proxy") => segments.kept.len() - parts.len() + 3,
        _ if verb == Verb::Proxy => segments.kept.len() - parts.len() + 2,
        _ => usize::MAX,
    };
    segments.refuse_odd_before(workload_path)?;
    let mut name = parts.get(1).cloned();
    let resource = parts.first().cloned().ok_or(InvalidRequest::NoResource)?;
    if name.is_none() {
        match verb {
            Verb::Get => {
                verb = if flag(uri.query(), "watch") {
                    Verb::Watch
                } else {
                    Verb::List
                };
                name = selected_name(uri.query()).map(Cow::Owned);
            }
            Verb::Delete => verb = Verb::DeleteCollection,
            _ => {}
        }
    }
    Ok(ResourceRequest {
        verb,
        group,
        version,
        resource,
        subresource,
        namespace,
        name,
    })
}

fn verb_of(method: &Method) -> Result<Verb, InvalidRequest> {
    Ok(match *method {
        Method::GET | Method::HEAD => Verb::Get,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        _ => return Err(InvalidRequest::Method),
    })
}

fn lower<'a>(method: &Method) -> Cow<'a, str> {
    Cow::Borrowed(match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => return Cow::Owned(method.as_str().to_ascii_lowercase()),
    })
}

/// The name in `fieldSelector=metadata.name=NAME`, for the audit row.
fn selected_name(query: Option<&str>) -> Option<String> {
    let selector = String::from_utf8(value(query, "fieldSelector")?).ok()?;
    selector.split(',').find_map(|term| {
        let value = term.strip_prefix("metadata.name=")?;
        let value = value.strip_prefix('=').unwrap_or(value);
        (!value.is_empty() && !value.contains(['/', '%'])).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(method: &str, uri: &str) -> Result<String, InvalidRequest> {
        let method: Method = method.parse().expect("method");
        let uri: Uri = uri.parse().expect("uri");
        KubeRequest::classify(&method, &uri).map(|r| match r {
            KubeRequest::NonResource { verb, path } => format!("{verb} {path}"),
            KubeRequest::Resource(r) => format!(
                "{} {}/{} {} ns={} name={}",
                r.verb,
                r.group,
                r.version,
                r.resource_path(),
                r.namespace.as_deref().unwrap_or("-"),
                r.name.as_deref().unwrap_or("-"),
            ),
        })
    }

    /// Rows of `requestinfo_test.go`'s kind: method, URI, what the API server makes of it.
    #[test]
    fn requests_are_read_as_the_api_server_reads_them() {
        let rows = [
            ("GET", "/", "get /"),
            ("GET", "/version", "get /version"),
            ("GET", "/api", "get /api"),
            ("GET", "/api/v1", "get /api/v1"),
            ("GET", "/api/v1/", "get /api/v1/"),
            ("GET", "/apis/apps/v1", "get /apis/apps/v1"),
            ("POST", "/openapi/v3", "post /openapi/v3"),
            ("GET", "/api/v1/namespaces", "list /v1 namespaces ns=- name=-"),
            (
                "GET",
                "/api/v1/namespaces/other",
                "get /v1 namespaces ns=other name=other",
            ),
            (
                "PUT",
                "/api/v1/namespaces/other/finalize",
                "update /v1 namespaces/finalize ns=other name=other",
            ),
            (
                "GET",
                "/api/v1/namespaces/other/pods",
                "list /v1 pods ns=other name=-",
            ),
            (
                "GET",
                "/api/v1/namespaces/other/pods/foo",
                "get /v1 pods ns=other name=foo",
            ),
            (
                "HEAD",
                "/api/v1/namespaces/other/pods/foo",
                "get /v1 pods ns=other name=foo",
            ),
            ("GET", "/api/v1/pods", "list /v1 pods ns=- name=-"),
            (
                "POST",
                "/api/v1/namespaces/other/pods",
                "create /v1 pods ns=other name=-",
            ),
            (
                "DELETE",
                "/api/v1/namespaces/other/pods/foo",
                "delete /v1 pods ns=other name=foo",
            ),
            (
                "DELETE",
                "/api/v1/namespaces/other/pods",
                "deletecollection /v1 pods ns=other name=-",
            ),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/o/deployments/d/scale",
                "patch apps/v1 deployments/scale ns=o name=d",
            ),
            ("GET", "/api/v1/watch/pods", "watch /v1 pods ns=- name=-"),
            (
                "GET",
                "/api/v1/watch/namespaces/other/pods",
                "watch /v1 pods ns=other name=-",
            ),
            ("GET", "/api/v1/pods?watch=1", "watch /v1 pods ns=- name=-"),
            ("GET", "/api/v1/pods?watch=", "watch /v1 pods ns=- name=-"),
            ("GET", "/api/v1/pods?watch", "watch /v1 pods ns=- name=-"),
            ("GET", "/api/v1/pods?w%61tch=TRUE", "watch /v1 pods ns=- name=-"),
            (
                "GET",
                "/api/v1/pods?watch=False&watch=1",
                "list /v1 pods ns=- name=-",
            ),
            ("GET", "/api/v1/pods?watch=0", "list /v1 pods ns=- name=-"),
            (
                "GET",
                "/api/v1/pods?fieldSelector=metadata.name%3Dx",
                "list /v1 pods ns=- name=x",
            ),
            (
                "GET",
                "/api/v1/namespaces/o/pods/p/exec?command=ls",
                "get /v1 pods/exec ns=o name=p",
            ),
            (
                "GET",
                "/api/v1/proxy/namespaces/o/pods/p/x",
                "proxy /v1 pods ns=o name=p",
            ),
            (
                "GET",
                "/api/v1/nodes/n/proxy/logs/..x/",
                "get /v1 nodes/proxy ns=- name=n",
            ),
            (
                "GET",
                "/api/v1/namespaces/o/services/https:s:/proxy/a%2Fb//c",
                "get /v1 services/proxy ns=o name=https:s:",
            ),
        ];
        for (method, uri, expected) in rows {
            assert_eq!(classify(method, uri).as_deref(), Ok(expected), "{method} {uri}");
        }
    }

    #[test]
    fn paths_that_can_be_read_twice_are_refused() {
        use InvalidRequest::*;
        let rows = [
            ("/api/v1/namespaces/a/../b/pods", DotSegment),
            ("/api/v1/namespaces/a/%2e%2E/pods", DotSegment),
            ("/api/v1/./pods", DotSegment),
            ("/api/v1/namespaces/o/services/s/proxy/..%2fx", DotSegment),
            ("/api/v1/namespaces/o/services/s/proxy/../x", DotSegment),
            ("/api/v1/namespaces/a%2Fpods", EncodedSlash),
            ("/api/v1/namespaces/a%5cpods", EncodedSlash),
            ("/api/v1/namespaces/o/pods/p%2Fexec", EncodedSlash),
            ("/apis/apps/v1/namespaces/o/deployments/p%2Fscale", EncodedSlash),
            ("/api/v1/namespaces/o/pods/p%2Fexec/proxy", EncodedSlash),
            ("/api/v1/namespaces/o/pods//proxy/x", EmptySegment),
            ("//api/v1/pods", EmptySegment),
            ("/api//v1/pods", EmptySegment),
            ("/api/v1/namespaces//pods", EmptySegment),
            ("/api/v1/pods%0d%0aX", ControlCharacter),
            ("/api/v1/pods/%00", ControlCharacter),
            ("/api/v1/pods/%ff", BadEncoding),
            ("/api/v1/pods/%2", BadEncoding),
            ("/api/v1/watch", NoResource),
        ];
        for (uri, expected) in rows {
            assert_eq!(classify("GET", uri), Err(expected), "{uri}");
        }
        assert_eq!(classify("TRACE", "/api/v1/pods"), Err(Method));
        assert_eq!(classify("CONNECT", "/api/v1/pods"), Err(Method));
        assert_eq!(classify("CONNECT", "/version"), Err(Method));
        assert_eq!(classify("TRACE", "/version"), Err(Method));
        let many = format!("/api/v1/pods?{}watch=1", "a&".repeat(10_000));
        assert_eq!(classify("GET", &many), Err(TooManyParameters));
    }

    #[test]
    fn interactive_subresources_are_known_whatever_the_method() {
        for method in ["GET", "POST"] {
            for (sub, expected) in [
                ("exec", "exec"),
                ("attach", "attach"),
                ("portforward", "portforward"),
                ("proxy/x", "proxy"),
            ] {
                let uri: Uri = format!("/api/v1/namespaces/o/pods/p/{sub}").parse().expect("uri");
                let method: http::Method = method.parse().expect("method");
                let KubeRequest::Resource(r) = KubeRequest::classify(&method, &uri).expect("classified")
                else {
                    panic!("a resource");
                };
                assert_eq!(r.interactive().map(Interactive::verb), Some(expected));
            }
        }
    }

    #[test]
    fn adding_an_ephemeral_container_counts_as_exec() {
        let uri: Uri = "/api/v1/namespaces/o/pods/p/ephemeralcontainers"
            .parse()
            .expect("uri");
        let KubeRequest::Resource(r) = KubeRequest::classify(&Method::PATCH, &uri).expect("classified")
        else {
            panic!("a resource");
        };
        assert_eq!(r.interactive(), Some(Interactive::Exec));
    }
}
