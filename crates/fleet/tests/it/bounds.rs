//! How much is held, whatever the size of what is asked for.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use mk8s_net::{Body, BoxError};

use crate::support::{Clusters, event, get, json_answer, live, names, object};

/// A list of as many objects, made while it is read, and how many bytes of it were.
fn endless(objects: usize, made: &Arc<AtomicUsize>) -> Body {
    let head = r#"{"kind":"L","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":["#;
    let item = object(&"x".repeat(1000), "1");
    let made = made.clone();
    let parts = (0..=objects).map(move |at| {
        let part = match at {
            0 => Bytes::from(format!("{head}{item}")),
            at if at == objects => Bytes::from_static(b"]}"),
            _ => Bytes::from(format!(",{item}")),
        };
        made.fetch_add(part.len(), Ordering::Relaxed);
        Ok::<_, BoxError>(Frame::data(part))
    });
    Body::boxed(StreamBody::new(stream::iter(parts)))
}

#[tokio::test]
async fn a_large_list_passes_through_and_a_slow_reader_holds_it_back() {
    let made = Arc::new(AtomicUsize::new(0));
    let answers = |made: &Arc<AtomicUsize>| {
        let made = made.clone();
        move |_: &http::Request<Body>| json_answer(endless(3_000, &made))
    };
    let clusters = Clusters::default()
        .with("a", answers(&made))
        .with("b", answers(&made));
    let request = get("/api/v1/pods");
    let response = mk8s_fleet::list(Arc::new(clusters), names(&["a", "b"]), request).await;
    let mut body = response.into_body();
    let mut read = 0;
    let mut largest = 0;
    while let Some(frame) = body.frame().await {
        let piece = frame.expect("not broken off").into_data().expect("data").len();
        read += piece;
        largest = largest.max(piece);
        // What is written is longer than what is read, by the mark.
        let ahead = made.load(Ordering::Relaxed).saturating_sub(read);
        assert!(ahead < 64 * 1024, "{ahead} bytes were read ahead");
    }
    assert!(read > 6_000 * 1000, "{read}");
    assert!(largest < 32 * 1024, "{largest}");
}

#[tokio::test]
async fn letting_go_of_a_list_lets_go_of_the_clusters() {
    let (a, answer_a) = live();
    let (b, answer_b) = live();
    let head = r#"{"kind":"L","metadata":{"resourceVersion":"1"},"items":[{}"#;
    a.send_text(head);
    b.send_text(head);
    let clusters = Clusters::default()
        .scripted("a", [answer_a])
        .scripted("b", [answer_b]);
    let request = get("/api/v1/pods");
    let response = mk8s_fleet::list(Arc::new(clusters), names(&["a", "b"]), request).await;
    assert!(!a.is_let_go() && !b.is_let_go());
    drop(response);
    assert!(a.is_let_go() && b.is_let_go());
}

#[tokio::test]
async fn letting_go_of_a_watch_lets_go_of_the_clusters() {
    let (a, answer_a) = live();
    let (b, answer_b) = live();
    let clusters = Clusters::default()
        .scripted("a", [answer_a])
        .scripted("b", [answer_b]);
    let request = get("/api/v1/pods?watch=1");
    let response = mk8s_fleet::watch(Arc::new(clusters), names(&["a", "b"]), request).await;
    let mut body = response.into_body();
    a.send(&event("ADDED", "x", 1));
    assert!(body.frame().await.expect("an event").is_ok());
    assert!(!a.is_let_go() && !b.is_let_go());
    drop(body);
    assert!(a.is_let_go() && b.is_let_go());
}

#[tokio::test]
async fn a_slow_reader_holds_back_all_watches() {
    let made = Arc::new(AtomicUsize::new(0));
    let answers = |made: &Arc<AtomicUsize>| {
        let made = made.clone();
        move |_: &http::Request<Body>| {
            let made = made.clone();
            let events = (1..).map(move |version| {
                let line = format!("{}\n", event("MODIFIED", &"x".repeat(1000), version));
                made.fetch_add(line.len(), Ordering::Relaxed);
                Ok::<_, BoxError>(Frame::data(Bytes::from(line)))
            });
            json_answer(Body::boxed(StreamBody::new(stream::iter(events))))
        }
    };
    let clusters = Clusters::default()
        .with("a", answers(&made))
        .with("b", answers(&made));
    let request = get("/api/v1/pods?watch=1&resourceVersion=0");
    let response = mk8s_fleet::watch(Arc::new(clusters), names(&["a", "b"]), request).await;
    let mut body = response.into_body();
    let mut read = 0;
    for _ in 0..100 {
        let frame = body.frame().await.expect("more").expect("not broken off");
        read += frame.into_data().expect("data").len();
        let ahead = made.load(Ordering::Relaxed).saturating_sub(read);
        assert!(ahead < 64 * 1024, "{ahead} bytes were read ahead");
    }
}
