//! Streams end when the login does, and when the permission is taken away.

use std::time::{Duration, Instant};

use http::Response;
use http_body_util::BodyExt as _;
use mk8s_model::Outcome;
use mk8s_net::Body;
use tokio::sync::watch;

use crate::support::{ApiServer, Client, Gateway, HTTP1, HTTP2, Way, body_text, get, handler, pipe};

const WATCH: &str = "/api/v1/namespaces/n/pods?watch=1";
const FOLLOWED_LOG: &str = "/api/v1/namespaces/n/pods/p/log?follow=true";

/// Answers with one piece, and then nothing for as long as somebody reads.
async fn endless_server() -> ApiServer {
    ApiServer::start(handler(|_| async {
        let (pipe, body) = pipe();
        tokio::spawn(async move {
            pipe.send("{}\n").await;
            pipe.abandoned().await;
        });
        Response::new(body)
    }))
    .await
}

/// What a stream's client sees to its end: the bytes, and whether it ended well.
async fn rest(mut body: hyper::body::Incoming) -> (usize, bool) {
    let mut length = 0;
    loop {
        match body.frame().await {
            Some(Ok(frame)) => length += frame.data_ref().map_or(0, bytes::Bytes::len),
            Some(Err(_)) => return (length, false),
            None => return (length, true),
        }
    }
}

#[tokio::test]
async fn a_watch_ends_softly_with_the_login() {
    for way in Way::BOTH {
        for alpn in [HTTP1, HTTP2] {
            let api = endless_server().await;
            let gateway = Gateway::on(&api, way).await;
            gateway.until(Instant::now() + Duration::from_millis(300));
            let response = gateway.client(alpn).await.send(get(WATCH)).await;
            assert_eq!(response.status(), 200);
            assert!(
                rest(response.into_body()).await.1,
                "a client asks again, and then it is told why"
            );
            assert_eq!(gateway.log.only().await.1.outcome, Outcome::Ended);
        }
    }
}

#[tokio::test]
async fn a_watch_of_a_login_that_is_over_already_ends_at_once() {
    let api = endless_server().await;
    let gateway = Gateway::before(&api).await;
    gateway.until(Instant::now());
    let response = gateway.client(HTTP2).await.send(get(WATCH)).await;
    assert!(rest(response.into_body()).await.1);
    assert_eq!(gateway.log.only().await.1.outcome, Outcome::Ended);
}

#[tokio::test]
async fn a_followed_log_ends_with_an_error_because_its_end_means_something() {
    for alpn in [HTTP1, HTTP2] {
        let api = endless_server().await;
        let gateway = Gateway::before(&api).await;
        gateway.until(Instant::now() + Duration::from_millis(300));
        let response = gateway.client(alpn).await.send(get(FOLLOWED_LOG)).await;
        assert!(!rest(response.into_body()).await.1);
        assert_eq!(gateway.log.only().await.1.outcome, Outcome::Ended);
    }
}

async fn begun(client: &mut Client, path: &str) -> hyper::body::Incoming {
    let mut body = client.send(get(path)).await.into_body();
    body.frame().await.expect("a frame").expect("a piece");
    body
}

#[tokio::test]
async fn a_permission_that_is_withdrawn_ends_what_it_allowed_and_nothing_else() {
    for way in Way::BOTH {
        let api = endless_server().await;
        let gateway = Gateway::on(&api, way).await;
        let mut client = gateway.client(HTTP2).await;
        let watch = begun(&mut client, WATCH).await;
        let mut log = begun(&mut client, FOLLOWED_LOG).await;
        gateway.policy.deny(&["delete"]);
        gateway.policy.deny(&["watch"]);
        assert_eq!(rest(watch).await, (0, true));
        let (open, close) = gateway.log.only().await;
        assert_eq!(
            (open.verb.as_ref(), close.outcome, close.bytes_sent),
            ("watch", Outcome::Ended, 3)
        );
        let still = tokio::time::timeout(Duration::from_millis(100), log.frame()).await;
        assert!(still.is_err(), "a log is another permission");
        gateway.policy.deny(&["watch", "get"]);
        assert_eq!(rest(log).await, (0, false));
        gateway.log.closed(2).await;
        assert_eq!(
            client.send(get(WATCH)).await.status(),
            403,
            "asking again tells why"
        );
    }
}

#[tokio::test]
async fn a_permission_that_is_withdrawn_before_the_answer_comes_ends_the_stream_too() {
    let (answer, held) = watch::channel(false);
    let api = ApiServer::start(handler(move |_| {
        let mut held = held.clone();
        async move {
            held.wait_for(|go| *go).await.expect("alive");
            let (pipe, body) = pipe();
            tokio::spawn(async move {
                pipe.send("{}\n").await;
                pipe.abandoned().await;
            });
            Response::new(body)
        }
    }))
    .await;
    let gateway = Gateway::before(&api).await;
    let mut client = gateway.client(HTTP2).await;
    let asking = tokio::spawn(async move { client.send(get(WATCH)).await });
    api.saw(1).await;
    gateway.policy.deny(&["watch"]);
    answer.send_replace(true);
    let response = asking.await.expect("no panic");
    assert!(rest(response.into_body()).await.1);
    assert_eq!(gateway.log.only().await.1.outcome, Outcome::Ended);
}

#[tokio::test]
async fn an_answer_with_an_end_of_its_own_is_let_to_it() {
    let (go_on, held) = watch::channel(false);
    let api = ApiServer::start(handler(move |_| {
        let mut held = held.clone();
        async move {
            let (pipe, body) = pipe();
            tokio::spawn(async move {
                pipe.send("half, ").await;
                held.wait_for(|go| *go).await.expect("alive");
                pipe.send("and whole").await;
            });
            Response::new(body)
        }
    }))
    .await;
    let gateway = Gateway::before(&api).await;
    gateway.until(Instant::now());
    let mut client = gateway.client(HTTP2).await;
    let response = client.send(get("/api/v1/namespaces/n/pods")).await;
    gateway.policy.deny(&["list"]);
    go_on.send_replace(true);
    assert_eq!(body_text(response).await, "half, and whole");
    assert_eq!(gateway.log.only().await.1.outcome, Outcome::Complete);
}

#[tokio::test]
async fn a_stream_that_was_ended_is_ended_at_the_cluster_too() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let api = ApiServer::start(handler(move |_| {
        let tell = tell.clone();
        async move {
            let (pipe, body) = pipe();
            tokio::spawn(async move {
                pipe.send("{}\n").await;
                pipe.abandoned().await;
                let _ = tell.send(());
            });
            Response::new(Body::boxed(body))
        }
    }))
    .await;
    for way in Way::BOTH {
        let gateway = Gateway::on(&api, way).await;
        let mut client = gateway.client(HTTP2).await;
        let body = begun(&mut client, WATCH).await;
        gateway.policy.deny(&["watch"]);
        rest(body).await;
        told.recv().await.expect("told");
        mk8s_testkit::soon("all streams to be closed", || {
            (gateway.counters.opened() == gateway.counters.closed()).then_some(())
        })
        .await;
    }
}
