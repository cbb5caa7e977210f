//! Who may not, and what can't be routed.

use http::Method;
use mk8s_model::Outcome;
use mk8s_net::Body;

use crate::support::{ApiServer, Gateway, HTTP1, HTTP2, answer, get, request, status_json};

#[tokio::test]
async fn a_denial_is_a_status_that_names_the_reason_and_nothing_is_sent() {
    for alpn in [HTTP1, HTTP2] {
        let api = ApiServer::start(answer("never")).await;
        let gateway = Gateway::before(&api).await;
        gateway.policy.deny(&["delete"]);
        let asked = request(
            Method::DELETE,
            "/apis/apps/v1/namespaces/n/deployments/web",
            Body::empty(),
        );
        let response = gateway.client(alpn).await.send(asked).await;
        assert_eq!(response.status(), 403);
        let status = status_json(response).await;
        assert_eq!(status["reason"], "Forbidden");
        assert_eq!(status["message"], "the test denies the verb \"delete\"");
        let details = serde_json::json!({"kind": "deployments", "group": "apps", "name": "web"});
        assert_eq!(status["details"], details);
        let (open, close) = gateway.log.only().await;
        assert_eq!(
            open.denied.as_deref(),
            Some("the test denies the verb \"delete\"")
        );
        assert_eq!((open.rule, open.policy_version), (None, 2));
        assert_eq!((close.status, close.outcome), (403, Outcome::Refused));
        assert_eq!(api.connections(), 0);
    }
}

#[tokio::test]
async fn exec_is_decided_as_exec_whatever_the_method() {
    let api = ApiServer::start(answer("never")).await;
    let gateway = Gateway::before(&api).await;
    gateway.policy.deny(&["exec"]);
    for method in [Method::GET, Method::POST] {
        let asked = request(
            method,
            "/api/v1/namespaces/n/pods/p/exec?command=sh",
            Body::empty(),
        );
        assert_eq!(gateway.client(HTTP1).await.send(asked).await.status(), 403);
    }
    let patch = request(
        Method::PATCH,
        "/api/v1/namespaces/n/pods/p/ephemeralcontainers",
        Body::empty(),
    );
    assert_eq!(gateway.client(HTTP1).await.send(patch).await.status(), 403);
    assert_eq!(api.connections(), 0);
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused_and_written_down() {
    let api = ApiServer::start(answer("never")).await;
    let gateway = Gateway::before(&api).await;
    let paths = [
        "/api/v1/namespaces/a/../b/secrets",
        "/api/v1/namespaces/a/%2e%2e/b/secrets",
        "/api/v1/namespaces/a%2Fsecrets",
        "/api/v1//secrets",
        "/api/v1/pods%0d%0aX:%20y",
        "/api/v1/pods/%ff",
    ];
    for path in paths {
        let response = gateway.client(HTTP1).await.send(get(path)).await;
        assert_eq!(response.status(), 400, "{path}");
        assert_eq!(status_json(response).await["reason"], "BadRequest");
    }
    let events = gateway.log.closed(paths.len()).await;
    for ((open, close), path) in events.iter().zip(paths) {
        assert_eq!((open.uri.as_ref(), close.outcome), (path, Outcome::Refused));
    }
    assert_eq!(api.connections(), 0);
}

#[tokio::test]
async fn an_unknown_cluster_is_not_found_and_named() {
    let api = ApiServer::start(answer("never")).await;
    let gateway = Gateway::before(&api).await;
    let mut asked = get("/api/v1/pods");
    asked
        .headers_mut()
        .insert("x-test-cluster", "nowhere".parse().expect("a value"));
    let response = gateway.client(HTTP2).await.send(asked).await;
    assert_eq!(response.status(), 404);
    let status = status_json(response).await;
    assert!(
        status["message"].as_str().expect("text").contains("nowhere"),
        "{status}"
    );
    assert_eq!(gateway.log.only().await.1.outcome, Outcome::Refused);
}

#[tokio::test]
async fn a_disconnected_cluster_is_named_and_to_be_tried_again() {
    let api = ApiServer::start(answer("never")).await;
    let gateway = Gateway::before(&api).await;
    for method in [Method::GET, Method::POST] {
        let mut asked = request(method, "/api/v1/pods", Body::empty());
        asked
            .headers_mut()
            .insert("x-test-cluster", "away".parse().expect("a value"));
        let response = gateway.client(HTTP2).await.send(asked).await;
        assert_eq!(response.status(), 503);
        assert!(
            response.headers()["retry-after"]
                .to_str()
                .expect("text")
                .parse::<u32>()
                .expect("seconds")
                > 0
        );
        let status = status_json(response).await;
        let message = status["message"].as_str().expect("text");
        assert!(message.contains("cluster away is disconnected") && message.contains("2026-01-02T03:04:05Z"));
        assert!(
            status["details"]["retryAfterSeconds"]
                .as_u64()
                .is_some_and(|s| s > 0),
            "{status}"
        );
    }
}

#[tokio::test]
async fn who_may_not_does_not_learn_whether_a_cluster_exists() {
    let api = ApiServer::start(answer("never")).await;
    let gateway = Gateway::before(&api).await;
    gateway.policy.deny(&["list"]);
    let mut messages = Vec::new();
    for cluster in ["prod", "away", "nowhere"] {
        let mut asked = get("/api/v1/pods");
        asked
            .headers_mut()
            .insert("x-test-cluster", cluster.parse().expect("a value"));
        let response = gateway.client(HTTP2).await.send(asked).await;
        assert_eq!(response.status(), 403);
        messages.push(status_json(response).await);
    }
    assert!(messages.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn methods_that_mean_nothing_are_refused() {
    let api = ApiServer::start(answer("never")).await;
    let gateway = Gateway::before(&api).await;
    for method in ["TRACE", "PROPFIND", "OPTIONS"] {
        let asked = request(method.parse().expect("a method"), "/api/v1/pods", Body::empty());
        assert_eq!(
            gateway.client(HTTP1).await.send(asked).await.status(),
            400,
            "{method}"
        );
    }
    let asked = request(Method::TRACE, "/version", Body::empty());
    assert_eq!(gateway.client(HTTP1).await.send(asked).await.status(), 400);
    assert_eq!(api.connections(), 0);
}

#[tokio::test]
async fn a_connect_to_elsewhere_is_refused() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let api = ApiServer::start(answer("never")).await;
    let gateway = Gateway::before(&api).await;
    for target in ["CONNECT metadata.internal:80", "OPTIONS *"] {
        let mut stream = gateway.connect(HTTP1).await;
        let head = format!("{target} HTTP/1.1\r\nhost: metadata.internal:80\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.starts_with("HTTP/1.1 400 "), "{target}: {reply}");
    }
    assert_eq!(api.connections(), 0);
}
