//! A body that was cut short never looks complete (RFC 9113, 8.1: only END_STREAM ends a message).

use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use mk8s_net::{
    Body,
    drain::Drain,
    serve::{self, Protocol},
};
use mk8s_testkit::http2::{Peer, code, kind};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::mpsc,
};

use crate::support::{ask, link_to_raw};

#[tokio::test]
async fn an_answer_that_is_reset_in_its_middle_is_an_error_whatever_the_reason() {
    for reason in [
        code::NO_ERROR,
        code::CANCEL,
        code::INTERNAL_ERROR,
        code::REFUSED_STREAM,
    ] {
        let (mut link, mut peer, _) = link_to_raw(&[]).await;
        let asking = tokio::spawn(async move { link.send(ask("/")).await });
        let request = peer.read_kind(kind::HEADERS).await.expect("a request");
        peer.ok(request.stream, false).await.expect("sent");
        peer.data(request.stream, b"half", false).await.expect("sent");
        let answer = asking.await.expect("no panic").expect("an answer");
        peer.reset(request.stream, reason).await.expect("sent");
        assert!(answer.into_body().collect().await.is_err(), "{reason}");
    }
}

#[tokio::test]
async fn an_answer_that_a_goaway_takes_back_is_an_error() {
    let (mut link, mut peer, _) = link_to_raw(&[]).await;
    let asking = tokio::spawn(async move { link.send(ask("/")).await });
    let request = peer.read_kind(kind::HEADERS).await.expect("a request");
    peer.ok(request.stream, false).await.expect("sent");
    peer.data(request.stream, b"half", false).await.expect("sent");
    let answer = asking.await.expect("no panic").expect("an answer");
    peer.go_away(0, code::NO_ERROR).await.expect("sent");
    drop(peer);
    assert!(answer.into_body().collect().await.is_err());
}

#[tokio::test]
async fn an_answer_whose_connection_goes_is_an_error() {
    let (mut link, mut peer, _) = link_to_raw(&[]).await;
    let asking = tokio::spawn(async move { link.send(ask("/")).await });
    let request = peer.read_kind(kind::HEADERS).await.expect("a request");
    peer.ok(request.stream, false).await.expect("sent");
    peer.data(request.stream, b"half", false).await.expect("sent");
    let answer = asking.await.expect("no panic").expect("an answer");
    drop(peer);
    assert!(answer.into_body().collect().await.is_err());
}

#[tokio::test]
async fn an_answer_that_ended_is_complete_even_if_its_stream_is_reset_afterwards() {
    let (mut link, mut peer, _) = link_to_raw(&[]).await;
    // "Stop sending, you have your answer" (RFC 9113, 8.1).
    let (sender, pieces) = mpsc::channel::<Result<http_body::Frame<bytes::Bytes>, Infallible>>(1);
    let mut pieces = pieces;
    let body = http_body_util::StreamBody::new(futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx)));
    let request = Request::post("https://localhost/")
        .body(Body::boxed(body))
        .expect("a request");
    let asking = tokio::spawn(async move { link.send(request).await });
    let request = peer.read_kind(kind::HEADERS).await.expect("a request");
    peer.ok(request.stream, false).await.expect("sent");
    peer.data(request.stream, b"whole", true).await.expect("sent");
    peer.reset(request.stream, code::NO_ERROR).await.expect("sent");
    let answer = asking.await.expect("no panic").expect("an answer");
    assert_eq!(
        answer.into_body().collect().await.expect("complete").to_bytes(),
        "whole"
    );
    drop(sender);
}

/// Serves one connection in memory, and tells what came of each request's body.
fn serve_in_memory(
    protocol: Protocol,
) -> (
    DuplexStream,
    mpsc::UnboundedReceiver<Result<usize, String>>,
    Drain,
) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let drain = Drain::new();
    let (tell, told) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Incoming>| {
        let tell = tell.clone();
        async move {
            let body = Body::from_request(request).into_body();
            // In a task of its own, as a body that is piped on has one: it outlives the request's handler.
            let collected = tokio::spawn(body.collect()).await.expect("no panic");
            let _ = tell.send(collected.map(|b| b.to_bytes().len()).map_err(|e| e.to_string()));
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    let watch = drain.watch();
    tokio::spawn(serve::connection(far, protocol, service, watch));
    (near, told, drain)
}

const POST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "localhost"),
    (":path", "/"),
];

#[tokio::test]
async fn an_http2_upload_that_is_reset_in_its_middle_is_an_error_whatever_the_reason() {
    for reason in [code::NO_ERROR, code::CANCEL, code::INTERNAL_ERROR] {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let drain = Drain::new();
        let (tell, mut told) = mpsc::unbounded_channel();
        let service = service_fn(move |request: Request<Incoming>| {
            let tell = tell.clone();
            async move {
                let body = Body::from_request(request).into_body();
                tokio::spawn(async move {
                    let _ = tell.send(body.collect().await.map(|b| b.to_bytes().len()));
                });
                std::future::pending::<Result<Response<Body>, Infallible>>().await
            }
        });
        tokio::spawn(serve::connection(far, Protocol::Http2, service, drain.watch()));
        let mut peer = Peer::client(near).await.expect("HTTP/2");
        peer.headers(1, &POST, false).await.expect("sent");
        peer.data(1, b"half", false).await.expect("sent");
        peer.reset(1, reason).await.expect("sent");
        let outcome = told.recv().await.expect("an outcome");
        assert!(outcome.is_err(), "{reason}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_http2_upload_shorter_than_announced_is_an_error() {
    let (near, mut told, _drain) = serve_in_memory(Protocol::Http2);
    let mut peer = Peer::client(near).await.expect("HTTP/2");
    let mut fields = POST.to_vec();
    fields.push(("content-length", "100"));
    peer.headers(1, &fields, false).await.expect("sent");
    peer.data(1, b"half", true).await.expect("sent");
    peer.read_kind(kind::RST_STREAM).await.expect("a reset");
    drop(peer);
    // The handler may have been dropped before its body said so; it never says otherwise.
    assert!(told.recv().await.is_none_or(|outcome| outcome.is_err()));
}

#[tokio::test]
async fn an_http2_upload_that_ended_is_complete() {
    let (near, mut told, _drain) = serve_in_memory(Protocol::Http2);
    let mut peer = Peer::client(near).await.expect("HTTP/2");
    peer.headers(1, &POST, false).await.expect("sent");
    peer.data(1, b"whole", false).await.expect("sent");
    peer.data(1, b"", true).await.expect("sent");
    assert_eq!(told.recv().await, Some(Ok(5)));
    peer.headers(3, &POST, false).await.expect("sent");
    peer.data(3, b"with trailers", false).await.expect("sent");
    peer.headers(3, &[("x-trailer", "1")], true).await.expect("sent");
    assert_eq!(told.recv().await, Some(Ok(13)));
    peer.headers(5, &POST, true).await.expect("sent");
    assert_eq!(told.recv().await, Some(Ok(0)));
}

#[tokio::test]
async fn an_http1_upload_that_breaks_off_is_an_error() {
    let heads = [
        "content-length: 100\r\n\r\nhalf",
        "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ];
    for head in heads {
        let (mut near, mut told, _drain) = serve_in_memory(Protocol::Http1);
        near.write_all(format!("POST / HTTP/1.1\r\nhost: localhost\r\n{head}").as_bytes())
            .await
            .expect("sent");
        near.shutdown().await.expect("shut down");
        let mut rest = Vec::new();
        let _ = near.read_to_end(&mut rest).await;
        assert!(told.recv().await.is_none_or(|outcome| outcome.is_err()), "{head}");
    }
}

#[tokio::test]
async fn an_http1_upload_that_ended_is_complete() {
    for head in [
        "content-length: 5\r\n\r\nwhole",
        "transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n",
    ] {
        let (mut near, mut told, _drain) = serve_in_memory(Protocol::Http1);
        near.write_all(format!("POST / HTTP/1.1\r\nhost: localhost\r\n{head}").as_bytes())
            .await
            .expect("sent");
        assert_eq!(told.recv().await, Some(Ok(5)), "{head}");
    }
}
