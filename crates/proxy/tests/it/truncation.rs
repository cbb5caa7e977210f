//! A body that was cut short never looks complete, in either direction.

use std::sync::Arc;

use http::{Method, Response};
use http_body_util::BodyExt as _;
use mk8s_net::Body;
use mk8s_testkit::http2::{Peer, code};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Notify, mpsc},
};

use crate::support::{ApiServer, Gateway, HTTP1, HTTP2, Way, get, handler, pipe, request};

/// A server that tells what came of each request's body: its length if it ended well.
async fn judging_server() -> (ApiServer, mpsc::UnboundedReceiver<Option<usize>>) {
    let (tell, told) = mpsc::unbounded_channel();
    let tell = Arc::new(tell);
    let api = ApiServer::start(handler(move |request| {
        let tell = tell.clone();
        // In a task of its own, so that it is told even if the request is given up.
        let judged = tokio::spawn(async move {
            let is_http2 = request.version() == http::Version::HTTP_2;
            let mut body = Body::from_request(request).into_body();
            let mut length = 0;
            let whole = loop {
                match body.frame().await {
                    Some(Ok(frame)) => length += frame.data_ref().map_or(0, bytes::Bytes::len),
                    Some(Err(_)) => break None,
                    None => break Some(length),
                }
            };
            assert!(is_http2, "uploads go over HTTP/2");
            let _ = tell.send(whole);
        });
        async move {
            let _ = judged.await;
            Response::new(Body::empty())
        }
    }))
    .await;
    (api, told)
}

/// The upload is given up. Either nothing of it ever reached the cluster, or the cluster knows that it isn't whole.
async fn never_whole(
    gateway: &Gateway,
    api: &ApiServer,
    told: &mut mpsc::UnboundedReceiver<Option<usize>>,
    what: &str,
) {
    gateway.log.only().await;
    mk8s_testkit::soon("all streams to be closed", || {
        (gateway.counters.opened() == gateway.counters.closed()).then_some(())
    })
    .await;
    if !api.seen().is_empty() {
        assert_eq!(told.recv().await, Some(None), "{what}");
    }
}

#[tokio::test]
async fn an_http1_upload_that_breaks_off_never_looks_whole_to_the_cluster() {
    let rows = [
        (
            "small, with a length",
            "content-length: 100\r\n\r\nhalf".to_owned(),
        ),
        (
            "large, with a length",
            format!("content-length: 1000000\r\n\r\n{}", "a".repeat(200_000)),
        ),
        (
            "in chunks",
            "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n".to_owned(),
        ),
        (
            "in the middle of a chunk",
            "transfer-encoding: chunked\r\n\r\n64\r\nhalf".to_owned(),
        ),
        (
            "in the middle of a chunk's length",
            "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n6".to_owned(),
        ),
        (
            "without the last chunk's end",
            "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n".to_owned(),
        ),
    ];
    for way in Way::BOTH {
        for (what, rest) in &rows {
            let (api, mut told) = judging_server().await;
            let gateway = Gateway::on(&api, way).await;
            let mut stream = gateway.connect(HTTP1).await;
            let head = format!("POST /api/v1/namespaces/n/pods HTTP/1.1\r\nhost: localhost\r\n{rest}");
            stream.write_all(head.as_bytes()).await.expect("sent");
            // Politely, with TLS's own goodbye: nothing but the message itself says that something is missing.
            stream.shutdown().await.expect("shut down");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            never_whole(&gateway, &api, &mut told, what).await;
        }
    }
}

#[tokio::test]
async fn an_http2_upload_that_is_reset_never_looks_whole_to_the_cluster() {
    let lengths = [None, Some("100"), Some("1000000")];
    for way in Way::BOTH {
        for reason in [code::NO_ERROR, code::CANCEL, code::INTERNAL_ERROR] {
            for length in lengths {
                let (api, mut told) = judging_server().await;
                let gateway = Gateway::on(&api, way).await;
                let mut peer = Peer::client(gateway.connect(HTTP2).await).await.expect("HTTP/2");
                let mut fields = vec![
                    (":method", "POST"),
                    (":scheme", "https"),
                    (":authority", "localhost"),
                    (":path", "/api/v1/namespaces/n/pods"),
                ];
                fields.extend(length.map(|length| ("content-length", length)));
                peer.headers(1, &fields, false).await.expect("sent");
                peer.data(1, b"half", false).await.expect("sent");
                if length != Some("100") {
                    api.saw(1).await;
                }
                peer.reset(1, reason).await.expect("sent");
                never_whole(&gateway, &api, &mut told, &format!("{way:?} {reason} {length:?}")).await;
            }
        }
    }
}

#[tokio::test]
async fn an_http2_upload_whose_connection_goes_never_looks_whole_to_the_cluster() {
    for way in Way::BOTH {
        let (api, mut told) = judging_server().await;
        let gateway = Gateway::on(&api, way).await;
        let (pipe, body) = pipe();
        let mut client = gateway.client(HTTP2).await;
        pipe.send("half").await;
        let asked = request(Method::POST, "/api/v1/namespaces/n/pods", body);
        tokio::select! {
            _ = client.try_send(asked) => panic!("nobody answers"),
            () = api.saw(1) => {}
        }
        client.vanish();
        never_whole(&gateway, &api, &mut told, "gone").await;
    }
}

#[tokio::test]
async fn an_upload_that_ends_well_is_whole() {
    for way in Way::BOTH {
        for alpn in [HTTP1, HTTP2] {
            let (api, mut told) = judging_server().await;
            let gateway = Gateway::on(&api, way).await;
            let mut client = gateway.client(alpn).await;
            for length in [0, 10, 65_536, 65_537, 1_000_000] {
                let asked = request(
                    Method::POST,
                    "/api/v1/namespaces/n/pods",
                    Body::full(vec![b'a'; length]),
                );
                assert_eq!(client.send(asked).await.status(), 200);
                assert_eq!(told.recv().await, Some(Some(length)));
            }
            // In chunks, or without a length.
            let (pipe, body) = pipe();
            let asked = request(Method::POST, "/api/v1/namespaces/n/pods", body);
            let asking = tokio::spawn(async move { client.send(asked).await.status() });
            for _ in 0..20 {
                pipe.send(vec![b'a'; 10_000]).await;
            }
            drop(pipe);
            assert_eq!(asking.await.expect("no panic"), 200);
            assert_eq!(told.recv().await, Some(Some(200_000)));
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_whole_to_the_client() {
    for way in Way::BOTH {
        for alpn in [HTTP1, HTTP2] {
            for length in [None, Some("100")] {
                // Not before the client has the first half: a stream that is reset may take along what is still to be written.
                let arrived = Arc::new(Notify::new());
                let has_arrived = arrived.clone();
                let api = ApiServer::start(handler(move |_| {
                    let arrived = has_arrived.clone();
                    async move {
                        let (pipe, body) = pipe();
                        tokio::spawn(async move {
                            pipe.send("half").await;
                            arrived.notified().await;
                            pipe.fail().await;
                        });
                        let mut response = Response::new(body);
                        if let Some(length) = length {
                            response
                                .headers_mut()
                                .insert("content-length", length.parse().expect("a value"));
                        }
                        response
                    }
                }))
                .await;
                let gateway = Gateway::on(&api, way).await;
                let response = gateway.client(alpn).await.send(get("/api/v1/pods")).await;
                assert_eq!(response.status(), 200);
                let mut body = response.into_body();
                body.frame().await.expect("the first half").expect("data");
                arrived.notify_one();
                assert!(body.collect().await.is_err(), "{way:?} {length:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_whose_server_dies_never_looks_whole_to_the_client() {
    for way in Way::BOTH {
        for alpn in [HTTP1, HTTP2] {
            let mut api = ApiServer::start(handler(|_| async {
                let (pipe, body) = pipe();
                tokio::spawn(async move {
                    pipe.send("half").await;
                    pipe.abandoned().await;
                });
                Response::new(body)
            }))
            .await;
            let gateway = Gateway::on(&api, way).await;
            let mut response = gateway.client(alpn).await.send(get("/api/v1/pods")).await;
            response.body_mut().frame().await.expect("a frame").expect("half");
            api.stop().await;
            assert!(response.into_body().collect().await.is_err(), "{way:?}");
        }
    }
}
