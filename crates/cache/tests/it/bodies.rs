//! A body that is being kept passes at the same time, and is kept only if it is whole.

use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::BodyExt as _;
use mk8s_cache::Settings;
use mk8s_net::{Body, BoxError};

use crate::support::{Answer, Client, Pieces, SETTINGS, json, settle, streamed};

const PODS: &str = "/api/v1/namespaces/x/pods";

fn data(bytes: &[u8]) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::copy_from_slice(bytes)))
}

/// A client whose next answer comes in pieces.
fn with_streamed(settings: Settings, change: impl FnOnce(&mut Response<Body>)) -> (Client, Pieces) {
    let client = Client::new(settings);
    let (pieces, mut response) = streamed();
    change(&mut response);
    let response = Mutex::new(Some(response));
    client.api.answer_with(move |version| {
        let streamed = response.lock().expect("lock").take();
        streamed.unwrap_or_else(|| json(version))
    });
    (client, pieces)
}

#[tokio::test(start_paused = true)]
async fn what_is_being_kept_reaches_the_client_piece_by_piece() {
    let (client, pieces) = with_streamed(SETTINGS, |_| {});
    let mut body = client.ask(Method::GET, PODS).await.into_body();
    let mut seen = Vec::new();
    for piece in ["[", "1", "]"] {
        pieces.send(data(piece.as_bytes())).expect("read");
        let frame = body.frame().await.expect("a piece").expect("no error");
        seen.push(String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text"));
        assert!(!client.is_kept(PODS).await, "not whole yet");
    }
    assert_eq!(seen, ["[", "1", "]"]);
    drop(pieces);
    assert!(body.frame().await.is_none());
    assert_eq!(client.get(PODS).await.body, Ok("[1]".into()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_not_kept() {
    let (client, pieces) = with_streamed(SETTINGS, |_| {});
    let response = client.ask(Method::GET, PODS).await;
    pieces.send(data(b"{}")).expect("read");
    pieces.send(Err("cut".into())).expect("read");
    assert_eq!(Answer::read(response).await.body, Err("cut".into()));
    assert!(!client.is_kept(PODS).await);
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_client_leaves_is_not_kept() {
    let (client, pieces) = with_streamed(SETTINGS, |_| {});
    let response = client.ask(Method::GET, PODS).await;
    pieces.send(data(b"{}")).expect("read");
    drop(response);
    assert!(pieces.is_closed(), "the API server is told");
    assert!(!client.is_kept(PODS).await);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_as_long_as_announced_is_not_kept() {
    for announced in ["1", "3"] {
        let (client, pieces) = with_streamed(SETTINGS, |response| {
            let length = HeaderValue::from_static(announced);
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
        });
        let response = client.ask(Method::GET, PODS).await;
        pieces.send(data(b"{}")).expect("read");
        drop(pieces);
        assert_eq!(Answer::read(response).await.body, Ok("{}".into()));
        assert!(!client.is_kept(PODS).await, "{announced}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_with_trailers_is_not_kept() {
    let (client, pieces) = with_streamed(SETTINGS, |_| {});
    let response = client.ask(Method::GET, PODS).await;
    pieces.send(data(b"{}")).expect("read");
    let trailers = HeaderMap::from_iter([(header::ETAG, HeaderValue::from_static("x"))]);
    pieces.send(Ok(Frame::trailers(trailers.clone()))).expect("read");
    drop(pieces);
    let body = response.into_body().collect().await.expect("whole");
    assert_eq!(body.trailers(), Some(&trailers), "they pass");
    assert!(!client.is_kept(PODS).await);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_passes_and_is_not_kept() {
    let longest = SETTINGS.max_entry_bytes as usize;
    for (length, announces, is_kept) in [
        (longest, false, true),
        (longest, true, true),
        (longest + 1, false, false),
        (longest + 1, true, false),
    ] {
        let (client, pieces) = with_streamed(SETTINGS, |response| {
            if announces {
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length.into());
            }
        });
        let response = client.ask(Method::GET, PODS).await;
        let bytes = vec![b'x'; length];
        for piece in bytes.chunks(1000) {
            pieces.send(data(piece)).expect("read");
        }
        drop(pieces);
        let answer = Answer::read(response).await;
        assert_eq!(answer.body.map(|body| body.len()), Ok(length));
        assert_eq!(client.is_kept(PODS).await, is_kept, "{length} {announces}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_is_kept() {
    let client = Client::new(SETTINGS);
    client.api.answer_with(|_| Response::new(Body::empty()));
    client.get(PODS).await;
    let again = client.get(PODS).await;
    assert_eq!((again.is_hit(), again.body), (true, Ok(String::new())));
}

#[tokio::test(start_paused = true)]
async fn only_plain_successes_are_kept() {
    let rows = [
        (200, None, true),
        (200, Some(("cache-control", "no-cache, private")), true),
        (200, Some(("vary", "Accept, Accept-Encoding")), true),
        (200, Some(("cache-control", "private, No-Store")), false),
        (200, Some(("vary", "Accept, Origin")), false),
        (200, Some(("vary", "*")), false),
        (200, Some(("set-cookie", "a=b")), false),
        (200, Some(("trailer", "x")), false),
        (201, None, false),
        (206, Some(("content-range", "bytes 0-1/2")), false),
        (304, None, false),
        (403, None, false),
        (404, None, false),
        (500, None, false),
    ];
    for (status, header, is_kept) in rows {
        let client = Client::new(SETTINGS);
        client.api.answer_with(move |version| {
            let mut response = json(version);
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            if let Some((name, value)) = header {
                let name = HeaderName::from_static(name);
                response
                    .headers_mut()
                    .insert(name, HeaderValue::from_static(value));
            }
            response
        });
        client.get(PODS).await;
        assert_eq!(client.hits(PODS).await, is_kept, "{status} {header:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_has_the_answers_headers_without_those_of_the_one_request() {
    let client = Client::new(SETTINGS);
    client.api.answer_with(|version| {
        let mut response = json(version);
        for (name, value) in [
            ("warning", "299 - one"),
            ("warning", "299 - two"),
            ("audit-id", "1"),
            ("x-mca-cache", "forged"),
            ("age", "99"),
        ] {
            let name = HeaderName::from_static(name);
            response
                .headers_mut()
                .append(name, HeaderValue::from_static(value));
        }
        response
    });
    client.get(PODS).await;
    let hit = client.get(PODS).await.headers;
    let mut seen: Vec<String> = hit
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
        .collect();
    seen.sort();
    let expected = [
        "age: 0",
        "content-type: application/json",
        "warning: 299 - one",
        "warning: 299 - two",
        "x-mca-cache: hit",
    ];
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded() {
    let client = Client::new(SETTINGS);
    client.api.refuse_watches(StatusCode::FORBIDDEN);
    client
        .api
        .answer_with(|_| Response::new(Body::full(vec![b'x'; 10_000])));
    for at in 0..500 {
        client.get(&format!("/api/v1/namespaces/n{at}/pods")).await;
        let counters = client.cache.counters();
        assert!(counters.bytes <= SETTINGS.max_bytes, "{counters:?}");
        assert!(counters.entries * 10_000 <= counters.bytes, "{counters:?}");
    }
    assert!(client.cache.counters().entries > 50);
    assert!(client.hits("/api/v1/namespaces/n499/pods").await);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_being_kept_share_a_bounded_room() {
    let client = Client::new(SETTINGS);
    // A quarter of the whole holds four of these at the same time.
    let length = SETTINGS.max_entry_bytes as usize;
    let streams: std::sync::Arc<Mutex<Vec<Pieces>>> = std::sync::Arc::default();
    let opened = streams.clone();
    client.api.answer_with(move |_| {
        let (pieces, mut response) = streamed();
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
        opened.lock().expect("lock").push(pieces);
        response
    });
    let path = |at: usize| format!("/api/v1/namespaces/n{at}/pods");
    let mut bodies = Vec::new();
    for at in 0..6 {
        let mut body = client.ask(Method::GET, &path(at)).await.into_body();
        streams.lock().expect("lock")[at].send(data(b"x")).expect("read");
        body.frame().await.expect("a piece").expect("no error");
        bodies.push(body);
    }
    for (at, body) in bodies.into_iter().enumerate() {
        streams.lock().expect("lock")[at]
            .send(data(&vec![b'x'; length - 1]))
            .expect("read");
        streams.lock().expect("lock")[at] = tokio::sync::mpsc::unbounded_channel().0;
        assert_eq!(body.collect().await.expect("whole").to_bytes().len(), length - 1);
        settle().await;
    }
    let mut kept = Vec::new();
    for at in 0..6 {
        kept.push(client.is_kept(&path(at)).await);
    }
    assert_eq!(kept, [true, true, true, true, false, false]);
    // The room is free again.
    client
        .api
        .answer_with(|_| Response::new(Body::full(vec![b'x'; SETTINGS.max_entry_bytes as usize])));
    client.get(&path(9)).await;
    assert!(client.hits(&path(9)).await);
}
