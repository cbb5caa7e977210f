//! What is sent again, and what never is.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use mk8s_net::Body;
use mk8s_proxy::credentials::Credentials;
use mk8s_testkit::{
    Pki,
    http2::{Peer, code, kind},
};
use mk8s_tls::{ServerTlsStream, TlsAcceptor};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{
    ApiServer, Gateway, HTTP1, HTTP2, Options, Settings, Way, answer, body_text, get, handler, pipe, post,
    request, status_json,
};

type Misbehaving = Peer<ServerTlsStream<TcpStream>>;

/// A server whose connections a test handles frame by frame.
struct RawServer {
    pki: Pki,
    listener: TcpListener,
    address: SocketAddr,
}

impl RawServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        Self {
            pki: Pki::new(),
            listener,
            address,
        }
    }

    async fn gateway(&self) -> Gateway {
        Gateway::at(
            &format!("https://{}", self.address),
            &self.pki,
            Options::default(),
        )
        .await
    }

    async fn accept(&self) -> Misbehaving {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        let stream = TlsAcceptor::from(self.pki.server(&[HTTP2]))
            .accept(stream)
            .await
            .expect("a handshake");
        Peer::server(stream, &[]).await.expect("HTTP/2")
    }
}

/// Reads a request to its end. Returns its stream and body.
async fn whole_request(peer: &mut Misbehaving) -> (u32, Vec<u8>) {
    let mut frame = peer.read_kind(kind::HEADERS).await.expect("a request");
    let stream = frame.stream;
    let mut body = Vec::new();
    while !frame.ends_stream() {
        frame = peer.read_kind(kind::DATA).await.expect("a piece of the body");
        body.extend(&frame.payload);
    }
    (stream, body)
}

/// What the server does to a request that it has not looked at.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    Reset,
    GoAway,
}

impl Refusal {
    const BOTH: [Self; 2] = [Self::Reset, Self::GoAway];

    async fn refuse(self, peer: &mut Misbehaving, stream: u32) {
        match self {
            Self::Reset => peer.reset(stream, code::REFUSED_STREAM).await.expect("sent"),
            Self::GoAway => peer.go_away(0, code::NO_ERROR).await.expect("sent"),
        }
    }
}

#[tokio::test]
async fn a_request_that_was_refused_unseen_is_sent_again() {
    for refusal in Refusal::BOTH {
        for asked in [
            get("/api/v1/pods"),
            post("/api/v1/namespaces/n/pods", "a small body"),
        ] {
            let server = RawServer::start().await;
            let gateway = server.gateway().await;
            let mut client = gateway.client(HTTP2).await;
            let method = asked.method().clone();
            let asking = tokio::spawn(async move { client.send(asked).await.status() });
            let mut first = server.accept().await;
            let (stream, first_body) = whole_request(&mut first).await;
            refusal.refuse(&mut first, stream).await;
            // On the same connection, or a new one if that goes away.
            let (mut second, (stream, body)) = match refusal {
                Refusal::Reset => {
                    let request = whole_request(&mut first).await;
                    (first, request)
                }
                Refusal::GoAway => {
                    let mut second = server.accept().await;
                    let request = whole_request(&mut second).await;
                    (second, request)
                }
            };
            assert_eq!(body, first_body, "{method} is repeated as it was");
            second.ok(stream, true).await.expect("sent");
            assert_eq!(
                asking.await.expect("no panic"),
                StatusCode::OK,
                "{refusal:?} {method}"
            );
            assert_eq!(gateway.log.closed(1).await.len(), 1, "and written down once");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_refused_again_and_again_is_handed_back_to_the_client() {
    for (method, status) in [(Method::GET, 503), (Method::POST, 429)] {
        let server = RawServer::start().await;
        let gateway = server.gateway().await;
        let mut client = gateway.client(HTTP2).await;
        let asking =
            tokio::spawn(async move { client.send(request(method, "/api/v1/pods", Body::empty())).await });
        let mut peer = server.accept().await;
        let mut tries = 0;
        let refusing = async {
            loop {
                let (stream, _) = whole_request(&mut peer).await;
                tries += 1;
                Refusal::Reset.refuse(&mut peer, stream).await;
            }
        };
        let response = tokio::select! {
            response = asking => response.expect("no panic"),
            () = refusing => unreachable!("it never ends"),
        };
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["retry-after"], "1");
        assert!((2..=10).contains(&tries), "{tries}");
    }
}

#[tokio::test]
async fn a_large_upload_is_not_kept_for_another_try() {
    for refusal in Refusal::BOTH {
        let server = RawServer::start().await;
        let gateway = server.gateway().await;
        let mut client = gateway.client(HTTP2).await;
        let asked = post("/api/v1/namespaces/n/configmaps", vec![b'a'; 200_000]);
        let asking = tokio::spawn(async move { client.send(asked).await });
        let mut peer = server.accept().await;
        let stream = peer.read_kind(kind::HEADERS).await.expect("a request").stream;
        refusal.refuse(&mut peer, stream).await;
        // Until the client has its answer, the server must have seen one request.
        let watching = async {
            while let Ok(frame) = peer.read().await {
                assert_ne!(frame.kind, kind::HEADERS, "sent again");
            }
            std::future::pending::<()>().await;
        };
        let response = tokio::select! {
            response = asking => response.expect("no panic"),
            () = watching => unreachable!("it never ends"),
        };
        assert_eq!(
            response.status(),
            429,
            "client-go repeats it, whatever the method"
        );
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(status_json(response).await["reason"], "TooManyRequests");
    }
}

#[tokio::test]
async fn a_write_that_may_have_been_carried_out_is_not_repeated() {
    let server = RawServer::start().await;
    let gateway = server.gateway().await;
    let mut client = gateway.client(HTTP2).await;
    let asked = post("/api/v1/namespaces/n/pods", "a small body");
    let asking = tokio::spawn(async move { client.send(asked).await });
    let mut peer = server.accept().await;
    whole_request(&mut peer).await;
    drop(peer);
    let response = tokio::select! {
        response = asking => response.expect("no panic"),
        _peer = server.accept() => panic!("sent again"),
    };
    assert_eq!(response.status(), 502);
    assert!(
        !response.headers().contains_key("retry-after"),
        "client-go would repeat it"
    );
    let status = status_json(response).await;
    let message = status["message"].as_str().expect("text");
    assert!(
        message.contains("it may or may not have been carried out: look before you repeat it"),
        "{message}"
    );
}

#[tokio::test]
async fn a_read_whose_connection_broke_is_repeated() {
    let server = RawServer::start().await;
    let gateway = server.gateway().await;
    let mut client = gateway.client(HTTP2).await;
    let asking = tokio::spawn(async move { client.send(get("/api/v1/pods")).await.status() });
    let mut peer = server.accept().await;
    whole_request(&mut peer).await;
    drop(peer);
    let mut peer = server.accept().await;
    let (stream, _) = whole_request(&mut peer).await;
    peer.ok(stream, true).await.expect("sent");
    assert_eq!(asking.await.expect("no panic"), StatusCode::OK);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    let server = RawServer::start().await;
    let gateway = server.gateway().await;
    let mut client = gateway.client(HTTP2).await;
    let asking = tokio::spawn(async move { client.send(get("/api/v1/pods")).await });
    let mut peer = server.accept().await;
    let (stream, _) = whole_request(&mut peer).await;
    peer.ok(stream, false).await.expect("sent");
    peer.data(stream, b"half", false).await.expect("sent");
    let response = asking.await.expect("no panic");
    peer.reset(stream, code::REFUSED_STREAM).await.expect("sent");
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_restarted_server_is_no_matter_to_the_client() {
    for method in [Method::GET, Method::POST] {
        let mut api = ApiServer::start(answer("ok")).await;
        let gateway = Gateway::before(&api).await;
        let mut client = gateway.client(HTTP2).await;
        let asked = || request(method.clone(), "/api/v1/namespaces/n/pods", Body::empty());
        assert_eq!(body_text(client.send(asked()).await).await, "ok");
        for _ in 0..5 {
            api.restart().await;
            let response = client.send(asked()).await;
            // A write can't be repeated once it has left. That it has not, or that it has, is all that may be said.
            match (response.status().as_u16(), &method) {
                (200, _) => {}
                (502, &Method::POST) => {}
                (status, method) => panic!("{method} {status}: {}", body_text(response).await),
            }
        }
    }
}

#[tokio::test]
async fn requests_refused_over_a_tunnel_are_sent_again() {
    // The agent's API server refuses; the agent repeats, and central never knows.
    let refusals = Arc::new(AtomicUsize::new(0));
    let server = RawServer::start().await;
    let options = Options {
        way: Way::Agent,
        ..Options::default()
    };
    let gateway = Gateway::at(&format!("https://{}", server.address), &server.pki, options).await;
    let mut client = gateway.client(HTTP2).await;
    let asking =
        tokio::spawn(async move { client.send(post("/api/v1/namespaces/n/pods", "x")).await.status() });
    let mut peer = server.accept().await;
    let (stream, _) = whole_request(&mut peer).await;
    refusals.fetch_add(1, Ordering::Relaxed);
    Refusal::Reset.refuse(&mut peer, stream).await;
    let (stream, body) = whole_request(&mut peer).await;
    assert_eq!(body, b"x");
    peer.ok(stream, true).await.expect("sent");
    assert_eq!(asking.await.expect("no panic"), StatusCode::OK);
}

/// An API server that knows the tokens in `good`.
async fn server_that_knows(good: &'static str) -> ApiServer {
    ApiServer::start(handler(move |request| async move {
        let known = request
            .headers()
            .get("authorization")
            .is_some_and(|value| value == good);
        let body = request
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let mut response = Response::new(Body::full(body));
        if !known {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        response
    }))
    .await
}

fn token_file(token: &str) -> (tempfile::TempDir, std::path::PathBuf, Credentials) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    std::fs::write(&path, token).expect("written");
    let credentials = Credentials::token_file(path.clone()).expect("a token");
    (dir, path, credentials)
}

#[tokio::test]
async fn a_token_that_was_replaced_is_read_again_after_a_401() {
    for asked in [
        get("/api/v1/pods"),
        post("/api/v1/namespaces/n/pods", "a small body"),
    ] {
        let api = server_that_knows("Bearer second").await;
        let (_dir, path, credentials) = token_file("first");
        let gateway = Gateway::with(
            &api,
            Options {
                credentials,
                ..Options::default()
            },
        )
        .await;
        std::fs::write(&path, "second").expect("written");
        let response = gateway.client(HTTP2).await.send(asked).await;
        assert_eq!(response.status(), 200);
        let tokens: Vec<_> = api
            .seen()
            .iter()
            .map(|s| s.header("authorization").expect("a token").to_owned())
            .collect();
        assert_eq!(tokens, ["Bearer first", "Bearer second"]);
        assert_eq!(gateway.log.closed(1).await[0].1.status, 200);
    }
}

#[tokio::test]
async fn many_requests_at_once_all_survive_a_replaced_token() {
    let api = server_that_knows("Bearer second").await;
    let (_dir, path, credentials) = token_file("first");
    let gateway = Gateway::with(
        &api,
        Options {
            credentials,
            ..Options::default()
        },
    )
    .await;
    std::fs::write(&path, "second").expect("written");
    let mut asking = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.client(HTTP2).await;
        asking.push(tokio::spawn(async move {
            client.send(get("/api/v1/pods")).await.status()
        }));
    }
    for asked in asking {
        assert_eq!(asked.await.expect("no panic"), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_large_upload_that_met_the_old_token_is_handed_back_and_then_passes() {
    let api = server_that_knows("Bearer second").await;
    let (_dir, path, credentials) = token_file("first");
    let gateway = Gateway::with(
        &api,
        Options {
            credentials,
            ..Options::default()
        },
    )
    .await;
    std::fs::write(&path, "second").expect("written");
    let mut client = gateway.client(HTTP2).await;
    let large = || post("/api/v1/namespaces/n/configmaps", vec![b'a'; 200_000]);
    let response = client.send(large()).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(body_text(client.send(large()).await).await.len(), 200_000);
}

#[tokio::test]
async fn a_token_that_stays_bad_is_our_fault_and_not_the_clients() {
    for way in Way::BOTH {
        let api = server_that_knows("Bearer another").await;
        let gateway = Gateway::on(&api, way).await;
        let response = gateway.client(HTTP2).await.send(get("/api/v1/pods")).await;
        assert_eq!(
            response.status(),
            503,
            "a client that is told 401 logs in again and again"
        );
        let status = status_json(response).await;
        let message = status["message"].as_str().expect("text");
        assert!(
            message.contains("prod") && message.contains("credentials"),
            "{message}"
        );
        assert_eq!(api.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_workload_may_ask_who_is_there() {
    for way in Way::BOTH {
        let api = server_that_knows("Bearer another").await;
        let gateway = Gateway::on(&api, way).await;
        let asked = get("/api/v1/namespaces/n/services/web/proxy/");
        assert_eq!(gateway.client(HTTP2).await.send(asked).await.status(), 401);
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_dialled_once_for_all_who_wait() {
    // Accepts, and ends each connection before a handshake.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = dials.clone();
    let (let_go, mut held) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            held.wait_for(|go| *go).await.expect("alive");
            drop(stream);
        }
    });
    let gateway = Gateway::at(&format!("https://{address}"), &Pki::new(), Options::default()).await;
    let mut asking = Vec::new();
    for number in 0..30 {
        let mut client = gateway.client(HTTP2).await;
        let method = if number % 2 == 0 {
            Method::GET
        } else {
            Method::POST
        };
        asking.push(tokio::spawn(async move {
            (
                number,
                client.send(request(method, "/api/v1/pods", Body::empty())).await,
            )
        }));
    }
    mk8s_testkit::soon("all requests to wait", || {
        (gateway.log.ids().len() == 30).then_some(())
    })
    .await;
    let_go.send_replace(true);
    for asked in asking {
        let (number, response) = asked.await.expect("no panic");
        assert_eq!(response.status(), if number % 2 == 0 { 503 } else { 429 });
        assert!(response.headers().contains_key("retry-after"));
        let message = status_json(response).await["message"]
            .as_str()
            .expect("text")
            .to_owned();
        assert!(
            message.contains("prod") && message.contains(&address.to_string()),
            "{message}"
        );
    }
    assert!(dials.load(Ordering::SeqCst) <= 3, "{dials:?}");
}

#[tokio::test]
async fn a_server_that_speaks_no_http2_is_said_to() {
    let api = ApiServer::with(
        Settings {
            alpn: &[],
            ..Settings::default()
        },
        answer("never"),
    )
    .await;
    let gateway = Gateway::before(&api).await;
    let response = gateway.client(HTTP2).await.send(get("/api/v1/pods")).await;
    assert_eq!(response.status(), 503);
    let status = status_json(response).await;
    assert!(
        status["message"]
            .as_str()
            .expect("text")
            .contains("does not speak HTTP/2"),
        "{status}"
    );
}

#[tokio::test]
async fn a_server_with_a_certificate_of_somebody_else_is_not_believed() {
    let api = ApiServer::start(answer("never")).await;
    let gateway = Gateway::at(&api.url(), &Pki::new(), Options::default()).await;
    let response = gateway.client(HTTP2).await.send(get("/api/v1/pods")).await;
    assert_eq!(response.status(), 503);
    let status = status_json(response).await;
    assert!(
        status["message"].as_str().expect("text").contains("certificate"),
        "{status}"
    );
    assert_eq!(api.seen().len(), 0);
}

#[tokio::test]
async fn an_upload_that_is_still_coming_is_not_waited_for_when_the_answer_is_there() {
    // 413 before the upload is through.
    let api = ApiServer::start(handler(|_| async {
        let mut response = Response::new(Body::full("too large"));
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        response
    }))
    .await;
    for alpn in [HTTP1, HTTP2] {
        let gateway = Gateway::before(&api).await;
        let (pipe, body) = pipe();
        pipe.send("the beginning").await;
        let asked = request(Method::POST, "/api/v1/namespaces/n/pods", body);
        let response = gateway.client(alpn).await.send(asked).await;
        assert_eq!(response.status(), 413);
        assert_eq!(body_text(response).await, "too large");
        drop(pipe);
    }
}
