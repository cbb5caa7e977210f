//! What others write is seen by watching.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use mk8s_cache::MAX_WATCHES;

use crate::support::{Api, Client, MAX_AGE, SETTINGS, event, pass, settle};

const PODS: &str = "/api/v1/namespaces/x/pods";
const POD: &str = "/api/v1/namespaces/x/pods/p";

#[tokio::test(start_paused = true)]
async fn a_list_is_watched_from_its_own_version_as_who_asked() {
    let client = Client::new(SETTINGS).with(&[
        ("authorization", "Bearer T"),
        ("impersonate-user", "jane"),
        ("impersonate-group", "b"),
        ("impersonate-group", "a"),
    ]);
    for _ in 0..7 {
        client.api.change();
    }
    client
        .at("far")
        .get("/apis/example.org/v1/namespaces/x/widgets?labelSelector=a")
        .await;
    let watches = client.api.watches();
    let [watch] = &watches[..] else {
        panic!("one watch")
    };
    assert_eq!(watch.cluster.as_str(), "far");
    assert_eq!(
        watch.path,
        "/apis/example.org/v1/namespaces/x/widgets?watch=true&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion=7"
    );
    let mut expected = HeaderMap::new();
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
    for (name, value) in [
        ("accept", accept),
        ("user-agent", "mca-proxy/cache"),
        ("impersonate-user", "jane"),
        ("impersonate-group", "b"),
        ("impersonate-group", "a"),
    ] {
        expected.append(name, HeaderValue::from_static(value));
    }
    assert_eq!(watch.headers, expected);
}

#[tokio::test(start_paused = true)]
async fn an_object_is_watched_by_name_from_any_state() {
    let client = Client::new(SETTINGS);
    client.api.change();
    for (path, watched) in [
        ("/api/v1/namespaces/x/pods/p/status", "/api/v1/namespaces/x/pods"),
        ("/api/v1/namespaces/x", "/api/v1/namespaces"),
        ("/api/v1/nodes/n", "/api/v1/nodes"),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:x%20y",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        ),
    ] {
        client.get(path).await;
        let watch = client.api.watches().pop().expect("a watch").path;
        let name = match watched {
            "/api/v1/namespaces/x/pods" => "p",
            "/api/v1/namespaces" => "x",
            "/api/v1/nodes" => "n",
            _ => "system%3Ax%20y",
        };
        assert_eq!(
            watch,
            format!(
                "{watched}?watch=true&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion=0&fieldSelector=metadata.name%3D{name}"
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_drops_the_object_and_the_lists_that_could_hold_it_for_anybody() {
    let kept = [
        "/api/v1/pods",
        PODS,
        "/api/v1/namespaces/x/pods?labelSelector=a",
        "/api/v1/namespaces/x/pods?fieldSelector=metadata.name%3Dq",
        POD,
        "/api/v1/namespaces/x/pods/p/status",
        "/api/v1/namespaces/x/pods/q",
        "/api/v1/namespaces/y/pods",
        "/api/v1/namespaces/y/pods/p",
        "/api/v1/namespaces/x/configmaps/p",
    ];
    for kind in ["ADDED", "MODIFIED", "DELETED"] {
        let client = Client::new(SETTINGS);
        client.api.change();
        let unwatched = Client {
            api: Api::default(),
            ..client.named("ns/other")
        };
        unwatched.api.change();
        unwatched.api.refuse_watches(StatusCode::FORBIDDEN);
        client.get("/api/v1/pods").await;
        for path in kept {
            unwatched.get(path).await;
        }
        client.api.event("BOOKMARK", "x", "p", 2).await;
        for path in kept {
            assert!(unwatched.is_kept(path).await, "{path}");
        }
        client.api.event(kind, "x", "p", 2).await;
        let mut left = Vec::new();
        for path in kept {
            if unwatched.is_kept(path).await {
                left.push(path);
            }
        }
        assert_eq!(left, kept[6..], "{kind}");
        assert!(!client.is_kept("/api/v1/pods").await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_while_a_get_is_answered_spoils_it() {
    let client = Client::new(SETTINGS);
    client.api.change();
    client.get("/api/v1/pods").await;
    client.api.hold();
    let reading = tokio::spawn({
        let client = client.clone();
        async move { client.get(PODS).await }
    });
    settle().await;
    client.api.event("MODIFIED", "x", "p", 2).await;
    client.api.release();
    reading.await.expect("read");
    assert!(!client.is_kept(PODS).await);
}

#[tokio::test(start_paused = true)]
async fn the_watch_of_an_object_must_begin_with_the_state_that_is_kept() {
    // What comes, and whether the object stays.
    for (kind, version, is_kept) in [("ADDED", 1, true), ("ADDED", 2, false), ("DELETED", 1, false)] {
        let client = Client::new(SETTINGS);
        client.api.change();
        client.get(POD).await;
        client.api.event(kind, "x", "p", version).await;
        assert_eq!(client.is_kept(POD).await, is_kept, "{kind} {version}");
        pass(Duration::from_secs(6)).await;
        assert_eq!(client.is_kept(POD).await, is_kept, "{kind} {version}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_state_does_not_come_is_dropped() {
    let client = Client::new(SETTINGS);
    client.api.change();
    client.get(POD).await;
    client.api.event("BOOKMARK", "", "", 9).await;
    pass(Duration::from_millis(4900)).await;
    assert!(client.is_kept(POD).await);
    pass(Duration::from_millis(200)).await;
    assert!(!client.is_kept(POD).await);
}

#[tokio::test(start_paused = true)]
async fn where_no_watch_can_be_had_answers_live_up_to_their_age() {
    for status in [401, 403, 404, 405, 406, 422] {
        let client = Client::new(SETTINGS);
        client.api.change();
        client
            .api
            .refuse_watches(StatusCode::from_u16(status).expect("a status"));
        client.get(PODS).await;
        assert!(client.hits(PODS).await, "{status}");
        pass(MAX_AGE).await;
        assert!(!client.hits(PODS).await, "{status}");
        assert_eq!(
            client.api.watches().len(),
            1,
            "{status}: not asked for again at once"
        );
        pass(Duration::from_secs(60)).await;
        client.get(PODS).await;
        assert_eq!(client.api.watches().len(), 2, "{status}: but a minute later");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_to_begin_drops_what_it_would_have_guarded() {
    for status in [410, 429, 500, 502, 503] {
        let client = Client::new(SETTINGS);
        client.api.change();
        client
            .api
            .refuse_watches(StatusCode::from_u16(status).expect("a status"));
        client.get(PODS).await;
        assert!(!client.hits(PODS).await, "{status}");
        assert!(
            client.hits(PODS).await,
            "{status}: kept by age until it is tried again"
        );
        assert_eq!(client.api.watches().len(), 1, "{status}");
        pass(2 * MAX_AGE).await;
        client.get(PODS).await;
        assert_eq!(client.api.watches().len(), 2, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_version_cannot_be_read_lives_up_to_its_age() {
    let client = Client::new(SETTINGS);
    client
        .api
        .answer_with(|_| http::Response::new(mk8s_net::Body::full("no object")));
    client.get(PODS).await;
    assert!(client.hits(PODS).await);
    assert!(client.api.watches().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_watch_drops_what_it_guarded_and_nothing_else() {
    let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#;
    let endings: [(&str, Option<Vec<u8>>); 6] = [
        ("closed", None),
        ("broken off", None),
        ("410", Some(format!("{gone}\n").into_bytes())),
        ("unknown", Some(b"{\"type\":\"WHAT\"}\n".to_vec())),
        ("unreadable", Some(b"x\n".to_vec())),
        ("endless", Some(vec![b'x'; 5 * 1024 * 1024])),
    ];
    for (how, bytes) in endings {
        let client = Client::new(SETTINGS);
        client.api.change();
        client.get(PODS).await;
        let other = Client {
            api: Api::default(),
            ..client.clone()
        };
        other.api.change();
        other.get("/api/v1/namespaces/y/pods").await;
        match bytes {
            Some(bytes) => client.api.send(bytes).await,
            None if how == "closed" => client.api.close(None).await,
            None => client.api.close(Some("cut".into())).await,
        }
        assert!(!client.is_kept(PODS).await, "{how}");
        assert!(client.is_kept("/api/v1/namespaces/y/pods").await, "{how}");
        assert_eq!(client.cache.counters().watches, 1, "{how}");
        assert_eq!(client.api.open_watches(), 0, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_over_though_the_api_server_goes_on() {
    let client = Client::new(SETTINGS);
    client.api.change();
    for _ in 0..70 {
        client.get(PODS).await;
        pass(Duration::from_secs(9)).await;
    }
    assert_eq!(client.api.watches().len(), 2);
    assert_eq!(client.api.open_watches(), 1);
}

#[tokio::test(start_paused = true)]
async fn events_are_read_however_they_are_cut() {
    let client = Client::new(SETTINGS);
    client.api.change();
    client.get(PODS).await;
    let events = event("BOOKMARK", "", "", 2) + &event("MODIFIED", "x", "p", 3);
    let (last, rest) = events.as_bytes().split_last().expect("long");
    for piece in rest.chunks(5) {
        client.api.send(piece.to_vec()).await;
    }
    assert!(client.is_kept(PODS).await, "not whole yet");
    client.api.send(vec![*last]).await;
    assert!(!client.is_kept(PODS).await);
}

#[tokio::test(start_paused = true)]
async fn one_watch_serves_all_that_it_can_answer_for() {
    let client = Client::new(SETTINGS);
    client.api.change();
    client.get("/api/v1/pods").await;
    for path in [
        PODS,
        POD,
        "/api/v1/namespaces/y/pods?labelSelector=a",
        "/api/v1/pods?labelSelector=a",
    ] {
        client.get(path).await;
        assert!(client.is_kept(path).await);
    }
    assert_eq!(client.api.watches().len(), 1);
    // Not another identity's, resource or version.
    client.named("ns/other").get(PODS).await;
    client.get("/api/v1/namespaces/x/configmaps").await;
    client.get("/api/v2/namespaces/x/pods").await;
    assert_eq!(client.api.watches().len(), 4);
    client.api.close(None).await;
    assert_eq!(client.cache.counters().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_before_a_watch_began_is_not_guarded_by_it() {
    let client = Client::new(SETTINGS);
    client.api.change();
    client.api.hold();
    let early = tokio::spawn({
        let client = client.clone();
        async move { client.get("/api/v1/namespaces/x/pods?labelSelector=early").await }
    });
    settle().await;
    let watched = Client {
        api: Api::default(),
        ..client.clone()
    };
    watched.api.change();
    watched.get(PODS).await;
    client.api.release();
    early.await.expect("read");
    watched.api.close(None).await;
    assert!(!client.is_kept(PODS).await);
    assert!(
        client
            .is_kept("/api/v1/namespaces/x/pods?labelSelector=early")
            .await,
        "it lives by its age"
    );
    pass(MAX_AGE).await;
    assert!(
        !client
            .is_kept("/api/v1/namespaces/x/pods?labelSelector=early")
            .await
    );
}

#[tokio::test(start_paused = true)]
async fn there_are_so_many_watches_and_no_more() {
    let client = Client::new(SETTINGS);
    client.api.change();
    let path = |at: usize| format!("/api/v1/namespaces/n{at}/pods");
    for at in 0..MAX_WATCHES + 8 {
        client.get(&path(at)).await;
    }
    assert_eq!(client.api.open_watches(), MAX_WATCHES);
    assert_eq!(client.cache.counters().watches, MAX_WATCHES as u64);
    assert!(
        client.is_kept(&path(MAX_WATCHES + 7)).await,
        "beyond them, by age"
    );
    client.api.close(None).await;
    for at in 0..MAX_WATCHES + 8 {
        assert_eq!(client.is_kept(&path(at)).await, at >= MAX_WATCHES, "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_some_time_after_nothing_is_kept_for_it() {
    let client = Client::new(SETTINGS);
    client.api.change();
    client.get(PODS).await;
    pass(MAX_AGE).await;
    client.get(PODS).await;
    assert_eq!(client.api.watches().len(), 1, "it stays for who asks again soon");
    for _ in 0..6 {
        pass(Duration::from_secs(10)).await;
    }
    assert_eq!(
        (client.api.open_watches(), client.cache.counters().watches),
        (0, 0)
    );
    client.get(PODS).await;
    assert_eq!(
        client.api.watches().len(),
        2,
        "and there is another when it is needed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_forgotten_leaves_nothing() {
    let client = Client::new(SETTINGS);
    client.api.change();
    client.get(PODS).await;
    let other = Client {
        api: Api::default(),
        ..client.at("other")
    };
    other.api.change();
    other.get(PODS).await;
    client.api.hold();
    let reading = tokio::spawn({
        let client = client.clone();
        async move { client.get(POD).await }
    });
    settle().await;
    client.cache.forget(&client.cluster);
    client.api.release();
    reading.await.expect("read");
    assert!(!client.is_kept(PODS).await && !client.is_kept(POD).await);
    assert!(other.is_kept(PODS).await);
    assert_eq!((client.api.open_watches(), other.api.open_watches()), (0, 1));
    client.get(PODS).await;
    assert_eq!(client.api.open_watches(), 1);
}

#[tokio::test(start_paused = true)]
async fn watches_end_with_the_cache() {
    let client = Client::new(SETTINGS);
    client.api.change();
    client.get(PODS).await;
    client.get("/api/v1/nodes/n").await;
    assert_eq!(client.api.open_watches(), 2);
    let Client { cache, api, .. } = client;
    drop(cache);
    settle().await;
    assert_eq!(api.open_watches(), 0);
}
