//! How calls end before their answer: by time, by their client, by their number.

use std::sync::Arc;

use mk8s_mcp_core::{record::CallOutcome, settings::Settings};
use serde_json::json;

use crate::support::{Client, InMemory, Reply, Waiting, told};

fn hanging() -> (Arc<InMemory>, Arc<Waiting>) {
    let waiting = Arc::new(Waiting::default());
    let for_all = waiting.clone();
    (
        InMemory::new(&["home"], move |_, _| Reply::Hang(for_all.clone())),
        waiting,
    )
}

#[tokio::test]
async fn a_cancelled_call_ends_what_it_waits_for() {
    let (clusters, waiting) = hanging();
    let mut client = Client::of(
        clusters,
        Settings {
            call_seconds: 600,
            ..Settings::default()
        },
    )
    .await;
    let id = client
        .begin(
            "tools/call",
            json!({"name": "get", "arguments": {"kind": "pods"}}),
        )
        .await;
    waiting.reach(1).await;
    client
        .tell(
            "notifications/cancelled",
            json!({"requestId": id, "reason": "never mind"}),
        )
        .await;
    waiting.reach(0).await;
    let records = client.records.all();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].outcome, CallOutcome::Cancelled);
    // The connection goes on.
    let (is_error, _) = client.call("clusters", json!({"cluster": "nowhere"})).await;
    assert!(is_error);
}

#[tokio::test]
async fn a_client_that_goes_ends_its_calls() {
    let (clusters, waiting) = hanging();
    let mut client = Client::of(
        clusters,
        Settings {
            call_seconds: 600,
            ..Settings::default()
        },
    )
    .await;
    client
        .begin(
            "tools/call",
            json!({"name": "get", "arguments": {"kind": "pods"}}),
        )
        .await;
    waiting.reach(1).await;
    let records = client.records.clone();
    drop(client);
    waiting.reach(0).await;
    assert_eq!(records.all().len(), 1);
    assert_eq!(records.all()[0].outcome, CallOutcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_hangs_is_given_up() {
    let (clusters, waiting) = hanging();
    let mut client = Client::of(clusters, Settings::default()).await;
    let id = client
        .begin(
            "tools/call",
            json!({"name": "get", "arguments": {"kind": "pods"}}),
        )
        .await;
    let (is_error, text) = told(&client.answer(id).await);
    assert!(is_error && text.contains("no answer within 30 s"), "{text}");
    assert_eq!(waiting.count(), 0);
    assert_eq!(client.records.all()[0].outcome, CallOutcome::Failed);
}

#[tokio::test]
async fn too_many_calls_are_refused_and_written_down() {
    let clusters = InMemory::new(&["home"], |_, _| Reply::Json(json!({"items": []})));
    let settings = Settings {
        calls_per_minute: 3,
        ..Settings::default()
    };
    let mut client = Client::of(clusters.clone(), settings).await;
    for _ in 0..3 {
        assert!(!client.call("get", json!({"kind": "pods"})).await.0);
    }
    let (is_error, text) = client.call("get", json!({"kind": "pods"})).await;
    assert!(is_error && text.contains("too many calls: wait "), "{text}");
    assert_eq!(clusters.asked().len(), 3);
    let outcomes: Vec<_> = client.records.all().iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes[3], CallOutcome::Denied);
}

#[tokio::test]
async fn a_call_is_written_down_with_who_and_what_but_not_with_its_arguments() {
    let clusters = InMemory::new(&["home"], |_, _| Reply::Json(json!({"items": []})));
    let mut client = Client::of(clusters, Settings::default()).await;
    client
        .call("get", json!({"kind": "pods", "labelSelector": "customer=acme"}))
        .await;
    client
        .call("get", json!({"labelSelector": "customer=acme", "kind": "pods"}))
        .await;
    client
        .call("get", json!({"kind": "pods", "labelSelector": "customer=other"}))
        .await;
    let records = client.records.all();
    let first = serde_json::to_value(&records[0]).expect("JSON");
    assert_eq!(
        (&first["user"], &first["tool"], &first["outcome"]),
        (&"anna".into(), &"get".into(), &"answered".into())
    );
    assert_eq!(
        (&first["groups"][0], &first["source"]),
        (&"devs".into(), &"192.0.2.7".into())
    );
    assert_eq!(first["client"], "test/1");
    assert!(!first.to_string().contains("acme"));
    // The order of arguments is nobody's.
    assert_eq!(records[0].arguments_digest, records[1].arguments_digest);
    assert_ne!(records[0].arguments_digest, records[2].arguments_digest);
    assert_ne!(records[0].id, records[1].id);
}
