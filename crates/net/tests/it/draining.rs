//! Stopping: what runs may end, what idles goes at once, what hangs is cut.

use std::{sync::Arc, time::Duration};

use mk8s_net::{
    drain::Drain,
    link::{Link, SendError, StreamCounters},
    listen,
    workers::Workers,
};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::support::{Client, HTTP1, HTTP2, Served, ask, get, text};

/// Longer than any test may take.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_request_in_flight_ends_and_its_connection_with_it() {
    for alpn in [HTTP1, HTTP2] {
        let mut served = Served::start().await;
        let mut client = served.client(alpn).await;
        let asking = tokio::spawn(async move {
            let answer = client.send(get("/wait")).await;
            (answer.expect("an answer"), client)
        });
        served.held.recv().await.expect("a held request");
        let stopping = served.stop(LONG).await;
        assert!(!stopping.is_finished(), "a request still runs");
        served.release();
        let (answer, mut client) = asking.await.expect("no panic");
        assert!(text(answer).await.starts_with("GET /wait"));
        assert!(stopping.await.expect("no panic"), "all ended by itself");
        client.closed().await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_at_once() {
    for alpn in [HTTP1, HTTP2] {
        let mut served = Served::start().await;
        let mut used = served.client(alpn).await;
        text(used.send(get("/")).await.expect("an answer")).await;
        let stopping = served.stop(LONG).await;
        assert!(stopping.await.expect("no panic"), "nothing ran");
        used.closed().await;
    }
}

#[tokio::test]
async fn a_connection_that_never_asked_is_closed_at_once() {
    for alpn in [HTTP1, HTTP2] {
        let mut served = Served::start().await;
        let mut silent = served.connect(alpn).await;
        // A second one that is answered: the first has been accepted by then.
        text(served.client(alpn).await.send(get("/")).await.expect("an answer")).await;
        let stopping = served.stop(LONG).await;
        assert!(stopping.await.expect("no panic"), "nothing ran");
        let mut rest = Vec::new();
        let _ = silent.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn what_hangs_is_cut_after_the_grace() {
    for alpn in [HTTP1, HTTP2] {
        let mut served = Served::start().await;
        let mut client = served.client(alpn).await;
        let asking = tokio::spawn(async move {
            let answer = client.send(get("/wait")).await;
            (answer.map(drop), client)
        });
        served.held.recv().await.expect("a held request");
        let stopping = served.stop(Duration::from_millis(1)).await;
        assert!(!stopping.await.expect("no panic"), "it had to be cut");
        let (answer, mut client) = asking.await.expect("no panic");
        assert!(answer.is_err(), "a request that was cut is no answer");
        client.closed().await;
    }
}

#[tokio::test]
async fn a_request_on_a_draining_connection_counts_as_unprocessed() {
    let mut served = Served::start().await;
    let stream = served.connect(HTTP2).await;
    let counters = Arc::new(StreamCounters::default());
    let mut link = Link::handshake(stream, counters.clone(), || {})
        .await
        .expect("a link");
    let mut second = link.clone();
    let first = tokio::spawn(async move { link.send(ask("/wait")).await });
    served.held.recv().await.expect("a held request");
    let stopping = served.stop(LONG).await;
    // The GOAWAY is on its way; until it is here, requests are still taken.
    let refused = loop {
        match second.send(ask("/")).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SendError::Unprocessed(_)), "{refused:?}");
    assert!(!second.is_open());
    served.release();
    first
        .await
        .expect("no panic")
        .expect("the answer of the request that ran");
    assert!(stopping.await.expect("no panic"));
    mk8s_testkit::soon("all streams to be closed", || {
        (counters.opened() == counters.closed()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nothing_is_accepted_any_more() {
    let listener = listen::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let workers = Arc::new(Workers::start("test", 2).expect("threads"));
    let drain = Drain::new();
    let watch = drain.watch();
    let accepting = tokio::spawn(listen::accept(
        listener,
        workers,
        drain.watch(),
        move |stream, _| {
            let watch = watch.clone();
            async move {
                let service = crate::support::Service::new();
                mk8s_net::serve::connection(stream, mk8s_net::serve::Protocol::Http1, service, watch).await;
            }
        },
    ));
    let stream = TcpStream::connect(address).await.expect("a connection");
    let mut client = Client::over(stream, HTTP1).await;
    text(client.send(get("/")).await.expect("an answer")).await;
    assert!(drain.finish(LONG).await);
    accepting.await.expect("no panic").expect("no error");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the port is free again"
    );
}

#[test]
fn a_port_that_is_taken_says_what_to_do() {
    let taken = listen::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = taken.local_addr().expect("an address");
    let error = listen::bind(address).expect_err("taken").to_string();
    assert!(
        error.contains(&address.to_string()) && error.contains("another program has this port"),
        "{error}"
    );
}
