//! Watches while what may be seen changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use mk8s_filter::Scope;
use mk8s_net::Body;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{
    Reading, Server, Source, answer, bookmark, event, get, initial_events_end, live, namespaces, parameter,
    pods, short, since, status, team,
};

const FROM_LIST: &str = "/api/v1/pods?watch=1&allowWatchBookmarks=true&resourceVersion=50&labelSelector=app";
const WITH_STATE: &str =
    "/api/v1/pods?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";

/// A watch with its initial state: `mine/a` at 5 and `ours/b` at 6, up to 60. Then the second source's.
async fn begun(uri: &str) -> (Reading, Source, Source, Arc<Server>) {
    let (first, response) = live();
    let (second, later) = live();
    let server = Server::scripted([response, later]);
    let reading = Reading::begin(&server, since(40, namespaces(&["mine", "ours"])), get(uri)).await;
    first.send(&event("ADDED", "mine", "a", 5));
    first.send(&event("ADDED", "ours", "b", 6));
    (reading, first, second, server)
}

#[tokio::test]
async fn what_may_not_be_seen_any_more_is_deleted() {
    let (mut reading, first, second, server) = begun(WITH_STATE).await;
    first.send(&initial_events_end(60));
    assert_eq!(
        reading.take(3).await,
        ["ADDED mine/a 5", "ADDED ours/b 6", "BOOKMARK 60 end"]
    );
    reading.change(since(70, namespaces(&["mine"])));
    reading.assert_quiet().await;
    assert!(first.is_let_go());
    assert_eq!(
        server.asked()[1],
        "/api/v1/pods?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=60"
    );
    second.send(&event("ADDED", "mine", "a", 5));
    second.send(&event("ADDED", "ours", "b", 6));
    reading.assert_quiet().await;
    second.send(&initial_events_end(71));
    assert_eq!(
        reading.next().await.expect("an event"),
        serde_json::json!({"type": "DELETED", "object": {
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "b", "namespace": "ours", "resourceVersion": "6"},
        }})
    );
    assert_eq!(reading.next().await, Some(bookmark(71)));
    second.send(&event("MODIFIED", "ours", "b", 72));
    second.send(&event("MODIFIED", "mine", "a", 73));
    assert_eq!(reading.take(1).await, ["MODIFIED mine/a 73"]);
}

#[tokio::test]
async fn what_may_be_seen_now_is_added_and_what_changed_meanwhile_modified() {
    let (mut reading, first, second, _) = begun(WITH_STATE).await;
    first.send(&initial_events_end(60));
    reading.take(3).await;
    reading.change(since(70, namespaces(&["mine", "ours", "new"])));
    second.send(&event("ADDED", "mine", "a", 5));
    second.send(&event("ADDED", "new", "c", 7));
    second.send(&event("ADDED", "ours", "b", 65));
    second.send(&initial_events_end(71));
    assert_eq!(
        reading.take(3).await,
        ["ADDED new/c 7", "MODIFIED ours/b 65", "BOOKMARK 71"]
    );
    second.send(&event("DELETED", "new", "c", 72));
    second.send(&bookmark(80));
    assert_eq!(reading.take(2).await, ["DELETED new/c 72", "BOOKMARK 80"]);
}

#[tokio::test]
async fn the_client_s_own_initial_events_end_once_though_the_scope_changes_before() {
    let (mut reading, _first, second, _) = begun(WITH_STATE).await;
    assert_eq!(reading.take(2).await, ["ADDED mine/a 5", "ADDED ours/b 6"]);
    reading.change(since(70, namespaces(&["mine", "new"])));
    second.send(&event("ADDED", "mine", "a", 5));
    second.send(&event("ADDED", "new", "c", 7));
    second.send(&initial_events_end(71));
    assert_eq!(
        reading.take(3).await,
        ["ADDED new/c 7", "DELETED ours/b 6", "BOOKMARK 71 end"]
    );
}

#[tokio::test]
async fn a_watch_from_nothing_in_particular_knows_what_it_has_shown() {
    for version in ["", "&resourceVersion=0", "&resourceVersion="] {
        let uri = format!("/api/v1/pods?watch=1{version}");
        let (mut reading, _first, second, server) = begun(&uri).await;
        reading.take(2).await;
        reading.change(since(70, namespaces(&["mine"])));
        second.send(&event("ADDED", "mine", "a", 5));
        second.send(&initial_events_end(71));
        // Nor does this client want bookmarks.
        assert_eq!(reading.take(1).await, ["DELETED ours/b 6"]);
        reading.assert_quiet().await;
        assert!(server.asked()[1].contains("resourceVersion=6"));
    }
}

#[tokio::test]
async fn a_watch_that_goes_on_from_a_list_asks_what_was_in_it() {
    let (first, response) = live();
    let (second, later) = live();
    let listed = pods(55, &[("mine", "a"), ("ours", "b"), ("theirs", "x")]);
    let server = Server::scripted([response, answer(&listed), later]);
    let mut reading = Reading::begin(&server, since(40, namespaces(&["mine", "ours"])), get(FROM_LIST)).await;
    first.send(&event("DELETED", "mine", "c", 54));
    first.send(&bookmark(55));
    reading.take(2).await;
    reading.change(since(70, namespaces(&["mine"])));
    second.send(&event("ADDED", "mine", "a", 7));
    second.send(&initial_events_end(71));
    assert_eq!(reading.take(2).await, ["DELETED ours/b 7", "BOOKMARK 71"]);
    assert_eq!(
        server.asked()[1..],
        [
            "/api/v1/pods?labelSelector=app&resourceVersion=55&resourceVersionMatch=Exact",
            "/api/v1/pods?watch=1&labelSelector=app&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=55",
        ]
    );
    let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    assert_eq!(server.header(1, "accept").as_deref(), Some(partial));
    assert_eq!(server.header(2, "accept").as_deref(), Some("application/json"));
}

#[tokio::test]
async fn labels_of_both_scopes_are_asked_for() {
    let (_first, response) = live();
    let (second, later) = live();
    let server = Server::scripted([response, answer(&pods(50, &[("x", "a")])), later]);
    let mut reading = Reading::begin(&server, since(40, team("red")), get(FROM_LIST)).await;
    reading.change(since(70, team("blue")));
    reading.assert_quiet().await;
    second.send(&event("ADDED", "y", "b", 9));
    second.send(&initial_events_end(71));
    assert_eq!(
        reading.take(3).await,
        ["ADDED y/b 9", "DELETED x/a 7", "BOOKMARK 71"]
    );
    let asked = server.asked();
    assert!(asked[0].contains("labelSelector=team in (red),app"));
    assert!(
        asked[1].contains("labelSelector=team in (red),app"),
        "{}",
        asked[1]
    );
    assert!(
        asked[2].contains("labelSelector=team in (blue),app"),
        "{}",
        asked[2]
    );
}

#[tokio::test]
async fn a_scope_of_nothing_empties_a_watch_and_fills_it_again() {
    let (mut reading, first, second, server) = begun(WITH_STATE).await;
    first.send(&initial_events_end(60));
    reading.take(3).await;
    reading.change(since(70, Scope::Nothing));
    second.send(&initial_events_end(71));
    assert_eq!(
        reading.take(3).await,
        ["DELETED mine/a 5", "DELETED ours/b 6", "BOOKMARK 71"]
    );
    assert!(server.asked()[1].contains("labelSelector=mk8s.io/nothing,!mk8s.io/nothing"));
    // From a list in which there was nothing, nothing has to be asked.
    let (_first, response) = live();
    let (second, later) = live();
    let server = Server::scripted([response, later]);
    let mut reading = Reading::begin(&server, since(40, Scope::Nothing), get(FROM_LIST)).await;
    reading.change(since(70, Scope::All));
    second.send(&event("ADDED", "x", "a", 5));
    second.send(&initial_events_end(71));
    assert_eq!(reading.take(2).await, ["ADDED x/a 5", "BOOKMARK 71"]);
    assert_eq!(
        server.asked()[1],
        "/api/v1/pods?watch=1&labelSelector=app&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=50"
    );
}

#[tokio::test]
async fn what_a_client_could_go_on_from_comes_after_the_whole_change() {
    let (mut reading, first, second, _) = begun(WITH_STATE).await;
    first.send(&event("ADDED", "ours", "d", 72));
    first.send(&initial_events_end(72));
    reading.take(4).await;
    reading.change(since(70, namespaces(&["mine", "new"])));
    second.send(&event("ADDED", "mine", "a", 75));
    second.send(&event("ADDED", "new", "c", 73));
    second.send(&event("ADDED", "new", "e", 8));
    second.send(&bookmark(76));
    second.send(&event("MODIFIED", "new", "c", 77));
    second.send(&event("DELETED", "new", "f", 78));
    second.send(&initial_events_end(79));
    assert_eq!(
        reading.take(7).await,
        [
            "ADDED new/e 8",
            "DELETED ours/b 6",
            // It was shown in a version of after the change.
            "DELETED ours/d 69",
            "ADDED new/c 73",
            "MODIFIED mine/a 75",
            "MODIFIED new/c 77",
            "BOOKMARK 79",
        ]
    );
}

#[tokio::test]
async fn a_change_within_a_change_begins_anew() {
    let (first, response) = live();
    let (second, in_second) = live();
    let (third, in_third) = live();
    let server = Server::scripted([response, in_second, in_third]);
    let mut reading =
        Reading::begin(&server, since(40, namespaces(&["mine", "ours"])), get(WITH_STATE)).await;
    first.send(&event("ADDED", "mine", "a", 5));
    first.send(&event("ADDED", "ours", "b", 6));
    first.send(&initial_events_end(60));
    reading.take(3).await;
    reading.change(since(70, namespaces(&["mine", "new"])));
    second.send(&event("ADDED", "new", "c", 7));
    second.send(&event("ADDED", "new", "d", 75));
    assert_eq!(reading.take(1).await, ["ADDED new/c 7"]);
    reading.change(since(80, namespaces(&["mine", "ours"])));
    reading.assert_quiet().await;
    assert!(second.is_let_go());
    third.send(&event("ADDED", "mine", "a", 5));
    third.send(&event("ADDED", "ours", "b", 6));
    third.send(&initial_events_end(81));
    assert_eq!(reading.take(2).await, ["DELETED new/c 7", "BOOKMARK 81"]);
    reading.assert_quiet().await;
}

#[tokio::test]
async fn a_scope_that_is_the_same_again_changes_nothing() {
    let (mut reading, first, _second, server) = begun(WITH_STATE).await;
    reading.take(2).await;
    reading.change(since(70, namespaces(&["ours", "mine"])));
    reading.assert_quiet().await;
    assert_eq!(server.asked().len(), 1);
    first.send(&event("MODIFIED", "mine", "a", 71));
    assert_eq!(reading.take(1).await, ["MODIFIED mine/a 71"]);
}

#[tokio::test]
async fn nothing_of_the_old_scope_comes_after_a_change() {
    let (mut reading, first, _second, _) = begun(WITH_STATE).await;
    reading.take(2).await;
    first.send(&event("ADDED", "ours", "late", 59));
    reading.change(since(70, namespaces(&["mine"])));
    reading.assert_quiet().await;
}

#[tokio::test]
async fn a_change_that_can_t_be_told_has_the_client_list_anew() {
    for (code, reason) in [
        (400, "BadRequest"),
        (422, "Invalid"),
        (403, "Forbidden"),
        (410, "Expired"),
        (500, "InternalError"),
    ] {
        let (_first, response) = live();
        let server = Server::scripted([response, status(code, reason)]);
        let mut reading = Reading::begin(&server, since(40, Scope::All), get(WITH_STATE)).await;
        reading.change(since(70, Scope::Nothing));
        reading.assert_expired().await;
        // So has one that went on from a list which isn't known any more.
        let (_first, response) = live();
        let server = Server::scripted([response, status(code, reason)]);
        let mut reading = Reading::begin(&server, since(40, Scope::All), get(FROM_LIST)).await;
        reading.change(since(70, Scope::Nothing));
        reading.assert_expired().await;
        assert!(server.asked()[1].contains("Exact"));
    }
}

#[tokio::test]
async fn a_watch_from_nowhere_that_was_sent_nothing_has_the_client_list_anew() {
    let (_first, response) = live();
    let server = Server::scripted([response]);
    let uri = "/api/v1/pods?watch=1&sendInitialEvents=false";
    let mut reading = Reading::begin(&server, since(40, Scope::All), get(uri)).await;
    reading.change(since(70, team("red")));
    reading.assert_expired().await;
}

#[tokio::test]
async fn a_change_that_breaks_off_has_the_client_list_anew() {
    let end: [fn(Source); 5] = [
        drop,
        |source| source.break_off(),
        |source| source.send_text("nonsense"),
        |source| source.send_text(r#"{"type":"ADDED","obj"#),
        |source| source.send_text(r#"{"type":"ERROR","object":{"kind":"Status","code":500}}"#),
    ];
    for end in end {
        let (mut reading, first, second, _) = begun(WITH_STATE).await;
        first.send(&initial_events_end(60));
        reading.take(3).await;
        reading.change(since(70, namespaces(&["mine"])));
        second.send(&event("ADDED", "mine", "a", 5));
        end(second);
        reading.assert_expired().await;
    }
}

#[tokio::test]
async fn more_than_can_be_held_back_has_the_client_list_anew() {
    let (mut reading, _first, second, _) = begun(WITH_STATE).await;
    reading.take(2).await;
    reading.change(since(70, namespaces(&["new"])));
    for version in 71..77 {
        let mut large = event("ADDED", "new", &format!("p{version}"), version);
        large["object"]["data"] = "x".repeat(1 << 20).into();
        second.send(&large);
    }
    reading.assert_expired().await;
}

#[tokio::test(start_paused = true)]
async fn the_client_s_time_goes_on_through_a_change() {
    let uri = format!("{WITH_STATE}&timeoutSeconds=100");
    let (mut reading, _first, _second, server) = begun(&uri).await;
    reading.take(2).await;
    tokio::time::advance(Duration::from_secs(40)).await;
    reading.change(since(70, namespaces(&["mine"])));
    reading.assert_quiet().await;
    assert!(
        server.asked()[1].contains("timeoutSeconds=60"),
        "{}",
        server.asked()[1]
    );
    tokio::time::advance(Duration::from_secs(60)).await;
    reading.change(since(90, namespaces(&["ours"])));
    assert_eq!(reading.next().await, None);
    assert_eq!(server.asked().len(), 2);
}

/// Pods by place, each with its version.
type Pods = BTreeMap<(String, String), u64>;

/// An API server with a history, all of which it remembers.
#[derive(Default)]
struct World {
    version: u64,
    now: Pods,
    history: BTreeMap<u64, Pods>,
    source: Option<Source>,
}

impl World {
    fn change(&mut self, place: (String, String), stays: bool) {
        self.version += 1;
        let kind = match (self.now.contains_key(&place), stays) {
            (false, false) => return,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        if let Some(source) = self.source.as_ref().filter(|source| !source.is_let_go()) {
            source.send(&event(kind, &place.0, &place.1, self.version));
        }
        if stays {
            self.now.insert(place, self.version);
        } else {
            self.now.remove(&place);
        }
        self.history.insert(self.version, self.now.clone());
    }

    fn answer(&mut self, request: &http::Request<Body>) -> http::Response<Body> {
        if parameter(request, "watch").is_none() {
            let version: u64 = parameter(request, "resourceVersion")
                .expect("version")
                .parse()
                .expect("number");
            let (_, then) = self.history.range(..=version).next_back().expect("a state");
            let places: Vec<_> = then
                .iter()
                .map(|((namespace, name), _)| (&**namespace, &**name))
                .collect();
            let mut list = pods(version, &places);
            for (item, at) in list["items"]
                .as_array_mut()
                .expect("items")
                .iter_mut()
                .zip(then.values())
            {
                item["metadata"]["resourceVersion"] = at.to_string().into();
            }
            return answer(&list);
        }
        let (source, response) = live();
        if parameter(request, "sendInitialEvents").is_some() {
            for ((namespace, name), version) in &self.now {
                source.send(&event("ADDED", namespace, name, *version));
            }
            source.send(&initial_events_end(self.version));
        }
        self.source = Some(source);
        response
    }
}

/// What a client makes of events.
fn apply(events: &[Value], seen: &mut Pods) {
    for event in events {
        let metadata = &event["object"]["metadata"];
        let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
        let place = (text("namespace"), text("name"));
        let version = text("resourceVersion").parse().expect("a version");
        match event["type"].as_str().expect("a type") {
            "ADDED" => assert!(seen.insert(place, version).is_none(), "{} again", short(event)),
            "MODIFIED" => assert!(
                seen.insert(place, version).is_some(),
                "{} of nothing",
                short(event)
            ),
            "DELETED" => assert!(seen.remove(&place).is_some(), "{} of nothing", short(event)),
            kind => assert_eq!(kind, "BOOKMARK"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// After any changes of objects and scopes, a client has what it may see, and was told nothing twice.
    #[test]
    fn a_client_always_has_what_it_may_see(
        steps in prop::collection::vec(("[abc]", "[xy]", any::<bool>(), prop::option::of(0_usize..5)), 1..25),
        from_list in any::<bool>(),
        knows_since in any::<bool>(),
    ) {
        let scopes = [&["a", "b"][..], &["b", "c"], &["a"], &[], &["a", "b", "c"]];
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(async {
            let world = Arc::new(Mutex::new(World::default()));
            for (namespace, name) in [("a", "x"), ("b", "x"), ("c", "x")] {
                world.lock().expect("world").change((namespace.to_owned(), name.to_owned()), true);
            }
            let server = Server::new({
                let world = world.clone();
                move |request| world.lock().expect("world").answer(request)
            });
            let mut scope = scopes[0];
            let may_see = |scope: &[&str]| -> Pods {
                let world = world.lock().expect("world");
                world.now.clone().into_iter().filter(|((namespace, _), _)| scope.contains(&&**namespace)).collect()
            };
            let mut seen = if from_list { may_see(scope) } else { Pods::new() };
            let uri = if from_list { "/api/v1/pods?watch=1&allowWatchBookmarks=1&resourceVersion=3" } else { WITH_STATE };
            let mut reading = Reading::begin(&server, since(0, namespaces(scope)), get(uri)).await;
            apply(&reading.drain().await, &mut seen);
            assert_eq!(seen, may_see(scope));
            for (namespace, name, stays, change) in steps {
                world.lock().expect("world").change((namespace, name), stays);
                if let Some(change) = change {
                    scope = scopes[change];
                    let version = world.lock().expect("world").version;
                    // Sometimes what has just changed is newer than the scope, and held back.
                    let known = if knows_since { version.saturating_sub(1) } else { 0 };
                    // Nothing at all is narrowed by labels, which this server doesn't look at.
                    let narrowed = if scope.is_empty() { namespaces(&["none"]) } else { namespaces(scope) };
                    reading.change(since(known, narrowed));
                }
                apply(&reading.drain().await, &mut seen);
                assert_eq!(seen, may_see(scope));
            }
        });
    }
}
