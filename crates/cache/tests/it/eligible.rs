//! Which requests may be answered from what is kept.

use http::Method;

use crate::support::{Answer, Client, SETTINGS, settle};

#[tokio::test(start_paused = true)]
async fn plain_gets_of_resources_are_kept() {
    let client = Client::new(SETTINGS).with(&[("connection", "keep-alive"), ("user-agent", "test")]);
    for path in [
        "/api/v1/pods",
        "/api/v1/namespaces/x/pods",
        "/api/v1/namespaces/x/pods/p",
        "/api/v1/namespaces/x/pods/p/status",
        "/apis/apps/v1/namespaces/x/deployments/d/scale",
        "/api/v1/namespaces/x",
        "/api/v1/nodes?labelSelector=a%3Db&fieldSelector=metadata.name%3Dn",
        "/apis/example.org/v1/namespaces/x/widgets?pretty=true",
        "/apis/metrics.k8s.io/v1beta1/nodes",
    ] {
        assert!(!client.hits(path).await, "{path}");
        assert!(client.hits(path).await, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_secret_partial_endless_or_no_resource_is_never_kept() {
    let client = Client::new(SETTINGS);
    for path in [
        "/api/v1/secrets",
        "/api/v1/namespaces/x/secrets",
        "/api/v1/namespaces/x/secrets/s",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/x",
        "/apis/oauth.openshift.io/v1/oauthaccesstokens",
        "/api/v1/pods?watch=true",
        "/api/v1/watch/pods",
        "/api/v1/pods?limit=5",
        "/api/v1/pods?continue=x",
        "/api/v1/pods?resourceVersion=0",
        "/api/v1/pods?%72esourceVersion=0",
        "/api/v1/pods?resourceVersion=7&resourceVersionMatch=Exact",
        "/api/v1/namespaces/x/pods/p/log",
        "/api/v1/namespaces/x/pods/p/exec?command=ls",
        "/api/v1/namespaces/x/pods/p/portforward",
        "/api/v1/namespaces/x/services/s/proxy/status",
        "/api/v1/proxy/nodes/n",
        "/api/v1/nodes/n/proxy/metrics",
        "/api/v1/namespaces/x/pods/p/anything",
        "/version",
        "/api/v1",
        "/apis",
        "/openapi/v3",
        "/healthz",
        "/api/v1/namespaces/../pods",
        "/api/v1//pods",
    ] {
        client.get(path).await;
        assert!(!client.hits(path).await, "{path}");
    }
    let counters = client.cache.counters();
    assert_eq!((counters.hits, counters.misses, counters.entries), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn conditional_requests_and_those_that_speak_of_caching_pass() {
    let client = Client::new(SETTINGS);
    let path = "/api/v1/namespaces/x/pods/p";
    client.get(path).await;
    for header in [
        ("cache-control", "no-cache"),
        ("cache-control", "no-store"),
        ("cache-control", "max-age=0"),
        ("pragma", "no-cache"),
        ("if-none-match", "\"x\""),
        ("if-match", "\"x\""),
        ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("range", "bytes=0-1"),
        ("if-range", "\"x\""),
        ("origin", "https://example.org"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", "x"),
        ("connection", "close, Accept"),
    ] {
        let asked = client.api.asked();
        let other = client.with(&[header]);
        assert!(!other.hits(path).await && !other.hits(path).await, "{header:?}");
        assert_eq!(client.api.asked(), asked + 2, "{header:?}");
    }
    assert!(client.hits(path).await, "none of them took anything away");
}

#[tokio::test(start_paused = true)]
async fn other_methods_are_never_answered_from_what_is_kept() {
    let client = Client::new(SETTINGS);
    let path = "/api/v1/namespaces/x/pods/p";
    for method in [
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ] {
        client.get(path).await;
        for _ in 0..2 {
            let answer = Answer::read(client.ask(method.clone(), path).await).await;
            assert!(!answer.is_hit(), "{method}");
            settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_age_or_no_room_keeps_nothing() {
    let mut never = SETTINGS;
    never.max_age = std::time::Duration::ZERO;
    let mut nowhere = SETTINGS;
    nowhere.max_bytes = 0;
    let mut empty = SETTINGS;
    empty.max_entry_bytes = 0;
    for settings in [never, nowhere, empty] {
        let client = Client::new(settings);
        for _ in 0..2 {
            assert!(!client.hits("/api/v1/pods").await, "{settings:?}");
        }
        assert!(client.api.watches().is_empty());
    }
}
