//! The agent's end.

use std::{sync::Arc, time::Duration};

use http::Request;
use http_body_util::BodyExt as _;
use mk8s_net::{
    Body,
    link::{SendError, StreamCounters},
};
use mk8s_testkit::{Pki, soon};
use mk8s_tls::TlsAcceptor;
use mk8s_tunnel::agent::Central;
use tokio::net::TcpListener;

use crate::support::{Agent, Port, ask};

const LONG: Duration = Duration::from_secs(600);

async fn all_closed(counters: &StreamCounters) {
    soon("all streams to be closed", || {
        (counters.opened() == counters.closed()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_agent_serves_on_the_connection_that_it_dialled() {
    let port = Port::open().await;
    let _agent = Agent::start(port.dial(), 1);
    let counters = Arc::new(StreamCounters::default());
    let mut link = port.link(&counters).await;
    let request = Request::post("https://kubernetes.mk8s.internal/echo")
        .body(Body::full("hello"))
        .expect("a request");
    let answer = link.send(request).await.expect("an answer");
    assert_eq!(
        answer.into_body().collect().await.expect("a body").to_bytes(),
        "hello"
    );
    assert_eq!(
        link.send(ask("/elsewhere")).await.expect("an answer").status(),
        404
    );
    all_closed(&counters).await;
}

#[tokio::test]
async fn an_agent_shows_its_certificate_and_believes_central_alone() {
    let port = Port::open().await;
    let _agent = Agent::start(port.dial(), 1);
    let stream = port.connection().await;
    let certificate = mk8s_tls::peer_certificate(stream.get_ref().1)
        .expect("readable")
        .expect("shown");
    assert_eq!(certificate.common_name, "prod");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(mk8s_tunnel::ALPN));

    // Somebody else on the same port, with a certificate of another authority.
    let stranger = Pki::new();
    let central = Central {
        tls: stranger.client_named("prod", &[mk8s_tunnel::ALPN]),
        ..port.dial()
    };
    let tls = TlsAcceptor::from(port.pki.server(&[mk8s_tunnel::ALPN]));
    let accepting = async {
        // The agent's own may dial, too; the stranger's is the one that fails.
        loop {
            let (stream, _) = port.listener.accept().await.expect("a connection");
            if tls.accept(stream).await.is_err() {
                return;
            }
        }
    };
    let (refused, ()) = tokio::join!(central.connect(), accepting);
    let error = refused.expect_err("not believed").to_string();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn an_agent_whose_central_is_away_keeps_trying() {
    // A port that nobody listens on yet.
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    };
    let pki = Pki::new();
    let central = Central {
        host: "127.0.0.1".to_owned(),
        port: address.port(),
        tls: pki.client_named("prod", &[mk8s_tunnel::ALPN]),
    };
    let error = central.connect().await.expect_err("nobody there");
    assert!(error.to_string().contains("refused"), "{error}");
    let _agent = Agent::start(central, 1);
    let port = Port {
        pki,
        listener: TcpListener::bind(address).await.expect("the port"),
    };
    port.link(&Arc::default()).await;
}

#[tokio::test]
async fn an_agent_dials_again_whenever_its_tunnel_ends() {
    let port = Port::open().await;
    let _agent = Agent::start(port.dial(), 1);
    let counters = Arc::new(StreamCounters::default());
    for _ in 0..3 {
        let mut link = port.link(&counters).await;
        let answer = link.send(ask("/endless")).await.expect("an answer");
        link.cut();
        assert!(
            answer.into_body().collect().await.is_err(),
            "what ran on it ends with an error"
        );
    }
    all_closed(&counters).await;
}

#[tokio::test]
async fn an_agent_keeps_as_many_tunnels_as_it_is_told() {
    let port = Port::open().await;
    let _agent = Agent::start(port.dial(), 3);
    let counters = Arc::new(StreamCounters::default());
    let mut links = Vec::new();
    for _ in 0..3 {
        links.push(port.link(&counters).await);
    }
    for link in &mut links {
        assert_eq!(
            link.send(ask("/elsewhere")).await.expect("an answer").status(),
            404
        );
    }
}

#[tokio::test]
async fn what_runs_on_one_tunnel_survives_the_death_of_another() {
    let port = Port::open().await;
    let _agent = Agent::start(port.dial(), 2);
    let counters = Arc::new(StreamCounters::default());
    let (mut first, mut second) = (port.link(&counters).await, port.link(&counters).await);
    let dying = first.send(ask("/endless")).await.expect("an answer");
    let mut living = second.send(ask("/endless")).await.expect("an answer");
    first.cut();
    assert!(dying.into_body().collect().await.is_err());
    living
        .body_mut()
        .frame()
        .await
        .expect("a frame")
        .expect("a piece");
    assert_eq!(
        second.send(ask("/elsewhere")).await.expect("an answer").status(),
        404
    );
    // And the dead one comes back.
    let mut third = port.link(&counters).await;
    assert_eq!(
        third.send(ask("/elsewhere")).await.expect("an answer").status(),
        404
    );
}

#[tokio::test]
async fn a_server_that_knows_no_tunnels_is_told_apart() {
    let port = Port::open().await;
    // One that refuses the protocol, as central's other port would; and one that says nothing about protocols, as a load
    // balancer does that ends TLS.
    let rows: [(&[&[u8]], &str); 2] = [
        (&[b"h2"], "NoApplicationProtocol"),
        (&[], "a proxy in between ends TLS"),
    ];
    for (alpn, said) in rows {
        let tls = TlsAcceptor::from(port.pki.server(alpn));
        let central = port.dial();
        let accepting = async {
            let (stream, _) = port.listener.accept().await.expect("a connection");
            let _ = tls.accept(stream).await;
        };
        let (connected, ()) = tokio::join!(central.connect(), accepting);
        let error = connected.expect_err("no tunnel").to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_central_that_never_shakes_hands_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let pki = Pki::new();
    let central = Central {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().expect("an address").port(),
        tls: pki.client_named("prod", &[mk8s_tunnel::ALPN]),
    };
    let error = central.connect().await.expect_err("given up").to_string();
    assert!(error.contains("within 15 s"), "{error}");
}

#[tokio::test]
async fn a_draining_agent_ends_what_runs_and_takes_nothing_new() {
    let port = Port::open().await;
    let mut agent = Agent::start(port.dial(), 1);
    let counters = Arc::new(StreamCounters::default());
    let mut link = port.link(&counters).await;
    let mut other = link.clone();
    let running = tokio::spawn(async move { link.send(ask("/wait")).await });
    agent.held.recv().await.expect("a held request");
    let stopping = agent.stop(LONG).await;
    // The GOAWAY is on its way; until it is here, requests are still taken.
    let refused = loop {
        match other.send(ask("/elsewhere")).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, SendError::Unprocessed(_)),
        "{refused:?}: it can go to another agent"
    );
    assert!(!stopping.is_finished());
    agent.release();
    let answer = running.await.expect("no panic").expect("an answer");
    assert_eq!(
        answer.into_body().collect().await.expect("a body").to_bytes(),
        "waited"
    );
    assert!(stopping.await.expect("no panic"), "all ended by itself");
    agent.serving.await.expect("no panic");
    all_closed(&counters).await;
}

#[tokio::test]
async fn an_agent_that_cannot_wait_cuts_what_runs() {
    let port = Port::open().await;
    let mut agent = Agent::start(port.dial(), 1);
    let counters = Arc::new(StreamCounters::default());
    let mut link = port.link(&counters).await;
    let endless = link.send(ask("/endless")).await.expect("an answer");
    let stopping = agent.stop(Duration::from_millis(1)).await;
    assert!(endless.into_body().collect().await.is_err());
    assert!(!stopping.await.expect("no panic"), "it had to be cut");
    agent.serving.await.expect("no panic");
    all_closed(&counters).await;
}

#[tokio::test]
async fn an_agent_that_is_stopped_while_it_waits_stops_at_once() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    };
    let central = Central {
        host: "127.0.0.1".to_owned(),
        port: address.port(),
        tls: Pki::new().client_named("prod", &[mk8s_tunnel::ALPN]),
    };
    let mut agent = Agent::start(central, 2);
    assert!(agent.stop(LONG).await.await.expect("no panic"));
    agent.serving.await.expect("no panic");
}

#[tokio::test]
async fn a_thousand_streams_run_at_once_on_one_tunnel() {
    let port = Port::open().await;
    let _agent = Agent::start(port.dial(), 1);
    let counters = Arc::new(StreamCounters::default());
    let mut link = port.link(&counters).await;
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let mut answer = link.send(ask("/endless")).await.expect("an answer");
        answer
            .body_mut()
            .frame()
            .await
            .expect("a frame")
            .expect("a piece");
        streams.push(answer);
    }
    assert!(link.has_room());
    assert_eq!(link.in_flight(), 1000);
    assert_eq!(
        link.send(ask("/elsewhere")).await.expect("an answer").status(),
        404
    );
    drop(streams);
    all_closed(&counters).await;
    // A thousand resets are no attack.
    assert_eq!(
        link.send(ask("/elsewhere")).await.expect("an answer").status(),
        404
    );
}
