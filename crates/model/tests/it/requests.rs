//! A request that we accept is read as the API server reads it, and can be read in no other way.

use http::{Method, Uri};
use mk8s_model::{KubeRequest, ResourceRequest};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::reference::{self, RequestInfo};

const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
];

/// What paths are made of: words that mean something, and everything that could be read in two ways.
fn piece() -> impl Strategy<Value = String> {
    let words = vec![
        "api",
        "apis",
        "v1",
        "apps",
        "namespaces",
        "pods",
        "nodes",
        "services",
        "watch",
        "proxy",
        "exec",
        "log",
        "status",
        "finalize",
        "attach",
        "portforward",
        "ephemeralcontainers",
        "name",
        "a.b",
        "~",
        "..",
        ".",
        "...",
        "",
        "%2e",
        "%2E%2e",
        "%2f",
        "%2F..%2F",
        "%5c",
        "\\",
        "%",
        "%2",
        "%zz",
        "%00",
        "%0d%0a",
        "%ff",
        "%c3%a9",
        "a%2Fb",
        "%61pi",
        "n%61mespaces",
        "%25",
        "%252f",
        ";",
        "a;b",
        "%3f",
        "+",
        "%20",
        "exec%2f",
        "%70roxy",
    ];
    prop_oneof![8 => select(words).prop_map(str::to_owned), 1 => "[ -~]{0,6}"]
}

fn path() -> impl Strategy<Value = String> {
    let start = select(vec![
        "/",
        "/api/v1/",
        "/apis/apps/v1/",
        "/api/v1/namespaces/n/",
        "//",
        "/api/v1/watch/",
        "",
    ]);
    let end = select(vec!["", "", "", "/", "//"]);
    (start, vec(piece(), 0..8), end)
        .prop_map(|(start, pieces, end)| format!("{start}{}{end}", pieces.join("/")))
}

fn query() -> impl Strategy<Value = String> {
    let pair = select(vec![
        "watch=1",
        "watch",
        "watch=",
        "watch=true",
        "watch=0",
        "watch=FALSE",
        "watch=%ff",
        "watch=%zz",
        "watch=%31",
        "w%61tch=1",
        "watch%=1",
        "watch=1;a=2",
        ";",
        "watch=+0",
        "Watch=1",
        "follow=true",
        "fieldSelector=a%3Db",
        "%",
        "limit=500",
        "",
        "=",
        "watch=f%61lse",
    ]);
    vec(pair, 0..4).prop_map(|pairs| pairs.join("&"))
}

fn request() -> impl Strategy<Value = (Method, Uri)> {
    (select(METHODS.to_vec()), path(), query()).prop_filter_map("a URI", |(method, path, query)| {
        let text = if query.is_empty() {
            path
        } else {
            format!("{path}?{query}")
        };
        Some((method.parse().ok()?, text.parse().ok()?))
    })
}

/// The same in the reference's words. The object's name is left out where only the field selector gives it.
fn in_go(request: &KubeRequest<'_>) -> RequestInfo {
    match request {
        KubeRequest::NonResource { verb, path } => RequestInfo {
            verb: verb.as_ref().to_owned(),
            path: path.as_ref().to_owned(),
            ..RequestInfo::default()
        },
        KubeRequest::Resource(r) => {
            let ResourceRequest {
                verb,
                group,
                version,
                resource,
                subresource,
                namespace,
                name,
            } = r;
            let named = !matches!(verb.as_str(), "list" | "watch");
            RequestInfo {
                is_resource_request: true,
                verb: verb.as_str().to_owned(),
                group: group.as_ref().to_owned(),
                version: version.as_ref().to_owned(),
                namespace: namespace.as_deref().unwrap_or_default().to_owned(),
                resource: resource.as_ref().to_owned(),
                subresource: subresource.as_deref().unwrap_or_default().to_owned(),
                name: name.as_deref().filter(|_| named).unwrap_or_default().to_owned(),
                path: String::new(),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_is_what_the_api_server_makes_of_it((method, uri) in request()) {
        let Ok(ours) = KubeRequest::classify(&method, &uri) else { return Ok(()) };
        let path = reference::unescape(uri.path(), false).expect("a path that Go can decode");
        let path = String::from_utf8(path).expect("a path in UTF-8");
        let theirs = reference::request_info(method.as_str(), &path, uri.query().unwrap_or_default());
        let mut theirs = theirs.expect("a request that the API server understands");
        if theirs.is_resource_request {
            theirs.path.clear();
            if matches!(theirs.verb.as_str(), "list" | "watch") {
                theirs.name.clear();
            }
        }
        prop_assert_eq!(in_go(&ours), theirs);
    }

    #[test]
    fn decoding_before_splitting_gives_the_same_segments((method, uri) in request()) {
        let Ok(ours) = KubeRequest::classify(&method, &uri) else { return Ok(()) };
        let split_first: Vec<Vec<u8>> =
            uri.path().split('/').map(|s| reference::unescape(s, false).expect("decodable")).collect();
        let decoded = reference::unescape(uri.path(), false).expect("decodable");
        let decoded_first: Vec<Vec<u8>> = decoded.split(|b| *b == b'/').map(<[u8]>::to_vec).collect();
        // Behind a `proxy` comes the workload's own path, which Kubernetes does not interpret.
        let meant = match &ours {
            KubeRequest::Resource(r) if r.interactive() == Some(mk8s_model::Interactive::Proxy) => {
                let at = split_first.iter().position(|s| s == b"proxy").expect("the word proxy");
                // `/api/v1/proxy/pods/p/…` has its object behind the word, `…/pods/p/proxy/…` before it.
                if r.verb == mk8s_model::Verb::Proxy { at + 2 } else { at }
            }
            _ => split_first.len().max(decoded_first.len()),
        };
        let upto = |segments: &[Vec<u8>]| segments.iter().take(meant).cloned().collect::<Vec<_>>();
        prop_assert_eq!(upto(&split_first), upto(&decoded_first));
    }

    #[test]
    fn what_is_accepted_never_climbs_nor_ends_a_line((method, uri) in request()) {
        if KubeRequest::classify(&method, &uri).is_err() {
            return Ok(());
        }
        let decoded = reference::unescape(uri.path(), false).expect("decodable");
        prop_assert!(!decoded.iter().any(u8::is_ascii_control), "{:?}", uri);
        prop_assert!(!decoded.split(|b| matches!(b, b'/' | b'\\')).any(|s| s == b".."), "{:?}", uri);
    }

    #[test]
    fn no_bytes_make_it_panic(method in "[A-Z]{1,10}", bytes in vec(any::<u8>(), 0..200)) {
        let (Ok(method), Ok(uri)) = (method.parse::<Method>(), Uri::try_from(bytes.as_slice())) else {
            return Ok(());
        };
        if let Ok(request) = KubeRequest::classify(&method, &uri) {
            let _ = (request.verb(), request.is_long_running(uri.query()));
        }
    }
}

/// Rows that a reading of our own once got wrong.
#[test]
fn a_watch_flag_that_go_reads_otherwise_is_read_as_go_reads_it() {
    let rows = [
        // Not UTF-8: still a value, and not "false".
        ("/api/v1/pods?watch=%ff", "watch"),
        // Broken encoding: the pair is dropped.
        ("/api/v1/pods?watch=%zz", "list"),
        ("/api/v1/pods?watch=%zz&watch=1", "watch"),
        ("/api/v1/pods?watch=1;watch=1", "list"),
        ("/api/v1/pods?watch=%30", "list"),
    ];
    for (uri, verb) in rows {
        let uri: Uri = uri.parse().expect("a URI");
        let request = KubeRequest::classify(&Method::GET, &uri).expect("accepted");
        assert_eq!(request.verb(), verb, "{uri}");
        let theirs = reference::request_info("GET", uri.path(), uri.query().unwrap_or_default());
        assert_eq!(theirs.expect("understood").verb, verb, "{uri}");
    }
}

#[test]
fn a_stream_without_an_end_of_its_own_is_known() {
    let rows = [
        ("GET", "/api/v1/pods?watch=true", true),
        ("GET", "/api/v1/watch/pods", true),
        ("GET", "/api/v1/namespaces/n/pods/p/log?follow=true", true),
        ("GET", "/api/v1/namespaces/n/pods/p/log?follow=false", false),
        ("GET", "/api/v1/namespaces/n/pods/p/log", false),
        ("POST", "/api/v1/namespaces/n/pods/p/exec?command=ls", true),
        ("GET", "/api/v1/namespaces/n/services/s/proxy/stream", true),
        ("GET", "/api/v1/pods", false),
        ("GET", "/version?watch=true", false),
    ];
    for (method, uri, expected) in rows {
        let (method, uri): (Method, Uri) = (method.parse().expect("a method"), uri.parse().expect("a URI"));
        let request = KubeRequest::classify(&method, &uri).expect("accepted");
        assert_eq!(request.is_long_running(uri.query()), expected, "{uri}");
    }
}
