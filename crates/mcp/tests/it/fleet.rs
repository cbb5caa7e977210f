//! Reading of several clusters at once.

use std::sync::Arc;

use mk8s_mcp_core::{record::CallOutcome, settings::Settings};
use serde_json::json;

use crate::support::{Client, InMemory, Reply, Waiting};

#[tokio::test(start_paused = true)]
async fn clusters_that_hang_or_refuse_dont_hide_the_others() {
    let waiting = Arc::new(Waiting::default());
    let for_one = waiting.clone();
    let clusters = InMemory::new(&["east", "north", "west"], move |cluster, _| {
        match cluster.as_str() {
            "east" => Reply::Json(json!({"items": [{"metadata": {"name": "web-1", "namespace": "shop"}}]})),
            "north" => Reply::Hang(for_one.clone()),
            _ => Reply::Status(403, "pods is forbidden"),
        }
    });
    let mut client = Client::of(clusters, Settings::default()).await;
    let (is_error, text) = client.call("get", json!({"kind": "pods", "cluster": "*"})).await;
    assert!(!is_error, "{text}");
    for said in [
        "cluster east",
        "web-1",
        "cluster north",
        "no answer within 21 s",
        "cluster west",
        "pods is forbidden",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(waiting.count(), 0);
}

#[tokio::test]
async fn one_of_several_must_be_named() {
    let clusters = InMemory::new(&["east", "west"], |_, _| Reply::Json(json!({"items": []})));
    let mut client = Client::of(clusters.clone(), Settings::default()).await;
    let (is_error, text) = client.call("get", json!({"kind": "pods"})).await;
    assert!(is_error && text.contains("there are 2 clusters"), "{text}");
    let (is_error, text) = client
        .call("describe", json!({"kind": "pods", "name": "a", "cluster": "*"}))
        .await;
    assert!(is_error && text.contains("one at a time"), "{text}");
    assert_eq!(clusters.asked(), [""; 0]);
    let (is_error, text) = client
        .call("get", json!({"kind": "pods", "cluster": "west"}))
        .await;
    assert!(!is_error, "{text}");
}

#[tokio::test(start_paused = true)]
async fn many_clusters_that_hang_dont_hide_that_there_are_others() {
    let waiting = Arc::new(Waiting::default());
    let for_one = waiting.clone();
    let names: Vec<&'static str> = (0..60).map(|number| &*format!("c{number:02}").leak()).collect();
    let clusters = InMemory::new(&names, move |cluster, path| match (cluster.as_str(), path) {
        ("c00", "/readyz") => Reply::Bytes(b"ok".to_vec()),
        ("c00", _) => Reply::Status(403, "forbidden"),
        _ => Reply::Hang(for_one.clone()),
    });
    let mut client = Client::of(clusters, Settings::default()).await;
    let (is_error, text) = client.call("clusters", json!({})).await;
    assert!(!is_error && text.contains("60 clusters"), "{text}");
    for said in ["c00", "yes", "no answer within 5 s", "c59", "not asked"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(waiting.count(), 0);
}

#[tokio::test]
async fn a_cluster_without_a_way_is_told_like_one_that_isnt_there() {
    let clusters = InMemory::new(&["east", "west"], |_, _| Reply::NoCluster);
    let mut client = Client::of(clusters, Settings::default()).await;
    let hidden = client
        .call("get", json!({"kind": "pods", "cluster": "west"}))
        .await;
    let absent = client
        .call("get", json!({"kind": "pods", "cluster": "north"}))
        .await;
    assert_eq!(hidden, absent);
    assert!(
        hidden.0 && hidden.1.contains("no such cluster for you"),
        "{hidden:?}"
    );
    let outcomes: Vec<_> = client.records.all().iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [CallOutcome::Denied, CallOutcome::Denied]);
}

#[tokio::test]
async fn only_ready_clusters_are_listed_if_nobody_wants_the_others() {
    let clusters = InMemory::new(&["east", "west"], |cluster, path| {
        match (cluster.as_str(), path) {
            ("east", "/readyz") => Reply::Bytes(b"ok".to_vec()),
            _ => Reply::Status(503, "starting"),
        }
    });
    let mut client = Client::of(clusters, Settings::default()).await;
    let (is_error, text) = client.call("clusters", json!({})).await;
    assert!(
        !is_error && text.contains("2 clusters") && text.contains("west"),
        "{text}"
    );
    let (is_error, text) = client.call("clusters", json!({"readyOnly": true})).await;
    assert!(
        !is_error && text.contains("1 cluster") && text.contains("east") && !text.contains("west"),
        "{text}"
    );
    // Where nobody knows of providers and labels, nobody is told that there are none such.
    for chosen in [json!({"provider": "aws"}), json!({"labelSelector": "a=b"})] {
        let (is_error, text) = client.call("clusters", chosen).await;
        assert!(is_error && text.contains("leave out"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_list_of_clusters_waits_for_none_that_hangs() {
    let waiting = Arc::new(Waiting::default());
    let for_one = waiting.clone();
    let clusters = InMemory::new(&["east", "west"], move |cluster, path| {
        match (cluster.as_str(), path) {
            ("west", _) => Reply::Hang(for_one.clone()),
            (_, "/readyz") => Reply::Bytes(b"ok".to_vec()),
            (_, "/version") => Reply::Json(json!({"gitVersion": "v1.36.3"})),
            _ => Reply::Status(403, "nodes is forbidden"),
        }
    });
    let mut client = Client::of(clusters, Settings::default()).await;
    let (is_error, text) = client.call("clusters", json!({})).await;
    assert!(
        !is_error && text.contains("v1.36.3") && text.contains("no answer within 5 s"),
        "{text}"
    );
    assert_eq!(waiting.count(), 0);
}
