//! Central's end: an agent that can't answer is never given a request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use mk8s_net::link::StreamCounters;
use mk8s_testkit::http2::{Peer, kind};
use tokio::{io::DuplexStream, task::JoinHandle};

/// Takes a connection in memory. Whether `on_end` was called is in the flag.
fn accept() -> (
    DuplexStream,
    JoinHandle<Result<(), String>>,
    Arc<StreamCounters>,
    Arc<AtomicBool>,
) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let counters = Arc::new(StreamCounters::default());
    let ended = Arc::new(AtomicBool::new(false));
    let (counted, end) = (counters.clone(), ended.clone());
    let accepting = tokio::spawn(async move {
        let link =
            mk8s_tunnel::central::accept(near, counted, move || end.store(true, Ordering::SeqCst)).await;
        link.map(drop).map_err(|error| error.to_string())
    });
    (far, accepting, counters, ended)
}

#[tokio::test]
async fn an_agent_that_answers_is_taken() {
    let (far, accepting, counters, _) = accept();
    let mut agent = Peer::server(far, &[]).await.expect("HTTP/2");
    let probe = agent.read_kind(kind::HEADERS).await.expect("a probe");
    agent.ok(probe.stream, true).await.expect("sent");
    accepting.await.expect("no panic").expect("a tunnel");
    assert_eq!((counters.opened(), counters.closed()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_is_not_taken_and_its_connection_is_ended() {
    let (far, accepting, counters, _) = accept();
    let mut agent = Peer::server(far, &[]).await.expect("HTTP/2");
    // It answers pings, and never the probe.
    while agent.read().await.is_ok() {}
    let error = accepting.await.expect("no panic").expect_err("not taken");
    assert!(error.contains("did not answer on its own connection"), "{error}");
    assert_eq!(counters.opened(), counters.closed());
}

#[tokio::test]
async fn an_agent_that_answers_anything_but_200_is_not_taken_and_its_connection_is_ended() {
    let (far, accepting, counters, ended) = accept();
    let mut agent = Peer::server(far, &[]).await.expect("HTTP/2");
    let probe = agent.read_kind(kind::HEADERS).await.expect("a probe");
    agent
        .headers(probe.stream, &[(":status", "503")], true)
        .await
        .expect("sent");
    let error = accepting.await.expect("no panic").expect_err("not taken");
    assert!(error.contains("503"), "{error}");
    while agent.read().await.is_ok() {}
    assert_eq!(counters.opened(), counters.closed());
    mk8s_testkit::soon("the end to be told", || {
        ended.load(Ordering::SeqCst).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_says_nothing_at_all_is_not_taken() {
    let (_far, accepting, _, _) = accept();
    let error = accepting.await.expect("no panic").expect_err("not taken");
    assert!(error.contains("said nothing"), "{error}");
}

#[tokio::test]
async fn an_agent_that_hangs_up_is_not_taken() {
    let (far, accepting, _, _) = accept();
    drop(far);
    accepting.await.expect("no panic").expect_err("not taken");

    let (far, accepting, counters, _) = accept();
    let mut agent = Peer::server(far, &[]).await.expect("HTTP/2");
    agent.read_kind(kind::HEADERS).await.expect("a probe");
    drop(agent);
    accepting.await.expect("no panic").expect_err("not taken");
    assert_eq!(counters.opened(), counters.closed());
}
