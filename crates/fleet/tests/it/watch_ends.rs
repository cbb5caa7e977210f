//! How watches end, and when they are taken up again.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use mk8s_net::Body;
use serde_json::json;

use crate::support::{Clusters, Source, event, json_answer, live, status, unreachable, version, watch};

const AB: &[&str] = &["a", "b"];
const BEGIN: &str = "/api/v1/pods?watch=1&resourceVersion=mca1.a~10~b~20";

fn two() -> (Source, Source, Clusters) {
    let (a, answer_a) = live();
    let (b, answer_b) = live();
    let clusters = Clusters::default().scripted("b", [answer_b]);
    (a, b, clusters.scripted("a", [answer_a]))
}

#[tokio::test]
async fn a_watch_that_ends_in_the_ordinary_way_is_taken_up_again() {
    tokio::time::pause();
    let (a, first) = live();
    let (again, second) = live();
    let (b, answer_b) = live();
    let clusters = Clusters::default()
        .scripted("a", [first, second])
        .scripted("b", [answer_b]);
    let clusters = Arc::new(clusters);
    let mut watch = watch(&clusters, AB, &format!("{BEGIN}&timeoutSeconds=100")).await;
    a.send(&event("ADDED", "x", 11));
    assert!(watch.next().await.is_some());
    tokio::time::advance(Duration::from_secs(40)).await;
    a.end();
    watch.assert_quiet();
    let (cluster, query) = clusters.asked().pop().expect("asked again");
    assert_eq!(cluster, "a");
    assert_eq!(
        query,
        "watch=1&allowWatchBookmarks=true&resourceVersion=11&timeoutSeconds=60"
    );
    b.send(&event("ADDED", "y", 21));
    again.send(&event("MODIFIED", "x", 12));
    let mut versions = Vec::new();
    for event in watch.take(2).await {
        versions.push(version(&event).to_owned());
    }
    assert_eq!(versions[1], "mca1.a~12~b~21");
}

#[tokio::test]
async fn a_watch_ends_when_the_client_s_own_time_is_over() {
    tokio::time::pause();
    let (a, b, clusters) = two();
    let clusters = Arc::new(clusters);
    let mut watch = watch(&clusters, AB, &format!("{BEGIN}&timeoutSeconds=100")).await;
    tokio::time::advance(Duration::from_millis(99_500)).await;
    a.end();
    watch.assert_quiet();
    b.send(&event("ADDED", "y", 21));
    assert!(watch.next().await.is_some());
    b.end();
    assert_eq!(watch.next().await, None);
    assert_eq!(clusters.asked().len(), 2);
}

#[tokio::test]
async fn a_watch_that_ends_at_once_is_not_asked_for_again() {
    tokio::time::pause();
    let (a, b, clusters) = two();
    let clusters = Arc::new(clusters);
    let mut watch = watch(&clusters, AB, BEGIN).await;
    tokio::time::advance(Duration::from_millis(900)).await;
    a.end();
    assert_eq!(watch.next().await, None);
    assert!(!b.is_let_go() || clusters.asked().len() == 2);
    assert_eq!(clusters.asked().len(), 2);
}

#[tokio::test]
async fn a_watch_that_breaks_off_ends_all_of_it_between_two_events() {
    let (a, b, clusters) = two();
    let mut watch = watch(&Arc::new(clusters), AB, BEGIN).await;
    b.send(&event("ADDED", "y", 21));
    assert_eq!(version(&watch.next().await.expect("an event")), "mca1.a~10~b~21");
    a.send(&event("ADDED", "x", 11));
    a.send_text(r#"{"type":"ADDED","object":{"#);
    a.break_off();
    assert_eq!(
        version(&watch.next().await.expect("what was there")),
        "mca1.a~11~b~21"
    );
    assert_eq!(watch.next().await, None);
    drop(watch.into_body());
    assert!(b.is_let_go());
}

#[tokio::test]
async fn a_watch_cut_off_within_an_event_ends_all_of_it() {
    tokio::time::pause();
    let (a, _b, clusters) = two();
    let clusters = Arc::new(clusters);
    let mut watch = watch(&clusters, AB, BEGIN).await;
    a.send_text(r#"{"type":"ADDED","object":{"#);
    watch.assert_quiet();
    tokio::time::advance(Duration::from_secs(60)).await;
    a.end();
    assert_eq!(watch.next().await, None);
    assert_eq!(clusters.asked().len(), 2);
}

#[tokio::test]
async fn an_error_is_the_last_event() {
    let (a, b, clusters) = two();
    let mut watch = watch(&Arc::new(clusters), AB, BEGIN).await;
    let gone = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "too old",
        "reason": "Expired", "code": 410,
    });
    a.send(&json!({"type": "ERROR", "object": gone}));
    b.send(&event("ADDED", "y", 21));
    let mut last = watch.next().await.expect("an event");
    if last["type"] == "ADDED" {
        last = watch.next().await.expect("an error");
    }
    assert_eq!(last["type"], "ERROR");
    assert_eq!(last["object"]["code"], 410);
    assert_eq!(last["object"]["reason"], "Expired");
    assert_eq!(last["object"]["message"], "cluster a: too old");
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_watch_that_can_t_be_taken_up_again_ends_all_and_says_if_it_has_expired() {
    tokio::time::pause();
    for (answer, says) in [
        (unreachable("a"), false),
        (status(403, "Forbidden", "no more", &json!({})), false),
        (status(410, "Expired", "too old", &json!({})), true),
    ] {
        let (a, first) = live();
        let (_b, answer_b) = live();
        let clusters = Clusters::default()
            .scripted("a", [first, answer])
            .scripted("b", [answer_b]);
        let mut watch = watch(&Arc::new(clusters), AB, BEGIN).await;
        tokio::time::advance(Duration::from_secs(60)).await;
        a.end();
        if says {
            let last = watch.next().await.expect("an error");
            assert_eq!(last["type"], "ERROR");
            assert_eq!(last["object"]["code"], 410);
            assert_eq!(last["object"]["message"], "cluster a: too old");
        }
        assert_eq!(watch.next().await, None);
    }
}

#[tokio::test]
async fn a_watch_of_objects_without_versions_is_not_begun_anew() {
    tokio::time::pause();
    let (a, first) = live();
    let clusters = Arc::new(Clusters::default().scripted("a", [first]));
    let mut watch = watch(&clusters, &["a"], "/api/v1/pods?watch=1").await;
    a.send(&json!({"type": "ADDED", "object": {"metadata": {"name": "x"}}}));
    assert!(watch.next().await.is_some());
    tokio::time::advance(Duration::from_secs(60)).await;
    a.end();
    assert_eq!(watch.next().await, None);
    assert_eq!(clusters.asked().len(), 1);
}

#[tokio::test]
async fn what_is_no_event_breaks_the_watch_off() {
    for text in [
        "[]",
        "x",
        "{}",
        r#"{"type":"ADDED"}"#,
        r#"{"type":"ADDED","object":7}"#,
        r#"{"type":"ADDED","object":{"metadata":{"resourceVersion":7}}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"1","resourceVersion":"2"}}}"#,
        r#"{"type":"ADDED","type":"DELETED","object":{}}"#,
        r#"{"type":"ADDED","object":{"kind":"Table","rows":[{"cells":["x"]}]}}"#,
        r#"{"type":"ADDED","object":{"a":[}]}}"#,
    ] {
        let answer = json_answer(Body::full(text));
        let clusters = Clusters::default().scripted("a", [answer]);
        let request = crate::support::get("/api/v1/pods?watch=1");
        let names = crate::support::names(&["a"]);
        let mut body = mk8s_fleet::watch(Arc::new(clusters), names, request)
            .await
            .into_body();
        let why = body.frame().await.expect("an error").expect_err("broken off");
        assert!(
            why.to_string().starts_with("cluster a's watch can't be read"),
            "{text}: {why}"
        );
    }
}
