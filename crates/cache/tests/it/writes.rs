//! Whoever has the answer to a write never sees what was before it.

use http::Method;

use crate::support::{Client, SETTINGS, settle};

const KEPT: [&str; 8] = [
    "/api/v1/pods",
    "/api/v1/namespaces/x/pods",
    "/api/v1/namespaces/x/pods/p",
    "/api/v1/namespaces/x/pods/p/status",
    "/api/v1/namespaces/y/pods",
    "/apis/events.k8s.io/v1/namespaces/x/events",
    "/api/v1/namespaces/x",
    "/apis/apps/v1/namespaces/x/deployments/d",
];

/// What of [`KEPT`] a write drops.
async fn dropped_by(method: Method, path: &str) -> Vec<&'static str> {
    let client = Client::new(SETTINGS);
    for kept in KEPT {
        client.get(kept).await;
    }
    client.named("ns/other").write(method, path).await;
    let mut dropped = Vec::new();
    for kept in KEPT {
        if !client.is_kept(kept).await {
            dropped.push(kept);
        }
    }
    assert_eq!(client.cache.counters().invalidated, dropped.len() as u64);
    dropped
}

#[tokio::test(start_paused = true)]
async fn a_write_drops_what_is_kept_of_its_resource_and_namespace_whoever_writes() {
    let pods_of_x = &KEPT[..4];
    for (method, path) in [
        (Method::POST, "/api/v1/namespaces/x/pods"),
        (Method::PUT, "/api/v1/namespaces/x/pods/p"),
        (Method::PATCH, "/api/v1/namespaces/x/pods/q"),
        (Method::DELETE, "/api/v1/namespaces/x/pods/p"),
        (Method::DELETE, "/api/v1/namespaces/x/pods"),
        (Method::PATCH, "/api/v1/namespaces/x/pods/p/status"),
        (Method::POST, "/api/v1/namespaces/x/pods/p/eviction"),
        (Method::POST, "/api/v1/namespaces/x/pods/p/binding"),
        (Method::POST, "/api/v1/namespaces/x/bindings"),
        (Method::PATCH, "/api/v1/namespaces/x/pods/p/ephemeralcontainers"),
    ] {
        assert_eq!(
            dropped_by(method.clone(), path).await,
            pods_of_x,
            "{method} {path}"
        );
    }
    let all_pods = &KEPT[..5];
    assert_eq!(dropped_by(Method::DELETE, "/api/v1/pods").await, all_pods);
    let deployments = &KEPT[7..];
    let scale = "/apis/apps/v1/namespaces/x/deployments/d/scale";
    assert_eq!(dropped_by(Method::PUT, scale).await, deployments);
}

#[tokio::test(start_paused = true)]
async fn the_same_objects_in_another_group_are_dropped_too() {
    let dropped = dropped_by(Method::POST, "/api/v1/namespaces/x/events").await;
    assert_eq!(dropped, ["/apis/events.k8s.io/v1/namespaces/x/events"]);
}

#[tokio::test(start_paused = true)]
async fn what_decides_on_others_drops_all() {
    for (method, path) in [
        (Method::DELETE, "/api/v1/namespaces/y"),
        (Method::POST, "/api/v1/namespaces"),
        (Method::PUT, "/api/v1/namespaces/y/finalize"),
        (
            Method::POST,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        ),
        (
            Method::PUT,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/c/status",
        ),
        (Method::DELETE, "/apis/apiregistration.k8s.io/v1/apiservices/a"),
        (
            Method::DELETE,
            "/apis/rbac.authorization.k8s.io/v1/namespaces/y/rolebindings/r",
        ),
    ] {
        assert_eq!(dropped_by(method.clone(), path).await, KEPT, "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_to_a_workload_or_elsewhere_drops_nothing() {
    for path in [
        "/api/v1/namespaces/x/pods/p/exec",
        "/api/v1/namespaces/x/pods/p/attach",
        "/api/v1/namespaces/x/pods/p/portforward",
        "/api/v1/namespaces/x/pods/p/proxy/x",
        "/api/v1/proxy/namespaces/x/pods/p",
        "/api/v1/namespaces/x/configmaps",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "/version",
    ] {
        assert!(dropped_by(Method::POST, path).await.is_empty(), "{path}");
    }
    assert!(
        dropped_by(Method::HEAD, "/api/v1/namespaces/x/pods")
            .await
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_to_another_cluster_drops_nothing() {
    let client = Client::new(SETTINGS);
    client.get(KEPT[0]).await;
    client
        .at("other")
        .write(Method::DELETE, "/api/v1/namespaces/x")
        .await;
    client
        .at("other")
        .write(Method::DELETE, "/api/v1/namespaces/x/pods")
        .await;
    assert!(client.hits(KEPT[0]).await);
}

/// Sends a write that waits to be let go on.
async fn write_that_waits(client: &Client) -> tokio::task::JoinHandle<()> {
    client.api.hold();
    let writer = client.clone();
    let writing =
        tokio::spawn(async move { writer.write(Method::PATCH, "/api/v1/namespaces/x/pods/p").await });
    settle().await;
    writing
}

#[tokio::test(start_paused = true)]
async fn while_a_write_is_under_way_nothing_is_given_out_or_kept() {
    let client = Client::new(SETTINGS);
    client.get(KEPT[1]).await;
    client.api.hold();
    let waiting_write = {
        let writer = client.named("ns/other");
        tokio::spawn(async move { writer.write(Method::PATCH, "/api/v1/namespaces/x/pods/p").await })
    };
    settle().await;
    // The write alone waits.
    let held = client.api.clone();
    let reader = Client {
        api: crate::support::Api::default(),
        ..client.clone()
    };
    assert!(!reader.hits(KEPT[1]).await, "dropped when the write was sent");
    assert!(!reader.hits(KEPT[1]).await, "not kept while it is under way");
    assert!(!reader.hits(KEPT[4]).await);
    assert!(reader.hits(KEPT[4]).await, "another namespace is not concerned");
    held.release();
    waiting_write.await.expect("written");
    assert!(!reader.hits(KEPT[1]).await);
    assert!(reader.hits(KEPT[1]).await, "kept again after it");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_get_that_was_sent_before_a_writes_end_is_not_kept() {
    let client = Client::new(SETTINGS);
    let writing = write_that_waits(&client).await;
    // Sent while the write is under way, and answered after its end.
    let reader = Client {
        api: crate::support::Api::default(),
        ..client.clone()
    };
    reader.api.hold();
    let reading = tokio::spawn({
        let reader = reader.clone();
        async move { reader.get(KEPT[1]).await }
    });
    settle().await;
    client.api.release();
    writing.await.expect("written");
    reader.api.release();
    assert!(!reading.await.expect("read").is_hit());
    assert!(!reader.hits(KEPT[1]).await);
    assert!(reader.hits(KEPT[1]).await);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_begins_and_ends_while_a_get_is_answered_spoils_it() {
    let client = Client::new(SETTINGS);
    let reader = client.clone();
    reader.api.hold();
    let reading = tokio::spawn({
        let reader = reader.clone();
        async move { reader.get(KEPT[2]).await }
    });
    settle().await;
    let writer = Client {
        api: crate::support::Api::default(),
        ..client.clone()
    };
    writer.write(Method::PUT, KEPT[2]).await;
    reader.api.release();
    reading.await.expect("read");
    assert!(!reader.hits(KEPT[2]).await);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_given_up_does_not_keep_the_cache_from_keeping() {
    let client = Client::new(SETTINGS);
    let writing = write_that_waits(&client).await;
    writing.abort();
    settle().await;
    client.api.release();
    assert!(!client.hits(KEPT[1]).await);
    assert!(client.hits(KEPT[1]).await);
}
