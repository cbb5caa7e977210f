//! Central's end: an agent that can't answer is never given a request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use mk8s_net::link::StreamCounters;
use mk8s_testkit::http2::{Peer, kind};
use tokio::{io::DuplexStream, task::JoinHandle};

/// A connection in memory that is being taken.
struct Taking {
    /// The agent's end.
    far: DuplexStream,
    outcome: JoinHandle<Result<(), String>>,
    counters: Arc<StreamCounters>,
    /// Whether `on_end` was called.
    ended: Arc<AtomicBool>,
}

fn accept() -> Taking {
    let (near, far) = tokio::io::duplex(1 << 16);
    let counters = Arc::new(StreamCounters::default());
    let ended = Arc::new(AtomicBool::new(false));
    let (counted, end) = (counters.clone(), ended.clone());
    let outcome = tokio::spawn(async move {
        let on_end = move || end.store(true, Ordering::SeqCst);
        let link = mk8s_tunnel::central::accept(near, counted, on_end).await;
        link.map(drop).map_err(|error| error.to_string())
    });
    Taking {
        far,
        outcome,
        counters,
        ended,
    }
}

#[tokio::test]
async fn an_agent_that_answers_is_taken() {
    let Taking {
        far,
        outcome,
        counters,
        ..
    } = accept();
    let mut agent = Peer::server(far, &[]).await.expect("HTTP/2");
    let probe = agent.read_kind(kind::HEADERS).await.expect("a probe");
    agent.ok(probe.stream, true).await.expect("sent");
    outcome.await.expect("no panic").expect("a tunnel");
    assert_eq!((counters.opened(), counters.closed()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_is_not_taken_and_its_connection_is_ended() {
    let Taking {
        far,
        outcome,
        counters,
        ..
    } = accept();
    let mut agent = Peer::server(far, &[]).await.expect("HTTP/2");
    // It answers pings, and never the probe.
    while agent.read().await.is_ok() {}
    let error = outcome.await.expect("no panic").expect_err("not taken");
    assert!(error.contains("did not answer on its own connection"), "{error}");
    assert_eq!(counters.opened(), counters.closed());
}

#[tokio::test]
async fn an_agent_that_answers_anything_but_200_is_not_taken_and_its_connection_is_ended() {
    let Taking {
        far,
        outcome,
        counters,
        ended,
    } = accept();
    let mut agent = Peer::server(far, &[]).await.expect("HTTP/2");
    let probe = agent.read_kind(kind::HEADERS).await.expect("a probe");
    agent
        .headers(probe.stream, &[(":status", "503")], true)
        .await
        .expect("sent");
    let error = outcome.await.expect("no panic").expect_err("not taken");
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
    let Taking {
        far: _silent,
        outcome,
        ..
    } = accept();
    let error = outcome.await.expect("no panic").expect_err("not taken");
    assert!(error.contains("said nothing"), "{error}");
}

#[tokio::test]
async fn an_agent_that_hangs_up_is_not_taken() {
    let Taking { far, outcome, .. } = accept();
    drop(far);
    outcome.await.expect("no panic").expect_err("not taken");

    let Taking {
        far,
        outcome,
        counters,
        ..
    } = accept();
    let mut agent = Peer::server(far, &[]).await.expect("HTTP/2");
    agent.read_kind(kind::HEADERS).await.expect("a probe");
    drop(agent);
    outcome.await.expect("no panic").expect_err("not taken");
    assert_eq!(counters.opened(), counters.closed());
}
