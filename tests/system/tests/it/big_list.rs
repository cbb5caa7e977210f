//! A list of 100 MB in constant memory.

use std::time::{Duration, Instant};

use mk8s_testkit::{Cluster, Gateway, Namespace, gateway::MAIN};

use crate::http;

const OBJECTS: usize = 112;
const OBJECT_BYTES: usize = 900_000;
/// How much more memory a program may have while the list goes through it than while it idles. The list is six times this.
const ALLOWANCE: u64 = 16 * 1024 * 1024;

#[test]
fn a_list_of_100_mb_needs_no_more_memory_than_a_small_one() {
    let (cluster, mut gateway) = (Cluster::shared(), Gateway::start());
    let namespace = cluster.namespace();
    fill(&namespace);
    let runtime = http::runtime();
    let path = format!("/api/v1/namespaces/{}/configmaps", namespace.name());
    let url = format!("{}{}", gateway.url(), gateway.kube_path(MAIN, &path));
    let client = http::client(&gateway, &gateway.admin().token());
    // Once a small one, so that connections and their buffers are there.
    runtime.block_on(read(&client, &format!("{url}?limit=1"), Duration::ZERO));

    for (how, pause) in [
        ("at once", Duration::ZERO),
        ("with a pause in the middle", Duration::from_secs(3)),
    ] {
        let before = memory(&mut gateway, true);
        let started = Instant::now();
        let bytes = runtime.block_on(read(&client, &url, pause));
        let took = started.elapsed();
        assert!(bytes >= OBJECTS * OBJECT_BYTES, "only {bytes} bytes");
        let peak = memory(&mut gateway, false);
        let growth = [
            peak[0].saturating_sub(before[0]),
            peak[1].saturating_sub(before[1]),
        ];
        eprintln!(
            "{} MB {how} in {took:.1?}: central +{} KiB, agent +{} KiB",
            bytes / 1_000_000,
            growth[0] / 1024,
            growth[1] / 1024
        );
        assert!(
            growth.iter().all(|growth| *growth < ALLOWANCE),
            "read {how}, central and agent grew by {growth:?} bytes"
        );
    }
}

/// The peak memory of central and agent; `anew` says to forget what was before.
fn memory(gateway: &mut Gateway, anew: bool) -> [u64; 2] {
    let of = |program: &mut mk8s_testkit::Program| {
        if anew {
            program.forget_peak();
        }
        program.peak_resident_bytes()
    };
    [of(gateway.central()), of(gateway.agent(MAIN).program())]
}

/// The size of an answer, read as fast as it comes but for one pause.
async fn read(client: &reqwest::Client, url: &str, pause: Duration) -> usize {
    let mut response = client.get(url).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let (mut bytes, mut paused) = (0, pause.is_zero());
    while let Some(chunk) = response.chunk().await.expect("the list goes on") {
        bytes += chunk.len();
        if !paused && bytes > 10_000_000 {
            paused = true;
            tokio::time::sleep(pause).await;
        }
    }
    bytes
}

/// Makes the objects, straight at the API server.
fn fill(namespace: &Namespace) {
    let text = "x".repeat(OBJECT_BYTES);
    let object = |index: usize| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("large-{index}")}, "data": {"text": text},
        })
    };
    for from in (0..OBJECTS).step_by(16) {
        let items: Vec<_> = (from..OBJECTS.min(from + 16)).map(object).collect();
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        namespace
            .kubectl()
            .run_with(["create", "--validate=false", "-f", "-"], list.as_bytes())
            .ok();
    }
}
