//! From the journal into the database: everything, once.

use std::sync::Arc;

use mk8s_audit::{Journal, Limits, Shipper};
use mk8s_model::Outcome;
use mk8s_proxy::AuditLog as _;

use crate::support::{Rows, close, first_half, id, open, second_half, start};

#[tokio::test]
async fn an_event_arrives_as_it_was_written_down() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let (journal, mut shipper) = start(dir.path(), &sink);
    let id = id();
    let event = first_half(id);
    journal.open(&event).expect("written down");
    journal.close(&second_half(id));
    shipper.ship().await.expect("shipped");
    let row = sink.row(id);
    assert_eq!((row.open, row.close), (event, Some(second_half(id))));
    assert_eq!(journal.unshipped_bytes(), 0);
}

#[tokio::test]
async fn nothing_is_lost_nor_doubled_while_the_database_is_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let (journal, mut shipper) = start(dir.path(), &sink);
    sink.go_away();
    let mut events = Vec::new();
    for round in 0..20 {
        for number in 0..50 {
            let id = open(&journal);
            if number % 5 != 0 {
                close(&journal, id);
            }
            events.push((id, number % 5 != 0));
        }
        if round % 3 == 0 {
            shipper.ship().await.expect_err("away");
        }
    }
    assert_eq!(sink.len(), 0);
    assert!(journal.unshipped_bytes() > 0);
    sink.come_back();
    shipper.ship().await.expect("shipped");
    assert_eq!(sink.len(), events.len());
    for (id, is_closed) in events {
        assert_eq!(sink.outcome(id), is_closed.then_some(Outcome::Complete));
    }
    assert_eq!(journal.unshipped_bytes(), 0);
}

#[tokio::test]
async fn events_that_the_database_took_without_saying_so_are_one_row_each() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let (journal, mut shipper) = start(dir.path(), &sink);
    sink.take_and_deny_it();
    let (whole, running) = (open(&journal), open(&journal));
    close(&journal, whole);
    for _ in 0..3 {
        shipper.ship().await.expect_err("so it says");
    }
    close(&journal, running);
    sink.come_back();
    shipper.ship().await.expect("shipped");
    assert_eq!(sink.len(), 2);
    assert_eq!(
        (sink.outcome(whole), sink.outcome(running)),
        (Some(Outcome::Complete), Some(Outcome::Complete))
    );
}

#[tokio::test]
async fn a_request_that_runs_over_many_rounds_is_one_row_that_is_completed_at_its_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let (journal, mut shipper) = start(dir.path(), &sink);
    let watch = open(&journal);
    for _ in 0..10 {
        let id = open(&journal);
        close(&journal, id);
        shipper.ship().await.expect("shipped");
        assert_eq!(sink.outcome(watch), None, "it still runs");
        let running = std::fs::read_to_string(dir.path().join("running.jsonl")).expect("a file");
        assert_eq!(running.lines().count(), 1);
        assert!(running.contains(&watch.to_string()));
    }
    close(&journal, watch);
    shipper.ship().await.expect("shipped");
    assert_eq!(sink.outcome(watch), Some(Outcome::Complete));
    assert_eq!(
        std::fs::read_to_string(dir.path().join("running.jsonl")).expect("a file"),
        ""
    );
    assert_eq!(sink.len(), 11);
}

#[tokio::test]
async fn a_request_that_ran_over_many_rounds_when_the_process_died_was_interrupted() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let (long, short, closed_unshipped) = {
        let (journal, mut shipper) = start(dir.path(), &sink);
        let (long, closed_unshipped) = (open(&journal), open(&journal));
        for _ in 0..3 {
            shipper.ship().await.expect("shipped");
        }
        close(&journal, closed_unshipped);
        (long, open(&journal), closed_unshipped)
    };
    let (_journal, mut shipper) = start(dir.path(), &sink);
    shipper.ship().await.expect("shipped");
    assert_eq!(sink.outcome(long), Some(Outcome::Interrupted));
    assert_eq!(sink.outcome(short), Some(Outcome::Interrupted));
    assert_eq!(
        sink.outcome(closed_unshipped),
        Some(Outcome::Complete),
        "its end was written down"
    );
    assert_eq!(sink.len(), 3);
}

#[tokio::test]
async fn a_process_that_dies_again_before_it_has_shipped_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    sink.go_away();
    let mut events = Vec::new();
    for _ in 0..5 {
        let (journal, mut shipper) = start(dir.path(), &sink);
        events.push(open(&journal));
        shipper.ship().await.expect_err("away");
        events.push(open(&journal));
    }
    sink.come_back();
    let (journal, mut shipper) = start(dir.path(), &sink);
    shipper.ship().await.expect("shipped");
    shipper.ship().await.expect("nothing more");
    for id in &events {
        assert_eq!(sink.outcome(*id), Some(Outcome::Interrupted));
    }
    assert_eq!((sink.len(), journal.unshipped_bytes()), (events.len(), 0));
}

#[tokio::test]
async fn more_than_a_batch_is_shipped_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let (journal, mut shipper) = start(dir.path(), &sink);
    for _ in 0..5_000 {
        let id = open(&journal);
        close(&journal, id);
    }
    shipper.ship().await.expect("shipped");
    assert_eq!(sink.len(), 5_000);
}

#[tokio::test]
async fn a_shipper_that_is_stopped_ships_what_is_left_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let (journal, shipper) = start(dir.path(), &sink);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shipping = tokio::spawn(shipper.run(async move {
        let _ = stopped.await;
    }));
    let id = open(&journal);
    close(&journal, id);
    stop.send(()).expect("it runs");
    shipping.await.expect("no panic");
    assert_eq!(sink.outcome(id), Some(Outcome::Complete));
}

#[tokio::test]
async fn a_shipper_goes_on_by_itself_when_the_database_is_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let (journal, shipper) = start(dir.path(), &sink);
    sink.go_away();
    let shipping = tokio::spawn(shipper.run(std::future::pending()));
    let id = open(&journal);
    close(&journal, id);
    mk8s_testkit::soon("a first attempt", || {
        dir.path()
            .join("00000000000000000001.jsonl")
            .exists()
            .then_some(())
    })
    .await;
    sink.come_back();
    mk8s_testkit::soon("the event to arrive", || (sink.len() == 1).then_some(())).await;
    shipping.abort();
}

#[tokio::test]
async fn many_threads_write_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let (journal, mut shipper) = start(dir.path(), &sink);
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let journal = journal.clone();
            std::thread::spawn(move || {
                for _ in 0..500 {
                    let id = open(&journal);
                    close(&journal, id);
                }
            })
        })
        .collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        shipper.ship().await.expect("shipped");
    }
    for writer in writers {
        writer.join().expect("no panic");
    }
    shipper.ship().await.expect("shipped");
    assert_eq!((sink.len(), journal.unshipped_bytes()), (4_000, 0));
}

#[tokio::test]
async fn a_full_journal_refuses_requests_until_it_is_shipped() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let journal = Journal::open(dir.path(), Limits { max_bytes: 10_000 }).expect("a journal");
    let mut shipper = Shipper::new(journal.clone(), sink.clone()).expect("a shipper");
    sink.go_away();
    let mut written = Vec::new();
    let refusal = loop {
        let id = id();
        match journal.open(&first_half(id)) {
            Ok(()) => written.push(id),
            Err(refusal) => break refusal,
        }
        assert!(written.len() < 1000, "it is never full");
    };
    assert!(refusal.to_string().contains("the journal is full"), "{refusal}");
    // How what runs ends is written down all the same.
    written.iter().for_each(|id| close(&journal, *id));
    sink.come_back();
    shipper.ship().await.expect("shipped");
    assert!(
        written
            .iter()
            .all(|id| sink.outcome(*id) == Some(Outcome::Complete))
    );
    open(&journal);
}

#[tokio::test]
async fn a_journal_that_is_full_from_the_last_run_refuses_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    {
        let journal = Journal::open(dir.path(), Limits::default()).expect("a journal");
        for _ in 0..100 {
            open(&journal);
        }
    }
    let journal = Journal::open(dir.path(), Limits { max_bytes: 1000 }).expect("a journal");
    assert!(journal.open(&first_half(id())).is_err());
}
