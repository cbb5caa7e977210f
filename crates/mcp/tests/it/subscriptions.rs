//! Subscriptions: each is a watch in its subscriber's own name, tells of changes no more than once a second, and leaves nothing
//! behind when it ends.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use http::{Request, Response};
use mk8s_mcp_core::{
    cluster::{Clusters, KnownCluster},
    error::ToolError,
    principal::{Call, Principal},
    record::CallOutcome,
    server::{Door, Server, Starter},
    settings::{DeniedResource, Settings},
};
use mk8s_model::ClusterName;
use mk8s_net::Body;
use rmcp::model::Extensions;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Client, Feed, InMemory, Records, Reply, change, principal};

const URI: &str = "k8s://home/api/v1/namespaces/shop/pods/web-0";

/// A cluster whose pods can be watched.
fn watched() -> (Arc<InMemory>, Arc<Feed>) {
    let feed = Arc::new(Feed::default());
    let said = feed.clone();
    let clusters = InMemory::new(&["home"], move |_, path| {
        if path.contains("watch=true") {
            said.reply()
        } else {
            list(5)
        }
    });
    (clusters, feed)
}

fn list(version: u64) -> Reply {
    Reply::Json(json!({"kind": "PodList", "metadata": {"resourceVersion": version.to_string()}, "items": []}))
}

fn modern(params: Value) -> Value {
    let mut params = params;
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    params
}

fn listening(uris: &[&str]) -> Value {
    modern(json!({"notifications": {"resourceSubscriptions": uris}}))
}

async fn subscribe(client: &mut Client, uri: &str) {
    let answer = client.ask("resources/subscribe", json!({"uri": uri})).await;
    assert!(answer["result"].is_object(), "{answer}");
}

fn assert_is_update(told: &Value, uri: &str) {
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");
    assert_eq!(told["params"]["uri"], uri, "{told}");
    assert!(
        !told.to_string().contains("metadata"),
        "nothing of the object is in it: {told}"
    );
}

/// What a watch was asked for with, without what is random.
fn watches(clusters: &InMemory) -> Vec<String> {
    let asked = clusters.asked();
    let watches = asked.iter().filter(|path| path.contains("watch=true"));
    watches
        .map(|path| {
            let (before, after) = path.split_once("&timeoutSeconds=").expect("a time");
            format!(
                "{before}{}",
                after.trim_start_matches(|c: char| c.is_ascii_digit())
            )
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_is_told_of_changes_until_they_unsubscribe() {
    let (clusters, feed) = watched();
    let mut client = Client::of(clusters.clone(), Settings::default()).await;
    subscribe(&mut client, URI).await;
    subscribe(&mut client, URI).await;
    assert_eq!(feed.watching.count(), 1);
    assert_eq!(
        watches(&clusters),
        [
            "GET /api/v1/namespaces/shop/pods?watch=true&allowWatchBookmarks=true&resourceVersion=5\
             &fieldSelector=metadata.name%3Dweb-0"
        ]
    );
    assert!(
        client.heard_within(Duration::from_secs(5)).await.is_none(),
        "nothing has changed"
    );
    feed.say(&change(6));
    assert_is_update(&client.heard().await, URI);
    client.ask("resources/unsubscribe", json!({"uri": URI})).await;
    feed.watching.reach(0).await;
    feed.say(&change(7));
    assert!(client.heard_within(Duration::from_secs(5)).await.is_none());

    let records = client.records.all();
    let outcomes: Vec<_> = records.iter().map(|call| (&*call.tool, call.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("resources/subscribe", CallOutcome::Subscribed),
            ("resources/subscribe", CallOutcome::Cancelled)
        ]
    );
    assert_eq!(records[0].id, records[1].id);
    assert!(records[1].milliseconds >= records[0].milliseconds);
    assert_eq!(
        (records[0].cluster.as_deref(), &*records[0].user),
        (Some("home"), "anna")
    );
}

#[tokio::test(start_paused = true)]
async fn changes_within_a_second_are_one_and_none_is_lost() {
    let (clusters, feed) = watched();
    let mut client = Client::of(clusters, Settings::default()).await;
    subscribe(&mut client, URI).await;
    let mut times = Vec::new();
    for version in 6..=8 {
        for _ in 0..50 {
            feed.say(&change(version));
        }
        client.heard().await;
        times.push(Instant::now());
        // While it pauses.
        feed.say(&change(version));
        client.heard().await;
        times.push(Instant::now());
    }
    assert!(client.heard_within(Duration::from_secs(30)).await.is_none());
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(1), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let (clusters, feed) = watched();
    let mut client = Client::of(clusters.clone(), Settings::default()).await;
    subscribe(&mut client, "k8s://home/api/v1/pods?labelSelector=app%3Dweb").await;
    feed.say(&change(17));
    client.heard().await;
    // A bookmark is no change, but says how far it is.
    feed.say(&json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "23"}}}));
    assert!(client.heard_within(Duration::from_secs(5)).await.is_none());
    feed.end();
    feed.watching.reach(0).await;
    feed.watching.reach(1).await;
    let versions: Vec<String> = watches(&clusters)
        .iter()
        .map(|path| {
            assert!(
                path.contains("/api/v1/pods?") && path.ends_with("&labelSelector=app%3Dweb"),
                "{path}"
            );
            path.split("resourceVersion=")
                .nth(1)
                .expect("a version")
                .split('&')
                .next()
                .expect("it")
                .to_owned()
        })
        .collect();
    assert_eq!(versions, ["5", "23"]);
    assert!(
        client.heard_within(Duration::from_secs(5)).await.is_none(),
        "nothing has changed"
    );
    feed.say(&change(24));
    client.heard().await;
    // A watch that says nothing is ended by its time, and goes on.
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(feed.watching.count(), 1);
    assert!(
        watches(&clusters)
            .last()
            .expect("one")
            .contains("resourceVersion=24")
    );
}

/// A cluster that forgets where watches were, by `gone` once, and otherwise can be watched.
fn forgetful(gone: impl Fn(&Feed) -> Reply + Send + Sync + 'static) -> (Arc<InMemory>, Arc<Feed>) {
    let feed = Arc::new(Feed::default());
    let (said, count) = (feed.clone(), Mutex::new(0));
    let clusters = InMemory::new(&["home"], move |_, path| {
        let mut count = count.lock().expect("not poisoned");
        *count += 1;
        match *count {
            1 => list(5),
            3 => gone(&said),
            4 => list(90),
            _ if path.contains("watch=true") => said.reply(),
            _ => Reply::Status(500, "not asked for"),
        }
    });
    (clusters, feed)
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_forgot_is_listed_again_and_told_as_a_change() {
    let forgetful_ones: [fn(&Feed) -> Reply; 3] = [
        |_| Reply::Status(410, "too old resource version"),
        |_| {
            let status =
                json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}});
            Reply::Bytes(format!("{status}\n").into_bytes())
        },
        |_| Reply::Bytes(b"no JSON\n".to_vec()),
    ];
    for gone in forgetful_ones {
        let (clusters, feed) = forgetful(gone);
        let mut client = Client::of(clusters.clone(), Settings::default()).await;
        subscribe(&mut client, URI).await;
        feed.end();
        assert_is_update(&client.heard().await, URI);
        feed.watching.reach(1).await;
        assert!(
            watches(&clusters)
                .last()
                .expect("one")
                .contains("resourceVersion=90")
        );
        feed.say(&change(91));
        client.heard().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_away_is_asked_again_more_and_more_seldom() {
    let feed = Arc::new(Feed::default());
    let (said, count) = (feed.clone(), Mutex::new(0_u32));
    let clusters = InMemory::new(&["home"], move |_, path| {
        let mut count = count.lock().expect("not poisoned");
        *count += 1;
        match (*count, path.contains("watch=true")) {
            (3..=12, _) => Reply::Status(503, "away"),
            (_, true) => said.reply(),
            _ => list(5),
        }
    });
    let mut client = Client::of(clusters.clone(), Settings::default()).await;
    subscribe(&mut client, URI).await;
    let began = Instant::now();
    feed.end();
    feed.watching.reach(0).await;
    while feed.watching.count() == 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(clusters.asked().len(), 13);
    // From a second to a minute apart, and as much again by chance.
    let took = began.elapsed().as_secs();
    assert!((300..700).contains(&took), "{took} s");
    feed.say(&change(6));
    assert_is_update(&client.heard().await, URI);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_watch_is_refused_at_once() {
    for denied in ["limit=1", "watch=true"] {
        let clusters = InMemory::new(&["home"], move |_, path| {
            if path.contains(denied) {
                Reply::Status(403, "pods is forbidden")
            } else {
                list(5)
            }
        });
        let mut client = Client::of(clusters, Settings::default()).await;
        let answer = client.ask("resources/subscribe", json!({"uri": URI})).await;
        assert_eq!(answer["error"]["code"], -32_602, "{answer}");
        assert!(
            answer["error"]["data"]["text"]
                .as_str()
                .expect("text")
                .contains("forbidden"),
            "{answer}"
        );
        assert_eq!(client.records.all()[0].outcome, CallOutcome::Failed);
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_not_watch_any_more_is_told_to_look() {
    let feed = Arc::new(Feed::default());
    let (said, count) = (feed.clone(), Mutex::new(0_u32));
    let clusters = InMemory::new(&["home"], move |_, path| {
        let mut count = count.lock().expect("not poisoned");
        *count += 1;
        match (*count, path.contains("watch=true")) {
            (3.., _) => Reply::Status(403, "pods is forbidden"),
            (_, true) => said.reply(),
            _ => list(5),
        }
    });
    let mut client = Client::of(clusters.clone(), Settings::default()).await;
    subscribe(&mut client, URI).await;
    feed.end();
    assert_is_update(&client.heard().await, URI);
    assert!(client.heard_within(Duration::from_secs(600)).await.is_none());
    assert_eq!(clusters.asked().len(), 3, "it isn't asked again");
    assert_eq!(client.records.all()[1].outcome, CallOutcome::Failed);
    // There is room for another one.
    let answer = client.ask("resources/subscribe", json!({"uri": URI})).await;
    assert!(answer["error"].is_object(), "{answer}");
}

#[tokio::test]
async fn a_user_has_no_more_than_so_many() {
    let (clusters, feed) = watched();
    let settings = Settings {
        subscriptions: 3,
        ..Settings::default()
    };
    let mut client = Client::of(clusters, settings).await;
    let uri = |n: usize| format!("k8s://home/api/v1/namespaces/shop/pods/web-{n}");
    for n in 0..3 {
        subscribe(&mut client, &uri(n)).await;
    }
    let answer = client.ask("resources/subscribe", json!({"uri": uri(3)})).await;
    let message = answer["error"]["message"].as_str().expect("a message");
    assert_eq!(
        message,
        "you have 3 subscriptions, and may have 3: end one before the next"
    );
    client.ask("resources/unsubscribe", json!({"uri": uri(0)})).await;
    subscribe(&mut client, &uri(3)).await;
    feed.watching.reach(3).await;
    assert_eq!(client.records.all()[3].outcome, CallOutcome::Denied);
}

#[tokio::test(start_paused = true)]
async fn the_newer_revision_listens_by_one_request_whose_end_is_the_end() {
    let (clusters, feed) = watched();
    let mut client = Client::silent(clusters, Settings::default());
    let all = "k8s://home/api/v1/namespaces/shop/pods";
    let id = client
        .begin("subscriptions/listen", listening(&[URI, all, URI]))
        .await;
    let told = client.heard().await;
    assert_eq!(
        told["method"], "notifications/subscriptions/acknowledged",
        "{told}"
    );
    assert_eq!(
        told["params"]["notifications"]["resourceSubscriptions"][1], all,
        "{told}"
    );
    // What was read before the watch began may be old: each is told of once.
    let mut first = [client.heard().await, client.heard().await];
    first.sort_by_key(|told| told["params"]["uri"].to_string());
    for (told, uri) in first.iter().zip([all, URI]) {
        assert_is_update(told, uri);
        assert_eq!(
            told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id,
            "{told}"
        );
    }
    assert_eq!(feed.watching.count(), 2);
    feed.say(&change(6));
    client.heard().await;
    client.heard().await;
    assert!(client.heard_within(Duration::from_secs(5)).await.is_none());
    client
        .tell("notifications/cancelled", modern(json!({"requestId": id})))
        .await;
    feed.watching.reach(0).await;
    let outcomes: Vec<_> = client.records.all().iter().map(|call| call.outcome).collect();
    assert_eq!(
        outcomes,
        [
            CallOutcome::Subscribed,
            CallOutcome::Subscribed,
            CallOutcome::Cancelled,
            CallOutcome::Cancelled
        ]
    );
}

#[tokio::test]
async fn what_cant_be_watched_isnt_accepted_and_if_nothing_is_left_it_is_refused() {
    let (clusters, feed) = watched();
    let settings = Settings {
        denied_resources: vec![DeniedResource("secrets".parse().expect("a resource"))],
        ..Settings::default()
    };
    let mut client = Client::silent(clusters, settings);
    let log = format!("{URI}/log");
    let secrets = "k8s://home/api/v1/secrets";
    client
        .begin(
            "subscriptions/listen",
            listening(&[secrets, &log, "file:///x", URI]),
        )
        .await;
    let told = client.heard().await;
    assert_eq!(
        told["params"]["notifications"]["resourceSubscriptions"],
        json!([URI]),
        "{told}"
    );
    feed.watching.reach(1).await;
    for (uri, why) in [
        (secrets, "this server doesn't touch secrets"),
        (&*log, "a log can't be subscribed to"),
        ("file:///x", "it has to begin with k8s://"),
    ] {
        let answer = client.ask("subscriptions/listen", listening(&[uri])).await;
        let message = answer["error"]["message"].as_str().expect("a message");
        assert!(message.contains(why), "{answer}");
    }
    // Who it isn't for is found out after it was accepted.
    let answer = client
        .ask("subscriptions/listen", listening(&["k8s://nowhere/api/v1/pods"]))
        .await;
    assert_eq!(answer["error"]["code"], -32_602, "{answer}");
    assert_eq!(answer["error"]["data"]["uri"], "k8s://nowhere/api/v1/pods");
}

#[tokio::test(start_paused = true)]
async fn too_many_at_once_are_refused_together() {
    let (clusters, feed) = watched();
    let mut client = Client::silent(clusters, Settings::default());
    let uris: Vec<String> = (0..500)
        .map(|n| format!("k8s://home/api/v1/namespaces/shop/pods/web-{n}"))
        .collect();
    let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
    let answer = client.ask("subscriptions/listen", listening(&uris)).await;
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.contains("may have 20"), "{answer}");
    feed.watching.reach(0).await;
}

#[tokio::test(start_paused = true)]
async fn each_revision_has_its_own_way_and_not_the_others() {
    let (clusters, _) = watched();
    let mut client = Client::silent(clusters.clone(), Settings::default());
    let answer = client
        .ask("resources/subscribe", modern(json!({"uri": URI})))
        .await;
    assert_eq!(answer["error"]["code"], -32_601, "{answer}");
    let mut client = Client::of(clusters, Settings::default()).await;
    let params = json!({"notifications": {"resourceSubscriptions": [URI]}});
    let answer = client.ask("subscriptions/listen", params).await;
    assert_eq!(answer["error"]["code"], -32_601, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_ends_its_watches_at_once() {
    for is_modern in [false, true] {
        let (clusters, feed) = watched();
        let client = if is_modern {
            let mut client = Client::silent(clusters, Settings::default());
            client.begin("subscriptions/listen", listening(&[URI])).await;
            client
        } else {
            let mut client = Client::of(clusters, Settings::default()).await;
            subscribe(&mut client, URI).await;
            client
        };
        feed.watching.reach(1).await;
        let (records, began) = (client.records.clone(), Instant::now());
        client.hang_up().await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        feed.watching.reach(0).await;
        assert_eq!(records.all().last().expect("one").outcome, CallOutcome::Cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_with_the_proof_of_its_subscribers_identity() {
    for is_modern in [false, true] {
        let (clusters, feed) = watched();
        let records = Arc::new(Records::default());
        let mut anna = principal("anna");
        anna.until = Some((Instant::now() + Duration::from_secs(40)).into_std());
        let server = Server::new(
            Arc::new(Starter(anna)),
            clusters,
            records.clone(),
            Settings::default(),
        );
        let mut client = Client::on(server, records.clone());
        if is_modern {
            let answer = client.ask("subscriptions/listen", listening(&[URI])).await;
            let message = answer["error"]["message"].as_str().expect("a message");
            assert!(message.contains("sign in again"), "{answer}");
        } else {
            client = client.hello(json!({})).await;
            subscribe(&mut client, URI).await;
            // The last notification: whoever reads then learns why.
            let told = client.heard_within(Duration::from_secs(100)).await;
            assert_is_update(&told.expect("a notification"), URI);
        }
        feed.watching.reach(0).await;
        assert_eq!(records.all().last().expect("one").outcome, CallOutcome::Ended);
    }
}

/// Lets in whoever is said.
struct Said(Mutex<Principal>);

impl Door for Said {
    fn principal(&self, _: &Extensions) -> Option<Principal> {
        Some(self.0.lock().expect("not poisoned").clone())
    }
}

/// A cluster that is for anna alone.
struct Annas(Arc<InMemory>);

#[async_trait]
impl Clusters for Annas {
    async fn list(&self, principal: &Principal) -> Result<Vec<KnownCluster>, ToolError> {
        self.0.list(principal).await
    }

    async fn send(&self, call: &Call, cluster: &ClusterName, request: Request<Body>) -> Response<Body> {
        if call.principal.identity.user() == "anna" {
            return self.0.send(call, cluster, request).await;
        }
        let mut response = Response::new(Body::full(
            r#"{"kind": "Status", "reason": "Forbidden", "message": "no"}"#,
        ));
        *response.status_mut() = http::StatusCode::FORBIDDEN;
        response
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_user_watches_is_no_others() {
    let (clusters, feed) = watched();
    let records = Arc::new(Records::default());
    let door = Arc::new(Said(Mutex::new(principal("anna"))));
    let server = Server::new(
        door.clone(),
        Arc::new(Annas(clusters)),
        records.clone(),
        Settings::default(),
    );
    let mut client = Client::on(server, records).hello(json!({})).await;
    subscribe(&mut client, URI).await;
    *door.0.lock().expect("not poisoned") = principal("ben");
    // It isn't taken from anna's, and ending it doesn't end hers.
    let answer = client.ask("resources/subscribe", json!({"uri": URI})).await;
    assert!(
        answer["error"]["message"]
            .as_str()
            .expect("a message")
            .contains("Forbidden"),
        "{answer}"
    );
    let answer = client.ask("resources/read", json!({"uri": URI})).await;
    assert!(answer["error"].is_object(), "{answer}");
    client.ask("resources/unsubscribe", json!({"uri": URI})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(feed.watching.count(), 1);
    // Another proof of anna's identity has subscriptions of its own.
    let mut again = principal("anna");
    again.proof = Some([1; 32]);
    *door.0.lock().expect("not poisoned") = again;
    subscribe(&mut client, URI).await;
    assert_eq!(feed.watching.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn large_and_odd_events_do_no_harm() {
    let (clusters, feed) = watched();
    let mut client = Client::of(clusters, Settings::default()).await;
    subscribe(&mut client, URI).await;
    // In pieces, with empty lines, and without what every event has.
    for piece in [
        "\n\n{\"type\":",
        "\"MODIFIED\"",
        "}",
        "\n",
        "{}\n",
        "{\"type\": \"BOOKMARK\"}\n",
    ] {
        feed.say_bytes(piece.into());
    }
    client.heard().await;
    feed.watching.reach(1).await;
    // A line without an end is given up, and the watch begins anew.
    for _ in 0..6 {
        feed.say_bytes(vec![b'x'; 1 << 20].into());
    }
    client.heard().await;
    feed.watching.reach(1).await;
}
