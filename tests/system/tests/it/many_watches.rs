//! A thousand watches through one agent, and what becomes of them when it dies.

use std::time::Duration;

use futures_util::future::join_all;
use mk8s_testkit::{Cluster, Gateway, eventually, gateway::MAIN, within};
use tokio::time::timeout;

use crate::http;

const CONNECTIONS: usize = 10;
const WATCHES_EACH: usize = 100;
const WATCHES: usize = CONNECTIONS * WATCHES_EACH;
/// How long anything that concerns all watches may take.
const LIMIT: Duration = Duration::from_secs(120);

/// How a watch ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The connection said that something broke, or an ERROR event did: a client watches anew.
    Broken,
    /// It just ended, as a watch does whose time is up.
    Clean,
}

#[test]
fn a_thousand_watches_end_with_an_error_when_the_agent_dies_and_it_comes_back() {
    let (cluster, mut gateway) = (Cluster::shared(), Gateway::start());
    let namespace = cluster.namespace();
    let runtime = http::runtime();
    let before = (
        gateway.central().resident_bytes(),
        gateway.agent(MAIN).program().resident_bytes(),
    );
    let opened_before = gateway.open_streams();

    // Opened, each with the event that says what is there.
    let path = format!("/api/v1/namespaces/{}/configmaps?watch=1", namespace.name());
    let url = format!("{}{}", gateway.url(), gateway.kube_path(MAIN, &path));
    let token = gateway.admin().token();
    let mut watches = runtime.block_on(async {
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| http::client(&gateway, &token)).collect();
        let requests = clients
            .iter()
            .flat_map(|client| (0..WATCHES_EACH).map(|_| open(client, &url)));
        timeout(LIMIT, join_all(requests))
            .await
            .expect("all watches are opened in time")
    });
    let open = gateway.open_streams() - opened_before;
    assert!(open >= 1000.0, "{open} streams for {WATCHES} watches");
    let idle = (
        gateway.central().resident_bytes(),
        gateway.agent(MAIN).program().resident_bytes(),
    );
    eprintln!(
        "{WATCHES} idle watches: central +{} KiB, agent +{} KiB",
        idle.0.saturating_sub(before.0) / 1024,
        idle.1.saturating_sub(before.1) / 1024
    );

    // One change reaches all.
    namespace.kubectl().run(["create", "configmap", "change"]).ok();
    runtime.block_on(async {
        let seen = join_all(watches.iter_mut().map(|watch| async {
            let event = watch.chunk().await.expect("the watch goes on").expect("an event");
            String::from_utf8_lossy(&event).contains("\"change\"")
        }));
        let seen = timeout(LIMIT, seen)
            .await
            .expect("the change reaches all watches in time");
        assert_eq!(seen.iter().filter(|seen| **seen).count(), WATCHES);
    });

    // The agent dies: all end, and say that it wasn't meant so.
    gateway.agent(MAIN).kill();
    let ends = runtime.block_on(async {
        let ends = join_all(watches.iter_mut().map(end));
        timeout(Duration::from_secs(30), ends)
            .await
            .expect("all watches end soon after the agent")
    });
    assert_eq!(ends.iter().filter(|end| **end == End::Broken).count(), WATCHES);
    drop(watches);
    let response = gateway.call(
        "GET",
        &gateway.kube_path(MAIN, "/api/v1/namespaces"),
        &serde_json::Value::Null,
    );
    assert_eq!(response.status, 503, "{}", response.text());
    assert!(response.header("retry-after").is_some());

    // It comes back, and nothing is left over.
    gateway.agent(MAIN).start_again();
    gateway.connected(MAIN);
    gateway.admin().kubectl(MAIN).run(["get", "namespaces"]).ok();
    within(Duration::from_secs(30), "no stream to be open", || {
        (gateway.open_streams() == 0.0).then_some(())
    });
    eventually(
        "the memory of a thousand watches to be used for something else",
        || (gateway.central().resident_bytes() < idle.0 + 16 * 1024 * 1024).then_some(()),
    );
}

#[test]
fn watches_that_clients_leave_are_closed_all_the_way() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let namespace = cluster.namespace();
    let runtime = http::runtime();
    let path = format!("/api/v1/namespaces/{}/configmaps?watch=1", namespace.name());
    let url = format!("{}{}", gateway.url(), gateway.kube_path(MAIN, &path));
    let client = http::client(&gateway, &gateway.admin().token());
    for _ in 0..3 {
        let watches = runtime.block_on(join_all((0..WATCHES_EACH).map(|_| open(&client, &url))));
        assert!(gateway.open_streams() >= 100.0);
        drop(watches);
        within(Duration::from_secs(30), "no stream to be open", || {
            (gateway.open_streams() == 0.0).then_some(())
        });
    }
    // The API server lets go of them too: it logs a watch when it ends.
    let log = cluster.audit_log();
    drop(runtime.block_on(open(&client, &format!("{url}&labelSelector=last"))));
    log.event("the end of the watch in the API server's log", |event| {
        event.request_uri.contains("last")
    });
}

/// A watch that has begun: its first event was read.
async fn open(client: &reqwest::Client, url: &str) -> reqwest::Response {
    let mut response = loop {
        let response = client.get(url).send().await.expect("an answer");
        if response.status() != 429 {
            break response;
        }
        // The API server lets only so many begin at once; clients do as it says.
        let wait = response
            .headers()
            .get("retry-after")
            .and_then(|wait| wait.to_str().ok()?.parse().ok());
        tokio::time::sleep(Duration::from_secs(wait.expect("when to come back"))).await;
    };
    assert_eq!(response.status(), 200);
    if !url.contains("labelSelector") {
        let event = response
            .chunk()
            .await
            .expect("the watch goes on")
            .expect("an event");
        assert!(String::from_utf8_lossy(&event).contains("kube-root-ca.crt"));
    }
    response
}

async fn end(watch: &mut reqwest::Response) -> End {
    loop {
        match watch.chunk().await {
            Err(_) => return End::Broken,
            Ok(None) => return End::Clean,
            Ok(Some(event)) if String::from_utf8_lossy(&event).contains("\"ERROR\"") => return End::Broken,
            Ok(Some(_)) => {}
        }
    }
}
