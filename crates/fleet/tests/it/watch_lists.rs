//! Watches that begin with what there is (`sendInitialEvents`).

use std::sync::Arc;

use serde_json::json;

use crate::support::{Clusters, Source, bookmark, event, initial_events_end, live, marked, version, watch};

const AB: &[&str] = &["a", "b"];
const BEGIN: &str =
    "/api/v1/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=";

fn two() -> (Source, Source, Arc<Clusters>) {
    let (a, answer_a) = live();
    let (b, answer_b) = live();
    let clusters = Clusters::default()
        .scripted("a", [answer_a])
        .scripted("b", [answer_b]);
    (a, b, Arc::new(clusters))
}

#[tokio::test]
async fn the_end_of_initial_events_comes_once_and_when_all_have_come_to_it() {
    let (a, b, clusters) = two();
    let mut watch = watch(&clusters, AB, &format!("{BEGIN}&allowWatchBookmarks=true")).await;
    let asked = clusters.asked();
    let expected = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=&allowWatchBookmarks=true";
    assert_eq!(asked[0].1, expected);

    a.send(&event("ADDED", "x", 5));
    let came = watch.next().await.expect("an event");
    assert_eq!(
        (marked(&came["object"]), version(&came)),
        ("x@a".to_owned(), "mca1.a~~b~")
    );
    a.send(&initial_events_end(9));
    watch.assert_quiet();
    a.send(&bookmark(10));
    watch.assert_quiet();
    a.send(&event("MODIFIED", "x", 11));
    assert_eq!(version(&watch.next().await.expect("an event")), "mca1.a~11~b~");
    b.send(&event("ADDED", "y", 20));
    assert_eq!(version(&watch.next().await.expect("an event")), "mca1.a~11~b~");
    b.send(&initial_events_end(30));
    let end = watch.next().await.expect("the end of initial events");
    assert_eq!(
        (&end["type"], version(&end)),
        (&json!("BOOKMARK"), "mca1.a~11~b~30")
    );
    let annotations = &end["object"]["metadata"]["annotations"];
    assert_eq!(*annotations, json!({"k8s.io/initial-events-end": "true"}));
    b.send(&bookmark(31));
    let later = watch.next().await.expect("a bookmark");
    assert_eq!(version(&later), "mca1.a~11~b~31");
    assert_eq!(later["object"]["metadata"]["annotations"], json!(null));
}

#[tokio::test]
async fn each_cluster_begins_not_before_its_own_version() {
    let (_a, _b, clusters) = two();
    let _watch = watch(&clusters, AB, &format!("{BEGIN}mca1.a~5~b~")).await;
    let asked = clusters.asked();
    assert!(asked[0].1.ends_with("&resourceVersion=5"), "{asked:?}");
    assert!(!asked[1].1.contains("resourceVersion="), "{asked:?}");
    assert!(
        asked[1].1.contains("resourceVersionMatch=NotOlderThan"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn who_doesn_t_want_bookmarks_gets_none() {
    let (a, b, clusters) = two();
    let mut watch = watch(&clusters, AB, BEGIN).await;
    a.send(&initial_events_end(9));
    b.send(&initial_events_end(9));
    watch.assert_quiet();
    a.send(&event("ADDED", "x", 10));
    assert_eq!(version(&watch.next().await.expect("an event")), "mca1.a~10~b~9");
}

#[tokio::test]
async fn a_cluster_that_ends_among_its_initial_events_ends_all() {
    tokio::time::pause();
    let (a, b, clusters) = two();
    let mut watch = watch(&clusters, AB, &format!("{BEGIN}&allowWatchBookmarks=true")).await;
    a.send(&initial_events_end(9));
    b.send(&event("ADDED", "x", 5));
    assert!(watch.next().await.is_some());
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    b.end();
    assert_eq!(watch.next().await, None);
    assert_eq!(clusters.asked().len(), 2);
}

#[tokio::test]
async fn after_the_initial_events_a_watch_is_taken_up_without_them() {
    tokio::time::pause();
    let (a, first) = live();
    let (again, second) = live();
    let clusters = Arc::new(Clusters::default().scripted("a", [first, second]));
    let mut watch = watch(&clusters, &["a"], &format!("{BEGIN}&allowWatchBookmarks=true")).await;
    a.send(&initial_events_end(9));
    assert!(watch.next().await.is_some());
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    a.end();
    watch.assert_quiet();
    again.send(&event("ADDED", "x", 10));
    assert_eq!(version(&watch.next().await.expect("an event")), "mca1.a~10");
    assert_eq!(
        clusters.asked()[1].1,
        "watch=1&allowWatchBookmarks=true&resourceVersion=9"
    );
}
