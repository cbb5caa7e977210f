//! API servers by their URLs, and who we are to them.

use std::sync::Arc;

use mk8s_net::Body;
use mk8s_proxy::{Direct, credentials::Credentials, upstream::Naming};
use mk8s_testkit::Pki;

use crate::support::{ApiServer, Gateway, HTTP1, HTTP2, Options, answer, body_text, get, handler};

#[test]
fn a_url_that_is_no_api_server_is_refused_with_what_is_wrong() {
    let pki = Pki::new();
    let rows = [
        ("http://10.0.0.1:8080", "only https"),
        ("/api", "names no host"),
        ("10.0.0.1:6443", "only https"),
        ("https://", "can't be parsed"),
        ("https://a b", "can't be parsed"),
        ("", "can't be parsed"),
        ("unix:///run/api.sock", ""),
    ];
    for (url, said) in rows {
        let tls = |alpn: &[u8]| pki.client(&[alpn]);
        let (http2, http1, counters) = (tls(HTTP2), tls(HTTP1), Arc::default());
        let refused = Direct::new(
            url,
            http2,
            http1,
            Credentials::None,
            Naming::Impersonate,
            counters,
        );
        let error = refused.expect_err(url).to_string();
        assert!(error.contains(url) && error.contains(said), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_server_below_a_path_is_asked_there() {
    let api = ApiServer::start(answer("ok")).await;
    for base in ["/clusters/c1", "/clusters/c1/"] {
        let gateway = Gateway::at(&format!("{}{base}", api.url()), &api.pki, Options::default()).await;
        body_text(
            gateway
                .client(HTTP2)
                .await
                .send(get("/api/v1/pods?limit=1"))
                .await,
        )
        .await;
    }
    for seen in api.seen() {
        assert_eq!(
            seen.uri.path_and_query().expect("a path"),
            "/clusters/c1/api/v1/pods?limit=1"
        );
    }
}

#[tokio::test]
async fn a_server_that_knows_us_as_the_caller_is_told_no_names() {
    let api = ApiServer::start(answer("ok")).await;
    let gateway = Gateway::with(
        &api,
        Options {
            naming: Naming::AsSelf,
            ..Options::default()
        },
    )
    .await;
    body_text(gateway.client(HTTP1).await.send(get("/api/v1/pods")).await).await;
    let seen = api.only();
    assert_eq!(
        (seen.header("impersonate-user"), seen.header("impersonate-group")),
        (None, None)
    );
    assert_eq!(seen.header("authorization"), Some("Bearer the-gateways-own"));
    assert_eq!(
        gateway.log.only().await.0.user,
        "jane@example.com",
        "the event says who it was all the same"
    );
}

#[tokio::test]
async fn a_server_that_knows_us_by_certificate_is_sent_no_token() {
    let api = ApiServer::start(answer("ok")).await;
    let gateway = Gateway::with(
        &api,
        Options {
            credentials: Credentials::None,
            ..Options::default()
        },
    )
    .await;
    let mut asked = get("/api/v1/pods");
    asked.headers_mut().insert(
        "authorization",
        "Bearer the-clients-own".parse().expect("a value"),
    );
    body_text(gateway.client(HTTP2).await.send(asked).await).await;
    assert_eq!(api.only().header("authorization"), None);
}

#[tokio::test]
async fn a_program_asks_in_its_own_name() {
    let api = ApiServer::start(handler(|request| async move {
        assert_eq!(request.headers().get("impersonate-user"), None);
        http::Response::new(Body::full(request.uri().path().to_owned()))
    }))
    .await;
    let tls = |alpn: &[u8]| api.pki.client(&[alpn]);
    let credentials = Options::default().credentials;
    let (http2, http1, counters) = (tls(HTTP2), tls(HTTP1), Arc::default());
    let direct = Direct::new(
        &api.url(),
        http2,
        http1,
        credentials,
        Naming::Impersonate,
        counters,
    )
    .expect("a server");
    let asked = http::Request::get("/version")
        .body(Body::empty())
        .expect("a request");
    let response = direct.ask_as_self(asked).await.expect("an answer");
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(body, "/version");
    assert_eq!(
        api.only().header("authorization"),
        Some("Bearer the-gateways-own")
    );
}
