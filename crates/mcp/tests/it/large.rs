//! Answers that are too much.

use std::sync::Arc;

use mk8s_mcp_core::settings::Settings;
use serde_json::json;

use crate::support::{Client, InMemory, Reply};

#[tokio::test]
async fn an_object_of_fifty_megabytes_is_not_read_to_its_end() {
    let clusters = InMemory::new(&["home"], |_, _| {
        let data = "x".repeat(50 << 20);
        Reply::Json(json!({"kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"a": data}}))
    });
    let mut client = Client::of(clusters, Settings::default()).await;
    let (is_error, text) = client
        .call(
            "get",
            json!({"kind": "configmaps", "namespace": "a", "name": "big"}),
        )
        .await;
    assert!(
        is_error && text.contains("more than 32 MiB") && text.len() < 1_000,
        "{text}"
    );
}

#[tokio::test]
async fn of_a_log_without_end_the_end_is_kept() {
    let pod = json!({"metadata": {"name": "p", "namespace": "a"}, "spec": {"containers": [{"name": "c"}]}});
    let clusters: Arc<InMemory> = InMemory::new(&["home"], move |_, path| {
        if path.contains("/log?") {
            let mut log = Vec::new();
            for line in 0..600_000 {
                log.extend_from_slice(format!("line {line} says what it says\n").as_bytes());
            }
            return Reply::Bytes(log);
        }
        Reply::Json(pod.clone())
    });
    let mut client = Client::of(clusters, Settings::default()).await;
    let (is_error, text) = client.call("logs", json!({"pod": "p", "namespace": "a"})).await;
    assert!(!is_error, "{text}");
    assert!(text.contains("KiB before them were left out"), "{}", &text[..600]);
    assert!(
        text.contains("line 599999 ") && text.len() < 40_000,
        "{} bytes",
        text.len()
    );
}

#[tokio::test]
async fn what_isnt_json_is_said_in_one_line() {
    for bytes in [&b"<html>"[..], b"", b"{\"items\": 5}", b"[[[["] {
        let bytes = bytes.to_vec();
        let clusters = InMemory::new(&["home"], move |_, _| Reply::Bytes(bytes.clone()));
        let mut client = Client::of(clusters, Settings::default()).await;
        let (is_error, text) = client.call("get", json!({"kind": "pods"})).await;
        assert!(is_error && text.contains("can't be read"), "{text}");
    }
}
