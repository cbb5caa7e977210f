//! What agents pay for stays as small as it is: ten answers, counted by a real vocabulary. Whoever makes one longer for a reason raises its
//! bound here, and says why.

use mk8s_mcp_core::answer::Shape;
use serde_json::{Value, json};

use crate::readable::{deployment, event, healthy, node, pod, shown};

fn pods(count: usize) -> Vec<Value> {
    let mut pods: Vec<Value> = (0..count)
        .map(|n| healthy(&format!("web-7d9c8b6f5d-{n:05}")))
        .collect();
    pods.push(pod());
    pods
}

fn deployments() -> Vec<Value> {
    let named = |n: usize| {
        let mut deployment = deployment();
        deployment["metadata"]["name"] = json!(format!("web-{n}"));
        deployment
    };
    (0..20).map(named).collect()
}

fn events() -> Vec<Value> {
    let named = |n: usize| {
        let mut event = event("Warning", "BackOff", "Back-off restarting failed container app");
        event["involvedObject"]["name"] = json!(format!("web-7d9c8b6f5d-{n:05}"));
        event
    };
    (0..50).map(named).collect()
}

fn config() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "shop"},
        "data": {"application.yaml": "server:\n  port: 8080\n  timeout: 30s\n".repeat(20), "LOG_LEVEL": "info"}})
}

#[test]
fn ten_answers_are_no_longer_than_they_were() {
    let slim = Shape::Slim;
    let nodes = (0..10).map(|n| node(&format!("node-{n}"), "True")).collect();
    let answers = [
        ("a pod", 640, shown(vec![pod()], slim, &[])),
        ("a pod in full", 1_130, shown(vec![pod()], Shape::Full, &[])),
        ("a deployment", 260, shown(vec![deployment()], slim, &[])),
        ("a node", 240, shown(vec![node("node-a", "True")], slim, &[])),
        ("ten nodes", 290, shown(nodes, slim, &[])),
        ("100 pods, of which one fails", 3_750, shown(pods(99), slim, &[])),
        ("their names", 1_750, shown(pods(99), Shape::Names, &[])),
        ("20 deployments", 650, shown(deployments(), slim, &[])),
        ("50 warnings", 2_080, shown(events(), slim, &[])),
        ("a ConfigMap", 460, shown(vec![config()], slim, &[])),
    ];
    let vocabulary = tiktoken_rs::o200k_base().unwrap();
    let counted: Vec<(&str, usize, usize)> = answers
        .iter()
        .map(|(name, bound, text)| (*name, *bound, vocabulary.encode_ordinary(text).len()))
        .collect();
    for (name, bound, tokens) in &counted {
        assert!(
            tokens <= bound,
            "{name} has {tokens} tokens, and may have {bound}: {counted:?}"
        );
        // A bound that is far off watches nothing.
        assert!(
            tokens * 5 >= bound * 4,
            "{name} has {tokens} tokens: lower its bound of {bound}: {counted:?}"
        );
    }
}
