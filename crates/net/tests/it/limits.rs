//! What is too long or takes too long.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use mk8s_net::{
    drain::Drain,
    serve::{self, Protocol},
};
use mk8s_testkit::{
    Pki,
    http2::{PREFACE, Peer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::Instant,
};

use crate::support::{Client, HTTP1, HTTP2, Served, Service, get, text};

const HUNDRED_KB: usize = 100 * 1024;

#[tokio::test]
async fn a_header_of_100_kb_is_answered_431() {
    for alpn in [HTTP1, HTTP2] {
        let served = Served::start().await;
        let mut client = served.client(alpn).await;
        let request = Request::get("https://localhost/").header("x-long", "a".repeat(HUNDRED_KB));
        let answer = client
            .send(request.body(Full::default()).expect("a request"))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        let mut next = served.client(alpn).await;
        assert!(
            text(next.send(get("/next")).await.expect("an answer"))
                .await
                .starts_with("GET /next")
        );
    }
}

#[tokio::test]
async fn a_path_of_100_kb_is_refused_without_harm() {
    // Clients of ours can't even say it, so byte by byte.
    let served = Served::start().await;
    let mut stream = served.connect(HTTP1).await;
    let head = format!(
        "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "a".repeat(HUNDRED_KB)
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let status = answer.split(' ').nth(1);
    assert!(matches!(status, Some("414" | "431")), "{answer}");

    let path = format!("/{}", "a".repeat(HUNDRED_KB));
    let mut peer = Peer::client(served.connect(HTTP2).await).await.expect("HTTP/2");
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path.as_str()),
    ];
    peer.headers(1, &fields, true).await.expect("sent");
    // An answer, a reset or a GOAWAY; what counts is that it is one, and that others are served.
    while peer
        .read()
        .await
        .is_ok_and(|frame| frame.stream != 1 && frame.kind != 7)
    {}
    for alpn in [HTTP1, HTTP2] {
        let mut next = served.client(alpn).await;
        assert!(
            text(next.send(get("/next")).await.expect("an answer"))
                .await
                .starts_with("GET /next")
        );
    }
}

#[tokio::test]
async fn a_path_just_within_the_limit_passes() {
    for alpn in [HTTP1, HTTP2] {
        let served = Served::start().await;
        let path = format!("/{}", "a".repeat(60 * 1024));
        let answer = served
            .client(alpn)
            .await
            .send(get(&path))
            .await
            .expect("an answer");
        assert!(text(answer).await.contains(&path));
    }
}

#[tokio::test]
async fn a_body_may_be_larger_than_any_head() {
    for alpn in [HTTP1, HTTP2] {
        let served = Served::start().await;
        let request = Request::post("https://localhost/")
            .body(Full::from(vec![0; 3 << 20]))
            .expect("a request");
        let answer = served.client(alpn).await.send(request).await.expect("an answer");
        assert_eq!(text(answer).await, format!("POST / Ok({})", 3 << 20));
    }
}

#[tokio::test]
async fn more_headers_than_anybody_needs_are_answered_431() {
    let served = Served::start().await;
    let mut request: Request<Full<Bytes>> = get("/");
    for number in 0..1000 {
        let name = format!("x-{number}").parse::<http::HeaderName>().expect("a name");
        request.headers_mut().insert(name, "1".parse().expect("a value"));
    }
    let answer = served.client(HTTP1).await.send(request).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

/// Serves one connection in memory.
fn serve_in_memory(protocol: Protocol) -> (DuplexStream, JoinHandle<()>, Drain) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let drain = Drain::new();
    let serving = tokio::spawn(serve::connection(far, protocol, Service::new(), drain.watch()));
    (near, serving, drain)
}

// In these the clock is paused, and jumps to the next timer whenever nothing else is left to do.

#[tokio::test(start_paused = true)]
async fn a_client_that_never_finishes_its_head_is_dropped() {
    let (mut client, serving, _drain) = serve_in_memory(Protocol::Http1);
    let started = Instant::now();
    let head = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ";
    client.write_all(head).await.expect("sent");
    while client.write_all(b"a").await.is_ok() && !serving.is_finished() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(started.elapsed() < 2 * serve::HEAD_TIMEOUT, "it still listens");
    }
    serving.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_dropped() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (_client, serving, _drain) = serve_in_memory(protocol);
        let dropped = tokio::time::timeout(2 * serve::HEAD_TIMEOUT, serving).await;
        dropped
            .unwrap_or_else(|_| panic!("{protocol:?}: it still listens"))
            .expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_finishes_its_http2_preface_is_dropped() {
    let (mut client, serving, _drain) = serve_in_memory(Protocol::Http2);
    client.write_all(&PREFACE[..10]).await.expect("sent");
    let dropped = tokio::time::timeout(2 * serve::HEAD_TIMEOUT, serving).await;
    dropped.expect("it no longer listens").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_speaks_http2_but_never_asks_is_dropped() {
    let (client, serving, _drain) = serve_in_memory(Protocol::Http2);
    let mut peer = Peer::client(client).await.expect("HTTP/2");
    // Answers pings, and never finishes the header block of its only request.
    peer.write(1, 0, 1, &[0]).await.expect("sent");
    let dropped = tokio::time::timeout(4 * serve::HEAD_TIMEOUT, async {
        while peer.read().await.is_ok() {}
        serving.await
    });
    dropped.await.expect("it no longer listens").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn an_http2_client_that_asked_may_then_be_silent_for_long() {
    let (client, serving, _drain) = serve_in_memory(Protocol::Http2);
    let mut client = Client::over(client, HTTP2).await;
    text(client.send(get("/")).await.expect("an answer")).await;
    tokio::time::sleep(10 * serve::HEAD_TIMEOUT).await;
    assert!(!serving.is_finished());
    text(client.send(get("/")).await.expect("an answer")).await;
}

#[tokio::test(start_paused = true)]
async fn an_http2_client_that_is_gone_without_a_word_is_noticed() {
    let (client, serving, _drain) = serve_in_memory(Protocol::Http2);
    let mut peer = Peer::client(client).await.expect("HTTP/2");
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/"),
    ];
    peer.headers(1, &fields, true).await.expect("sent");
    peer.read_kind(0).await.expect("an answer");
    // From here on it reads and answers nothing, pings included.
    let noticed = tokio::time::timeout(Duration::from_secs(120), serving).await;
    noticed.expect("it no longer waits").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_tls_handshake_that_never_comes_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let _silent = TcpStream::connect(listener.local_addr().expect("an address"))
        .await
        .expect("a connection");
    let (stream, _) = listener.accept().await.expect("a connection");
    assert!(serve::tls(Pki::new().server(serve::ALPN), stream).await.is_none());
}

#[tokio::test]
async fn what_is_no_tls_is_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut plain = TcpStream::connect(listener.local_addr().expect("an address"))
        .await
        .expect("a connection");
    let (stream, _) = listener.accept().await.expect("a connection");
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    assert!(serve::tls(Pki::new().server(serve::ALPN), stream).await.is_none());
}
