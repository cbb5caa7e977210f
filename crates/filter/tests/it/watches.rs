//! Watches whose scope stays as it is.

use mk8s_filter::Scope;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{
    Reading, Server, bookmark, cut, event, get, initial_events_end, live, namespaces, place, refused, since,
    status, team,
};

const WATCH: &str = "/api/v1/pods?watch=1&allowWatchBookmarks=true&resourceVersion=50";

#[tokio::test]
async fn events_of_other_namespaces_are_left_out() {
    let (source, response) = live();
    let server = Server::scripted([response]);
    let mut reading = Reading::begin(&server, since(0, namespaces(&["mine"])), get(WATCH)).await;
    for kind in ["ADDED", "MODIFIED", "DELETED"] {
        source.send(&event(kind, "theirs", "a", 51));
        source.send(&event(kind, "mine", "b", 52));
        source.send(&event(kind, "", "c", 53));
    }
    assert_eq!(
        reading.take(3).await,
        ["ADDED mine/b 52", "MODIFIED mine/b 52", "DELETED mine/b 52"]
    );
    reading.assert_quiet().await;
    assert_eq!(
        server.asked(),
        ["/api/v1/pods?watch=1&resourceVersion=50&allowWatchBookmarks=true"]
    );
}

#[tokio::test]
async fn events_keep_their_text() {
    let (source, response) = live();
    let mut reading = Reading::begin(
        &Server::scripted([response]),
        since(0, namespaces(&["mine"])),
        get(WATCH),
    )
    .await;
    let text =
        r#"{"type":"ADDED","object":{"n":1.10e5,"metadata":{"name":"\u0061","namespace":"mine"},"u":"\/"}}"#;
    source.send_text(text);
    let frame = reading.frame().await.expect("more").expect("not broken off");
    assert_eq!(frame.into_data().expect("data"), format!("{text}\n"));
}

#[tokio::test]
async fn bookmarks_and_the_end_of_initial_events_pass() {
    for scope in [Scope::All, team("red"), namespaces(&["mine"])] {
        let (source, response) = live();
        let server = Server::scripted([response]);
        let uri = "/api/v1/pods?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        let mut reading = Reading::begin(&server, since(9, scope), get(uri)).await;
        source.send(&event("ADDED", "mine", "a", 5));
        source.send(&initial_events_end(60));
        source.send(&bookmark(70));
        assert_eq!(
            reading.take(3).await,
            ["ADDED mine/a 5", "BOOKMARK 60 end", "BOOKMARK 70"]
        );
        assert!(server.asked()[0].contains("sendInitialEvents=true&resourceVersionMatch=NotOlderThan"));
    }
}

#[tokio::test]
async fn who_doesn_t_want_bookmarks_gets_none() {
    let (source, response) = live();
    let server = Server::scripted([response]);
    let mut reading = Reading::begin(&server, since(0, Scope::All), get("/api/v1/pods?watch=1")).await;
    source.send(&bookmark(70));
    source.send(&event("ADDED", "mine", "a", 71));
    assert_eq!(reading.take(1).await, ["ADDED mine/a 71"]);
}

#[tokio::test]
async fn an_error_passes_and_is_the_last() {
    let (source, response) = live();
    let mut reading = Reading::begin(
        &Server::scripted([response]),
        since(0, namespaces(&["mine"])),
        get(WATCH),
    )
    .await;
    let error = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}});
    source.send(&error);
    assert_eq!(reading.next().await, Some(error));
    assert_eq!(reading.next().await, None);
}

#[tokio::test]
async fn the_answer_begins_before_any_event() {
    let (source, response) = live();
    let mut reading = Reading::begin(&Server::scripted([response]), since(0, Scope::All), get(WATCH)).await;
    reading.assert_quiet().await;
    source.send(&event("ADDED", "mine", "a", 51));
    assert_eq!(reading.take(1).await, ["ADDED mine/a 51"]);
}

#[tokio::test]
async fn a_watch_that_ends_in_the_ordinary_way_ends_ours() {
    let (source, response) = live();
    let mut reading = Reading::begin(&Server::scripted([response]), since(0, Scope::All), get(WATCH)).await;
    source.send(&event("ADDED", "mine", "a", 51));
    drop(source);
    assert_eq!(reading.take(1).await, ["ADDED mine/a 51"]);
    assert_eq!(reading.next().await, None);
}

#[tokio::test]
async fn a_watch_that_breaks_off_breaks_ours_off() {
    let (source, response) = live();
    let mut reading = Reading::begin(&Server::scripted([response]), since(0, Scope::All), get(WATCH)).await;
    source.break_off();
    assert!(reading.frame().await.expect("an end").is_err());
}

#[tokio::test]
async fn who_goes_away_lets_go_of_the_api_server() {
    let (source, response) = live();
    let reading = Reading::begin(&Server::scripted([response]), since(0, Scope::All), get(WATCH)).await;
    assert!(!source.is_let_go());
    drop(reading);
    assert!(source.is_let_go());
}

#[tokio::test]
async fn a_watch_ends_when_nobody_says_any_more_what_may_be_seen() {
    let (source, response) = live();
    let mut reading = Reading::begin(&Server::scripted([response]), since(0, Scope::All), get(WATCH)).await;
    reading.forget_scope();
    source.send(&event("ADDED", "mine", "a", 51));
    assert_eq!(reading.next().await, None);
}

#[tokio::test]
async fn a_watch_from_before_the_scope_has_expired() {
    let server = Server::scripted([]);
    let mut reading = Reading::begin(&server, since(51, namespaces(&["mine"])), get(WATCH)).await;
    reading.assert_expired().await;
    assert_eq!(server.asked(), [""; 0]);
    for (since_version, version) in [(50, "50"), (51, ""), (51, "0")] {
        let server = Server::scripted([live().1]);
        let uri = format!("/api/v1/pods?watch=1&resourceVersion={version}");
        Reading::begin(&server, since(since_version, namespaces(&["mine"])), get(&uri)).await;
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_watch_that_is_sent_its_state_anew_doesn_t_expire() {
    let server = Server::scripted([live().1]);
    let uri =
        "/api/v1/pods?watch=1&resourceVersion=50&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    Reading::begin(&server, since(51, namespaces(&["mine"])), get(uri)).await;
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn failures_before_the_first_event_are_the_answer() {
    for (code, expected) in [(400, 400), (410, 410), (422, 422), (401, 503), (403, 500)] {
        let server = Server::scripted([status(code, "Invalid")]);
        let (_sender, receiver) = tokio::sync::watch::channel(since(0, namespaces(&["mine"])));
        let response = mk8s_filter::watch(server, receiver, get(WATCH)).await;
        let (code, status) = refused(response).await;
        assert_eq!(code, expected);
        if code >= 500 {
            assert!(
                status["message"]
                    .as_str()
                    .expect("message")
                    .contains("watch pods")
            );
        }
    }
}

#[tokio::test]
async fn the_old_form_of_a_watch_is_refused() {
    let (_sender, receiver) = tokio::sync::watch::channel(since(0, Scope::All));
    let response = mk8s_filter::watch(Server::scripted([]), receiver, get("/api/v1/watch/pods")).await;
    assert_eq!(refused(response).await.0, 400);
}

#[tokio::test]
async fn events_that_could_be_read_in_two_ways_break_the_watch_off() {
    for bad in [
        r#"{"type":"ADDED","object":{"metadata":{"name":"x","namespace":"theirs"},"metadata":{"name":"x","namespace":"mine"}}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"name":"x","namespace":"theirs","namespace":"mine"}}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"namespace":"mine"}},"object":{"metadata":{"name":"x","namespace":"theirs"}}}"#,
        r#"{"type":"ADDED","type":"BOOKMARK","object":{"metadata":{"name":"x","namespace":"theirs"}}}"#,
        r#"{"type":"OTHER","object":{"metadata":{"name":"x","namespace":"mine"}}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"namespace":"mine"}}}"#,
        r#"{"type":"ADDED","object":{"kind":"Table","rows":[]}}"#,
        r#"{"type":"ADDED","object":{"kind":"Table","rows":[{"cells":["x"]}]}}"#,
        r#"{"type":"ADDED","object":{"kind":"Table","rows":[{"object":{"metadata":{"name":"x","namespace":"mine"}}},{"object":{}}]}}"#,
        r#"{"type":"ADDED"}"#,
        "[]",
        "nonsense",
    ] {
        let server = Server::scripted([cut(bad, &[usize::MAX])]);
        let mut reading = Reading::begin(&server, since(0, namespaces(&["mine"])), get(WATCH)).await;
        let frame = reading.frame().await.expect("an end");
        assert!(frame.is_err(), "{bad}: {frame:?}");
    }
}

#[tokio::test]
async fn an_event_of_20_megabytes_breaks_the_watch_off() {
    let mut large = event("ADDED", "mine", "a", 51);
    large["object"]["data"] = "x".repeat(20 << 20).into();
    let server = Server::scripted([cut(large.to_string(), &[1 << 16])]);
    let mut reading = Reading::begin(&server, since(0, namespaces(&["mine"])), get(WATCH)).await;
    // It takes more looks than what comes at once.
    let mut broke_off = false;
    for _ in 0..1000 {
        broke_off |= reading.frame().await.is_some_and(|frame| frame.is_err());
        if broke_off {
            break;
        }
    }
    assert!(broke_off);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_it_is_cut_a_watch_shows_the_same_and_nothing_else(
        events in prop::collection::vec(("ADDED|MODIFIED|DELETED|BOOKMARK", "mine|theirs|min|", "[a-c]"), 0..10),
        sizes in prop::collection::vec(1_usize..40, 1..6),
        is_table in any::<bool>(),
    ) {
        let made: Vec<_> = events
            .iter()
            .enumerate()
            .map(|(at, (kind, namespace, name))| {
                let version = at as u64 + 51;
                let made = if kind == "BOOKMARK" { bookmark(version) } else { event(kind, namespace, name, version) };
                if !is_table {
                    return made;
                }
                json!({"type": kind, "object": {"kind": "Table", "rows": [{"cells": [], "object": made["object"]}]}})
            })
            .collect();
        let text: Vec<String> = made.iter().map(|event| format!("{event}\n")).collect();
        let expected: Vec<_> = made
            .iter()
            .zip(&events)
            .filter(|(_, (kind, namespace, _))| kind == "BOOKMARK" || namespace == "mine")
            .map(|(event, _)| event.clone())
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let found = runtime.block_on(async {
            let server = Server::scripted([cut(text.concat(), &sizes)]);
            let mut reading = Reading::begin(&server, since(0, namespaces(&["mine"])), get(WATCH)).await;
            let mut found = Vec::new();
            while let Some(event) = reading.next().await {
                found.push(event);
            }
            found
        });
        for event in &found {
            let object = if is_table { &event["object"]["rows"][0]["object"] } else { &event["object"] };
            prop_assert!(event["type"] == "BOOKMARK" || place(object).starts_with("mine/"));
        }
        prop_assert_eq!(found, expected);
    }
}
