//! Reading of several clusters at once.

use std::sync::Arc;

use mk8s_mcp_core::settings::Settings;
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
