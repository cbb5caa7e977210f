//! One link: what a failed request says about itself, and that every stream is given back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Request;
use http_body_util::BodyExt as _;
use mk8s_net::{
    Body,
    link::{Link, SendError, StreamCounters},
};
use mk8s_testkit::{
    http2::{Peer, code, kind},
    soon,
};
use tokio::sync::oneshot;

use crate::support::{ask, link_to_raw};

/// `SETTINGS_MAX_CONCURRENT_STREAMS`.
const MAX_CONCURRENT_STREAMS: u16 = 3;

async fn all_closed(counters: &StreamCounters) {
    soon("all streams to be closed", || {
        (counters.opened() == counters.closed()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refused_stream_counts_as_unprocessed() {
    let (mut link, mut peer, counters) = link_to_raw(&[]).await;
    let asking = tokio::spawn(async move { link.send(ask("/")).await });
    let request = peer.read_kind(kind::HEADERS).await.expect("a request");
    peer.reset(request.stream, code::REFUSED_STREAM)
        .await
        .expect("sent");
    let error = asking.await.expect("no panic").expect_err("refused");
    assert!(matches!(error, SendError::Unprocessed(_)), "{error:?}");
    all_closed(&counters).await;
}

#[tokio::test]
async fn a_stream_above_the_last_of_a_goaway_counts_as_unprocessed() {
    let (link, mut peer, counters) = link_to_raw(&[]).await;
    let (mut first, mut second) = (link.clone(), link.clone());
    let first = tokio::spawn(async move { first.send(ask("/1")).await });
    let seen = peer.read_kind(kind::HEADERS).await.expect("a request").stream;
    let second = tokio::spawn(async move { second.send(ask("/2")).await });
    peer.read_kind(kind::HEADERS).await.expect("a request");
    peer.go_away(seen, code::NO_ERROR).await.expect("sent");
    let error = second.await.expect("no panic").expect_err("not looked at");
    assert!(matches!(error, SendError::Unprocessed(_)), "{error:?}");
    // The one below goes on.
    peer.ok(seen, true).await.expect("sent");
    assert_eq!(first.await.expect("no panic").expect("an answer").status(), 200);
    all_closed(&counters).await;
}

#[tokio::test]
async fn a_stream_that_a_goaway_covers_counts_as_broken_when_the_connection_goes() {
    let (mut link, mut peer, counters) = link_to_raw(&[]).await;
    let asking = tokio::spawn(async move { link.send(ask("/")).await });
    let request = peer.read_kind(kind::HEADERS).await.expect("a request");
    peer.go_away(request.stream, code::NO_ERROR).await.expect("sent");
    drop(peer);
    let error = asking.await.expect("no panic").expect_err("gone");
    assert!(matches!(error, SendError::Broken(_)), "{error:?}");
    all_closed(&counters).await;
}

#[tokio::test]
async fn a_goaway_with_an_error_proves_nothing() {
    let (mut link, mut peer, counters) = link_to_raw(&[]).await;
    let asking = tokio::spawn(async move { link.send(ask("/")).await });
    let request = peer.read_kind(kind::HEADERS).await.expect("a request");
    peer.go_away(request.stream, code::INTERNAL_ERROR)
        .await
        .expect("sent");
    drop(peer);
    let error = asking.await.expect("no panic").expect_err("gone");
    assert!(matches!(error, SendError::Broken(_)), "{error:?}");
    all_closed(&counters).await;
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_counts_as_broken() {
    let (mut link, mut peer, counters) = link_to_raw(&[]).await;
    let asking = tokio::spawn(async move { link.send(ask("/")).await });
    peer.read_kind(kind::HEADERS).await.expect("a request");
    drop(peer);
    let error = asking.await.expect("no panic").expect_err("gone");
    assert!(matches!(error, SendError::Broken(_)), "{error:?}");
    all_closed(&counters).await;
}

#[tokio::test]
async fn a_stream_reset_for_any_other_reason_counts_as_broken() {
    for reason in [code::INTERNAL_ERROR, code::CANCEL, code::NO_ERROR] {
        let (mut link, mut peer, counters) = link_to_raw(&[]).await;
        let asking = tokio::spawn(async move { link.send(ask("/")).await });
        let request = peer.read_kind(kind::HEADERS).await.expect("a request");
        peer.reset(request.stream, reason).await.expect("sent");
        let error = asking.await.expect("no panic").expect_err("reset");
        assert!(matches!(error, SendError::Broken(_)), "{reason}: {error:?}");
        all_closed(&counters).await;
    }
}

#[tokio::test]
async fn a_link_whose_connection_is_gone_says_so_and_sends_nothing() {
    let (ended, end) = oneshot::channel();
    let (near, far) = tokio::io::duplex(1 << 16);
    let counters = Arc::new(StreamCounters::default());
    let linking = Link::handshake(near, counters.clone(), move || ended.send(()).unwrap_or_default());
    let (link, peer) = tokio::join!(linking, Peer::server(far, &[]));
    let (mut link, peer) = (link.expect("a link"), peer.expect("a peer"));
    assert!(link.is_open());
    drop(peer);
    end.await.expect("told that it ended");
    assert!(!link.is_open());
    let error = link.send(ask("/")).await.expect_err("gone");
    assert!(matches!(error, SendError::Unprocessed(_)), "{error:?}");
    all_closed(&counters).await;
}

#[tokio::test]
async fn a_request_dropped_before_its_answer_gives_its_stream_back() {
    let (mut link, mut peer, counters) = link_to_raw(&[]).await;
    let asked = link.clone();
    let asking = tokio::spawn(async move { link.send(ask("/")).await });
    let request = peer.read_kind(kind::HEADERS).await.expect("a request");
    assert_eq!(
        (counters.opened(), counters.closed(), asked.in_flight()),
        (1, 0, 1)
    );
    asking.abort();
    let reset = peer.read_kind(kind::RST_STREAM).await.expect("a reset");
    assert_eq!((reset.stream, reset.error_code()), (request.stream, code::CANCEL));
    all_closed(&counters).await;
    assert_eq!(asked.in_flight(), 0);
}

#[tokio::test]
async fn a_request_dropped_before_its_answer_and_in_the_middle_of_its_body_gives_its_stream_back() {
    let (mut link, mut peer, counters) = link_to_raw(&[]).await;
    let (body, _never_ends) = endless_body();
    let request = Request::post("https://localhost/").body(body).expect("a request");
    let asking = tokio::spawn(async move { link.send(request).await });
    peer.read_kind(kind::DATA).await.expect("a piece of the body");
    asking.abort();
    peer.read_kind(kind::RST_STREAM).await.expect("a reset");
    all_closed(&counters).await;
}

/// A body of one piece, and then nothing until the sender is dropped.
fn endless_body() -> (Body, tokio::sync::mpsc::Sender<Bytes>) {
    let (sender, mut pieces) = tokio::sync::mpsc::channel::<Bytes>(1);
    sender.try_send(Bytes::from_static(b"a piece")).expect("room");
    let stream = futures_util::stream::poll_fn(move |cx| {
        pieces
            .poll_recv(cx)
            .map(|piece| piece.map(|p| Ok::<_, std::io::Error>(http_body::Frame::data(p))))
    });
    (Body::boxed(http_body_util::StreamBody::new(stream)), sender)
}

#[tokio::test]
async fn an_answer_dropped_in_its_middle_gives_its_stream_back() {
    let (mut link, mut peer, counters) = link_to_raw(&[]).await;
    let asked = link.clone();
    let asking = tokio::spawn(async move { link.send(ask("/")).await });
    let request = peer.read_kind(kind::HEADERS).await.expect("a request");
    peer.ok(request.stream, false).await.expect("sent");
    peer.data(request.stream, b"the beginning", false)
        .await
        .expect("sent");
    let mut body = asking.await.expect("no panic").expect("an answer").into_body();
    body.frame().await.expect("a frame").expect("data");
    assert_eq!(asked.in_flight(), 1);
    drop(body);
    assert_eq!(asked.in_flight(), 0);
    peer.read_kind(kind::RST_STREAM).await.expect("a reset");
    all_closed(&counters).await;
}

#[tokio::test]
async fn a_cut_ends_everything_on_the_connection() {
    let (ended, end) = oneshot::channel();
    let (near, far) = tokio::io::duplex(1 << 16);
    let counters = Arc::new(StreamCounters::default());
    let linking = Link::handshake(near, counters.clone(), move || ended.send(()).unwrap_or_default());
    let (link, peer) = tokio::join!(linking, Peer::server(far, &[]));
    let (link, mut peer) = (link.expect("a link"), peer.expect("a peer"));

    let mut streaming = link.clone();
    let streaming = tokio::spawn(async move { streaming.send(ask("/streaming")).await });
    let request = peer.read_kind(kind::HEADERS).await.expect("a request");
    peer.ok(request.stream, false).await.expect("sent");
    let mut body = streaming.await.expect("no panic").expect("an answer").into_body();
    let mut waiting = link.clone();
    let waiting = tokio::spawn(async move { waiting.send(ask("/waiting")).await });
    peer.read_kind(kind::HEADERS).await.expect("a request");

    // It answers pings: nothing but the cut ends the connection.
    let cooperating = tokio::spawn(async move { while peer.read().await.is_ok() {} });
    link.cut();
    assert!(!link.is_open());
    assert!(
        body.frame().await.expect("no clean end").is_err(),
        "a stream that was cut isn't complete"
    );
    assert!(waiting.await.expect("no panic").is_err());
    cooperating.await.expect("no panic");
    drop(body);
    end.await.expect("told that it ended");
    all_closed(&counters).await;
}

#[tokio::test]
async fn a_cut_needs_no_cooperation_from_a_peer_that_reads_nothing() {
    let (near, far) = tokio::io::duplex(1024);
    let counters = Arc::new(StreamCounters::default());
    let linking = Link::handshake(near, counters.clone(), || {});
    let (link, peer) = tokio::join!(linking, Peer::server(far, &[]));
    let (mut link, _deaf) = (link.expect("a link"), peer.expect("a peer"));
    let other = link.clone();
    let request = Request::post("https://localhost/")
        .body(Body::full(vec![0; 1 << 20]))
        .expect("a request");
    let asking = tokio::spawn(async move { link.send(request).await });
    soon("the request to be on its way", || {
        (other.in_flight() == 1).then_some(())
    })
    .await;
    tokio::task::yield_now().await;
    other.cut();
    assert!(asking.await.expect("no panic").is_err());
    all_closed(&counters).await;
}

#[tokio::test]
async fn what_the_peer_allows_is_known_before_the_first_request() {
    let (link, mut peer, _) = link_to_raw(&[(MAX_CONCURRENT_STREAMS, 2)]).await;
    let mut pending = Vec::new();
    for number in 1..=2 {
        assert!(link.has_room(), "{number}");
        let mut link = link.clone();
        pending.push(tokio::spawn(async move { link.send(ask("/")).await }));
        peer.read_kind(kind::HEADERS).await.expect("a request");
    }
    assert!(!link.has_room());
    let first = pending.remove(0);
    first.abort();
    peer.read_kind(kind::RST_STREAM).await.expect("a reset");
    assert!(link.has_room());
}

#[tokio::test]
async fn a_peer_that_allows_more_later_is_believed() {
    let (mut link, mut peer, _) = link_to_raw(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let other = link.clone();
    peer.settings(&[(MAX_CONCURRENT_STREAMS, 5)]).await.expect("sent");
    let acknowledged = peer.read_any();
    acknowledged.await.expect("an acknowledgement");
    let asking = tokio::spawn(async move { link.send(ask("/")).await });
    peer.read_kind(kind::HEADERS).await.expect("a request");
    assert!(other.has_room());
    asking.abort();
}

#[tokio::test]
async fn a_peer_that_says_nothing_about_streams_allows_any_number() {
    let (link, _peer, _) = link_to_raw(&[]).await;
    assert!(link.has_room());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_says_a_word_is_no_link() {
    let (near, _far) = tokio::io::duplex(1 << 16);
    let linking = Link::handshake(near, Arc::default(), || {});
    let outcome = tokio::time::timeout(Duration::from_secs(60), linking).await;
    assert!(outcome.expect("it gives up by itself").is_err());
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_no_link() {
    use tokio::io::AsyncWriteExt as _;
    let (near, mut far) = tokio::io::duplex(1 << 16);
    far.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
        .await
        .expect("sent");
    assert!(Link::handshake(near, Arc::default(), || {}).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_died_unseen_is_noticed_while_idle() {
    let (ended, end) = oneshot::channel();
    let (near, far) = tokio::io::duplex(1 << 16);
    let linking = Link::handshake(near, Arc::default(), move || ended.send(()).unwrap_or_default());
    let (link, peer) = tokio::join!(linking, Peer::server(far, &[]));
    let (link, _dead) = (link.expect("a link"), peer.expect("a peer"));
    tokio::time::timeout(Duration::from_secs(60), end)
        .await
        .expect("noticed")
        .expect("told");
    assert!(!link.is_open());
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other() {
    let (link, mut peer, _) = link_to_raw(&[]).await;
    // Each of the stalled streams has all that its window takes in its buffer.
    let mut stalled = Vec::new();
    for _ in 0..50 {
        let mut link = link.clone();
        let asking = tokio::spawn(async move { link.send(ask("/stalled")).await });
        let stream = peer.read_kind(kind::HEADERS).await.expect("a request").stream;
        peer.ok(stream, false).await.expect("sent");
        for _ in 0..(512 / 16) {
            peer.data(stream, &[0; 16 * 1024], false).await.expect("sent");
        }
        stalled.push(asking.await.expect("no panic").expect("an answer"));
    }
    let mut link = link.clone();
    let asking = tokio::spawn(async move { link.send(ask("/")).await });
    let stream = peer.read_kind(kind::HEADERS).await.expect("a request").stream;
    peer.ok(stream, false).await.expect("sent");
    peer.data(stream, b"through", true).await.expect("sent");
    let answer = asking.await.expect("no panic").expect("an answer");
    assert_eq!(
        answer.into_body().collect().await.expect("a body").to_bytes(),
        "through"
    );
    assert!(
        stalled
            .iter_mut()
            .all(|s| s.body_mut().frame().now_or_never().is_some()),
        "all is still there"
    );
}
