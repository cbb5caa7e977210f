//! exec, attach, port-forward: protocols that are switched to, and those that aren't.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mk8s_model::Outcome;
use mk8s_net::{
    Body,
    link::{Link, LinkSet},
    status::Status,
};
use mk8s_testkit::{
    Pki,
    http2::{Peer, code, kind},
};
use mk8s_tls::{ClientTlsStream, TlsAcceptor};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use crate::support::{ApiServer, Gateway, HTTP1, HTTP2, Options, Way, get, handler, request, status_json};

/// The two ways in which kubectl asks.
#[derive(Clone, Copy, Debug)]
enum Protocol {
    WebSocket,
    Spdy,
}

impl Protocol {
    const BOTH: [Self; 2] = [Self::WebSocket, Self::Spdy];

    fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Spdy => "SPDY/3.1",
        }
    }

    fn head(self) -> String {
        let target = "/api/v1/namespaces/n/pods/p/exec?command=sh&stdin=true";
        match self {
            Self::WebSocket => format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n"
            ),
            Self::Spdy => format!(
                "POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
                 X-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io\r\n\
                 Content-Length: 0\r\n\r\n"
            ),
        }
    }
}

type Stream = BufReader<ClientTlsStream<TcpStream>>;

/// Sends a head and reads the answer's.
async fn ask(gateway: &Gateway, head: &str) -> (Stream, Vec<String>) {
    let mut stream = BufReader::new(gateway.connect(HTTP1).await);
    stream.write_all(head.as_bytes()).await.expect("sent");
    let lines = answer_head(&mut stream).await;
    (stream, lines)
}

async fn answer_head(stream: &mut Stream) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a line");
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            return lines;
        }
        lines.push(if lines.is_empty() {
            line
        } else {
            line.to_lowercase()
        });
    }
}

fn switching(protocol: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, "Upgrade".parse().expect("a value"));
    headers.insert(header::UPGRADE, protocol.parse().expect("a value"));
    headers.insert(
        "x-stream-protocol-version",
        "v4.channel.k8s.io".parse().expect("a value"),
    );
    headers.insert(
        "sec-websocket-accept",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".parse().expect("a value"),
    );
    response
}

/// Switches as it is asked to, and gives the connection to `talk`.
async fn switching_server<F, Fut>(talk: F) -> ApiServer
where
    F: Fn(TokioIo<hyper::upgrade::Upgraded>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    ApiServer::start(handler(move |mut request: Request<Incoming>| {
        let talk = talk.clone();
        async move {
            let protocol = request.headers()[header::UPGRADE]
                .to_str()
                .expect("text")
                .to_owned();
            let upgraded = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                if let Ok(upgraded) = upgraded.await {
                    talk(TokioIo::new(upgraded)).await;
                }
            });
            switching(&protocol)
        }
    }))
    .await
}

async fn echoing_server() -> ApiServer {
    switching_server(|stream| async move {
        let (mut read, mut write) = tokio::io::split(stream);
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    })
    .await
}

#[tokio::test]
async fn bytes_go_both_ways_once_the_cluster_has_switched() {
    for way in Way::BOTH {
        for protocol in Protocol::BOTH {
            let api = echoing_server().await;
            let gateway = Gateway::on(&api, way).await;
            let (mut stream, answer) = ask(&gateway, &protocol.head()).await;
            assert_eq!(
                answer[0], "HTTP/1.1 101 Switching Protocols",
                "{way:?} {protocol:?}"
            );
            for line in [
                "connection: upgrade".to_owned(),
                format!("upgrade: {}", protocol.name().to_lowercase()),
                "x-stream-protocol-version: v4.channel.k8s.io".to_owned(),
                "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=".to_owned(),
            ] {
                assert!(answer.contains(&line), "{line} is not in {answer:?}");
            }
            for text in ["one", "two"] {
                stream.write_all(text.as_bytes()).await.expect("sent");
                let mut back = [0; 3];
                stream.read_exact(&mut back).await.expect("echoed");
                assert_eq!(&back, text.as_bytes());
            }
            stream.shutdown().await.expect("shut down");
            assert_eq!(stream.read_to_end(&mut Vec::new()).await.expect("an end"), 0);
            let (open, close) = gateway.log.only().await;
            assert_eq!(open.resource, "pods/exec");
            assert_eq!(
                (close.status, close.outcome, close.bytes_sent),
                (101, Outcome::Complete, 6)
            );

            let seen = api.only();
            assert_eq!(
                seen.method,
                if matches!(protocol, Protocol::Spdy) {
                    Method::POST
                } else {
                    Method::GET
                }
            );
            assert_eq!(seen.uri.query(), Some("command=sh&stdin=true"));
            assert_eq!(seen.all("upgrade"), [protocol.name()]);
            assert_eq!(seen.all("impersonate-user"), ["jane@example.com"]);
            assert_eq!(seen.all("impersonate-group"), ["mk8s:dev", "mk8s:ops"]);
            assert_eq!(seen.all("authorization"), ["Bearer the-gateways-own"]);
            assert_eq!(seen.all("audit-id"), [open.id.to_string()]);
            assert_eq!(seen.header("x-mk8s-method"), None);
            match protocol {
                Protocol::Spdy => {
                    let versions = ["v4.channel.k8s.io", "v3.channel.k8s.io"];
                    assert_eq!(seen.all("x-stream-protocol-version"), versions);
                }
                Protocol::WebSocket => assert_eq!(seen.all("sec-websocket-protocol"), ["v5.channel.k8s.io"]),
            }
        }
    }
}

#[tokio::test]
async fn what_was_sent_right_behind_the_head_arrives_after_the_switch() {
    for way in Way::BOTH {
        let api = echoing_server().await;
        let gateway = Gateway::on(&api, way).await;
        let (mut stream, answer) = ask(&gateway, &format!("{}early", Protocol::WebSocket.head())).await;
        assert_eq!(answer[0], "HTTP/1.1 101 Switching Protocols");
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.expect("echoed");
        assert_eq!(&back, b"early");
    }
}

#[tokio::test]
async fn either_side_may_end_its_half_first() {
    for way in Way::BOTH {
        // The client ends; the cluster still has something to say.
        let api = switching_server(|mut stream| async move {
            let mut all = String::new();
            stream.read_to_string(&mut all).await.expect("the client's half");
            stream
                .write_all(format!("you said {all}").as_bytes())
                .await
                .expect("sent");
            stream.shutdown().await.expect("shut down");
        })
        .await;
        let gateway = Gateway::on(&api, way).await;
        let (mut stream, _) = ask(&gateway, &Protocol::Spdy.head()).await;
        stream.write_all(b"hello").await.expect("sent");
        stream.shutdown().await.expect("shut down");
        let mut reply = String::new();
        stream
            .read_to_string(&mut reply)
            .await
            .expect("the cluster's half");
        assert_eq!(reply, "you said hello", "{way:?}");

        // The cluster ends; the client still has.
        let (tell, mut told) = mpsc::unbounded_channel();
        let api = switching_server(move |mut stream| {
            let tell = tell.clone();
            async move {
                stream.write_all(b"bye").await.expect("sent");
                stream.shutdown().await.expect("shut down");
                let mut all = String::new();
                stream.read_to_string(&mut all).await.expect("the client's half");
                let _ = tell.send(all);
            }
        })
        .await;
        let gateway = Gateway::on(&api, way).await;
        let (mut stream, _) = ask(&gateway, &Protocol::Spdy.head()).await;
        let mut reply = String::new();
        stream
            .read_to_string(&mut reply)
            .await
            .expect("the cluster's half");
        assert_eq!(reply, "bye", "{way:?}");
        stream.write_all(b"not yet").await.expect("sent");
        stream.shutdown().await.expect("shut down");
        assert_eq!(told.recv().await.expect("told"), "not yet", "{way:?}");
    }
}

/// A server whose connections answer the first head with these bytes, and whatever they are sent then is counted.
struct Stubborn {
    pki: Pki,
    address: std::net::SocketAddr,
    sent_on: Arc<AtomicU64>,
    closed: mpsc::UnboundedReceiver<()>,
    serving: JoinHandle<()>,
}

impl Stubborn {
    async fn start(answer: &'static str) -> Self {
        let pki = Pki::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let sent_on = Arc::new(AtomicU64::new(0));
        let (tell, closed) = mpsc::unbounded_channel();
        let (tls, count) = (pki.server(&[HTTP1]), sent_on.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let Ok(stream) = TlsAcceptor::from(tls.clone()).accept(stream).await else {
                    continue;
                };
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|length| length > 2) {
                    line.clear();
                }
                stream.write_all(answer.as_bytes()).await.expect("sent");
                stream.flush().await.expect("sent");
                let mut buffer = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    count.fetch_add(length as u64, Ordering::SeqCst);
                }
                let _ = tell.send(());
            }
        });
        Self {
            pki,
            address,
            sent_on,
            closed,
            serving,
        }
    }

    async fn gateway(&self, way: Way) -> Gateway {
        let options = Options {
            way,
            ..Options::default()
        };
        Gateway::at(&format!("https://{}", self.address), &self.pki, options).await
    }
}

impl Drop for Stubborn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What a client hopes to slip through to the API server in somebody else's name.
const SMUGGLED: &[u8] = b"DELETE /api/v1/nodes HTTP/1.1\r\nHost: x\r\nImpersonate-User: system:admin\r\n\r\n";

#[tokio::test]
async fn whatever_is_sent_behind_an_upgrade_that_was_not_agreed_on_never_reaches_the_cluster() {
    // CVE-2018-1002105.
    let forbidden = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 43\r\n\r\n\
                     {\"kind\":\"Status\",\"code\":403,\"message\":\"no\"}";
    let rows = [
        (forbidden, "403"),
        ("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad", "400"),
        (
            "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            "302",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "502"),
        (
            "HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n",
            "502",
        ),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "502"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "502",
        ),
    ];
    for way in Way::BOTH {
        for (answer, status) in rows {
            let mut server = Stubborn::start(answer).await;
            let gateway = server.gateway(way).await;
            let (mut stream, head) = ask(&gateway, &Protocol::Spdy.head()).await;
            assert!(
                head[0].starts_with(&format!("HTTP/1.1 {status} ")),
                "{way:?} {answer}: {head:?}"
            );
            let _ = stream.write_all(SMUGGLED).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            if status == "403" {
                assert_eq!(
                    String::from_utf8_lossy(&rest),
                    "{\"kind\":\"Status\",\"code\":403,\"message\":\"no\"}",
                    "the body, and nothing else"
                );
            }
            server.closed.recv().await.expect("closed");
            assert_eq!(server.sent_on.load(Ordering::SeqCst), 0, "{way:?} {answer}");
            let (_, close) = gateway.log.only().await;
            // What the agent says of its API server is an answer like any other to the gateway.
            let has_failed = status == "502" && way == Way::Direct;
            let outcome = if has_failed {
                Outcome::UpstreamFailed
            } else {
                Outcome::Complete
            };
            assert_eq!(
                (close.status.to_string().as_str(), close.outcome),
                (status, outcome)
            );
            if status == "403" {
                assert_eq!(close.bytes_sent, 43);
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_of_the_api_server_is_relayed_as_it_is() {
    for way in Way::BOTH {
        for protocol in Protocol::BOTH {
            let api = ApiServer::start(handler(|_| async {
                Status::forbidden("pods \"p\" is forbidden")
                    .about("pods", "", Some("p"))
                    .into_response()
            }))
            .await;
            let gateway = Gateway::on(&api, way).await;
            let (mut stream, head) = ask(&gateway, &protocol.head()).await;
            assert_eq!(head[0], "HTTP/1.1 403 Forbidden");
            assert!(
                head.contains(&"content-type: application/json".to_owned()),
                "{head:?}"
            );
            assert!(head.contains(&"connection: close".to_owned()), "{head:?}");
            let mut body = String::new();
            stream.read_to_string(&mut body).await.expect("a body");
            assert!(body.contains("pods \\\"p\\\" is forbidden"), "{body}");
        }
    }
}

#[tokio::test]
async fn an_upgrade_whose_wish_was_taken_out_on_the_way_is_told_so() {
    // rancher#17963
    let api = ApiServer::start(handler(|_| async { Response::new(Body::full("a riddle")) })).await;
    let gateway = Gateway::before(&api).await;
    for alpn in [HTTP1, HTTP2] {
        for (name, value) in [
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
            ("sec-websocket-key", "eA=="),
        ] {
            let mut asked = request(Method::POST, "/api/v1/namespaces/n/pods/p/exec", Body::empty());
            asked.headers_mut().insert(name, value.parse().expect("a value"));
            let response = gateway.client(alpn).await.send(asked).await;
            assert_eq!(response.status(), 400);
            let status = status_json(response).await;
            let message = status["message"].as_str().expect("text");
            assert!(
                message.contains("Upgrade") && message.contains("load balancer"),
                "{message}"
            );
        }
    }
    assert_eq!(api.seen().len(), 0);
    for (_, close) in gateway.log.closed(4).await {
        assert_eq!(close.outcome, Outcome::Refused);
    }
}

#[tokio::test]
async fn who_may_not_exec_may_not_over_websocket_either() {
    let api = echoing_server().await;
    let gateway = Gateway::before(&api).await;
    gateway.policy.deny(&["exec"]);
    for protocol in Protocol::BOTH {
        let (_, head) = ask(&gateway, &protocol.head()).await;
        assert_eq!(head[0], "HTTP/1.1 403 Forbidden");
    }
    assert_eq!(api.connections(), 0);
}

#[tokio::test]
async fn a_wish_for_http2_in_the_clear_is_no_upgrade() {
    let api = ApiServer::start(handler(|_| async { Response::new(Body::full("plain")) })).await;
    let gateway = Gateway::before(&api).await;
    let mut asked = get("/api/v1/pods");
    for (name, value) in [
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAA"),
    ] {
        asked.headers_mut().insert(name, value.parse().expect("a value"));
    }
    let response = gateway.client(HTTP1).await.send(asked).await;
    assert_eq!(response.status(), 200);
    assert_eq!(api.only().header("http2-settings"), None);
}

#[tokio::test]
async fn a_session_ends_when_its_permission_or_its_login_does() {
    for way in Way::BOTH {
        let (tell, mut told) = mpsc::unbounded_channel();
        let api = switching_server(move |mut stream| {
            let tell = tell.clone();
            async move {
                let _ = stream.write_all(b"$ ").await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
                let _ = tell.send(());
            }
        })
        .await;
        let gateway = Gateway::on(&api, way).await;
        let (mut stream, _) = ask(&gateway, &Protocol::WebSocket.head()).await;
        stream.read_exact(&mut [0; 2]).await.expect("a prompt");
        gateway.policy.deny(&["exec"]);
        let _ = stream.read_to_end(&mut Vec::new()).await;
        told.recv().await.expect("the cluster's end is closed, too");
        let (_, close) = gateway.log.only().await;
        assert_eq!((close.outcome, close.bytes_sent), (Outcome::Ended, 2), "{way:?}");

        gateway.policy.deny(&[]);
        gateway.until(Instant::now() + Duration::from_millis(300));
        let (mut stream, _) = ask(&gateway, &Protocol::WebSocket.head()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
        told.recv().await.expect("the cluster's end is closed, too");
        assert_eq!(
            gateway.log.closed(2).await[1].1.outcome,
            Outcome::Ended,
            "{way:?}"
        );
    }
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_word_ends_the_session() {
    for way in Way::BOTH {
        let (tell, mut told) = mpsc::unbounded_channel();
        let api = switching_server(move |mut stream| {
            let tell = tell.clone();
            async move {
                let _ = stream.write_all(b"$ ").await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
                let _ = tell.send(());
            }
        })
        .await;
        let gateway = Gateway::on(&api, way).await;
        let (mut stream, _) = ask(&gateway, &Protocol::WebSocket.head()).await;
        stream.read_exact(&mut [0; 2]).await.expect("a prompt");
        // TCP's goodbye without TLS's.
        let (tcp, _) = stream.into_inner().into_inner();
        drop(tcp);
        told.recv().await.expect("the cluster's end is closed, too");
        let (_, close) = gateway.log.only().await;
        assert_eq!(
            (close.outcome, close.bytes_sent),
            (Outcome::ClientGone, 2),
            "{way:?}"
        );
        mk8s_testkit::soon("all streams to be closed", || {
            (gateway.counters.opened() == gateway.counters.closed()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_is_waited_for_while_draining_and_then_cut() {
    for way in Way::BOTH {
        let api = echoing_server().await;
        let gateway = Gateway::on(&api, way).await;
        let (mut stream, _) = ask(&gateway, &Protocol::Spdy.head()).await;
        let stopping = gateway.stop(Duration::from_secs(600)).await;
        stream.write_all(b"still").await.expect("sent");
        stream.read_exact(&mut [0; 5]).await.expect("echoed");
        assert!(!stopping.is_finished(), "a session still runs");
        stream.shutdown().await.expect("shut down");
        stream.read_to_end(&mut Vec::new()).await.expect("an end");
        assert!(stopping.await.expect("no panic"), "it ended by itself");

        let gateway = Gateway::on(&api, way).await;
        let (mut stream, _) = ask(&gateway, &Protocol::Spdy.head()).await;
        let stopping = gateway.stop(Duration::from_millis(1)).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
        assert!(!stopping.await.expect("no panic"), "it had to be cut");
        assert_eq!(gateway.log.only().await.1.outcome, Outcome::Ended);
    }
}

#[tokio::test]
async fn an_upgrade_that_a_dying_tunnel_refused_takes_another() {
    let mut ends = Vec::new();
    let links = Arc::new(LinkSet::default());
    for _ in 0..2 {
        let (near, far) = tokio::io::duplex(1 << 16);
        // `SETTINGS_ENABLE_CONNECT_PROTOCOL`
        let peer = Peer::server(far, &[(8, 1)]);
        let (link, peer) = tokio::join!(Link::handshake(near, links.counters().clone(), || {}), peer);
        links.add(link.expect("a link"));
        ends.push(peer.expect("a peer"));
    }
    let gateway = Gateway::over(links).await;
    let (mut second, mut first) = (ends.pop().expect("two"), ends.pop().expect("two"));
    let head = Protocol::Spdy.head();
    let asking = ask(&gateway, &head);
    let answering = async {
        let seen = first.read_kind(kind::HEADERS).await.expect("a request");
        assert_eq!(seen.stream, 1);
        first.go_away(0, code::NO_ERROR).await.expect("sent");
        let seen = second.read_kind(kind::HEADERS).await.expect("the same request");
        second.ok(seen.stream, false).await.expect("sent");
        second.data(seen.stream, b"$ ", false).await.expect("sent");
    };
    let ((mut stream, head), ()) = tokio::join!(asking, answering);
    assert_eq!(head[0], "HTTP/1.1 101 Switching Protocols");
    stream.read_exact(&mut [0; 2]).await.expect("a prompt");
}

#[tokio::test]
async fn a_reader_that_stops_stops_the_session_too() {
    for way in Way::BOTH {
        let api = echoing_server().await;
        let gateway = Gateway::on(&api, way).await;
        let (stream, _) = ask(&gateway, &Protocol::Spdy.head()).await;
        let (read, mut write) = tokio::io::split(stream);
        let written = Arc::new(AtomicU64::new(0));
        let count = written.clone();
        let writing = tokio::spawn(async move {
            while write.write_all(&[0; 16 * 1024]).await.is_ok() {
                count.fetch_add(16 * 1024, Ordering::SeqCst);
            }
        });
        let (mut before, mut still) = (0, 0);
        while still < 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = written.load(Ordering::SeqCst);
            still = if now == before { still + 1 } else { 0 };
            before = now;
        }
        // Kernel buffers of up to 6 MB a socket and direction, and our own of less than 2 MB a hop.
        assert!(
            before < 80 << 20,
            "{way:?}: {before} bytes are held for a reader that has stopped"
        );
        writing.abort();
        drop(read);
    }
}

#[tokio::test]
async fn two_hundred_megabytes_go_to_the_cluster_and_back_over_a_tunnel() {
    const BYTES: u64 = 200 << 20;
    let api = echoing_server().await;
    let gateway = Gateway::on(&api, Way::Agent).await;
    let (stream, _) = ask(&gateway, &Protocol::Spdy.head()).await;
    let (mut read, mut write) = tokio::io::split(stream);
    let before = resident_kib();
    let writing = tokio::spawn(async move {
        let mut pattern = vec![0; 251 * 256];
        for (at, byte) in pattern.iter_mut().enumerate() {
            *byte = u8::try_from(at % 251).expect("a byte");
        }
        let mut left = BYTES;
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(pattern.len());
            write.write_all(&pattern[..length]).await.expect("sent");
            left -= length as u64;
        }
        write.shutdown().await.expect("shut down");
    });
    let mut buffer = vec![0; 256 * 1024];
    let (mut total, mut most) = (0_u64, before);
    loop {
        let length = match read.read(&mut buffer).await {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => panic!("{error} after {total} bytes"),
        };
        let as_sent = |(at, byte): (u64, &u8)| u64::from(*byte) == (at % (251 * 256)) % 251;
        assert!((total..).zip(&buffer[..length]).all(as_sent), "at {total}");
        let checkpoint = total >> 24;
        total += length as u64;
        if total >> 24 != checkpoint {
            most = most.max(resident_kib());
        }
    }
    assert_eq!(total, BYTES);
    writing.await.expect("no panic");
    let (_, close) = gateway.log.only().await;
    assert_eq!((close.outcome, close.bytes_sent), (Outcome::Complete, BYTES));
    // Client, gateway, agent and cluster all are in this process.
    assert!(
        most - before < 64 * 1024,
        "{} KiB more than before",
        most - before
    );
}

/// The memory that this process has in RAM, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
