//! Watches: what comes, and how a client goes on from it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use mk8s_model::query;
use mk8s_net::{Body, BoxError};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    Clusters, bookmark, event, get, json_answer, live, marked, names, refused, status, unreachable, version,
    watch,
};

const AB: &[&str] = &["a", "b"];
const BEGIN: &str = "/api/v1/pods?watch=1&resourceVersion=mca1.a~10~b~20";

#[tokio::test]
async fn events_come_as_they_happen_marked_and_with_the_version_of_all() {
    let (a, answer_a) = live();
    let (b, answer_b) = live();
    let clusters = Clusters::default()
        .scripted("a", [answer_a])
        .scripted("b", [answer_b]);
    let clusters = Arc::new(clusters);
    let mut watch = watch(&clusters, AB, BEGIN).await;
    let asked: Vec<String> = clusters.asked().into_iter().map(|(_, query)| query).collect();
    assert_eq!(
        asked,
        [
            "watch=1&allowWatchBookmarks=true&resourceVersion=10",
            "watch=1&allowWatchBookmarks=true&resourceVersion=20",
        ]
    );
    watch.assert_quiet();
    for (source, sent, expected, expected_version) in [
        (&b, event("ADDED", "x", 21), "x@b", "mca1.a~10~b~21"),
        (&a, event("ADDED", "x", 11), "x@a", "mca1.a~11~b~21"),
        (&a, event("MODIFIED", "x", 12), "x@a", "mca1.a~12~b~21"),
        (&b, event("DELETED", "x", 22), "x@b", "mca1.a~12~b~22"),
    ] {
        source.send(&sent);
        let came = watch.next().await.expect("an event");
        assert_eq!(came["type"], sent["type"]);
        assert_eq!(came["object"]["kind"], "Pod");
        assert_eq!(marked(&came["object"]), expected);
        assert_eq!(version(&came), expected_version);
    }
    watch.assert_quiet();
}

#[tokio::test]
async fn bookmarks_come_if_they_are_asked_for_and_count_all_the_same() {
    for wanted in [true, false] {
        let (a, answer_a) = live();
        let (b, answer_b) = live();
        let clusters = Clusters::default()
            .scripted("a", [answer_a])
            .scripted("b", [answer_b]);
        let clusters = Arc::new(clusters);
        let uri = format!("{BEGIN}&allowWatchBookmarks={wanted}");
        let mut watch = watch(&clusters, AB, &uri).await;
        a.send(&bookmark(15));
        if wanted {
            let came = watch.next().await.expect("a bookmark");
            assert_eq!(
                (&came["type"], version(&came)),
                (&json!("BOOKMARK"), "mca1.a~15~b~20")
            );
            assert_eq!(came["object"]["metadata"]["annotations"], Value::Null);
        }
        watch.assert_quiet();
        b.send(&event("ADDED", "x", 21));
        assert_eq!(version(&watch.next().await.expect("an event")), "mca1.a~15~b~21");
    }
}

#[tokio::test]
async fn a_watch_from_nothing_in_particular_knows_what_it_has_seen() {
    for begin in ["", "resourceVersion=", "resourceVersion=0"] {
        let (a, answer_a) = live();
        let (_b, answer_b) = live();
        let clusters = Clusters::default()
            .scripted("a", [answer_a])
            .scripted("b", [answer_b]);
        let clusters = Arc::new(clusters);
        let mut watch = watch(&clusters, AB, &format!("/api/v1/pods?watch=1&{begin}")).await;
        a.send(&event("ADDED", "x", 5));
        let came = watch.next().await.expect("an event");
        let nothing = if begin.ends_with('0') { "0" } else { "" };
        assert_eq!(version(&came), format!("mca1.a~5~b~{nothing}"));
        // And goes on from there.
        let (_a, answer_a) = live();
        let (_b, answer_b) = live();
        let again = Arc::new(
            Clusters::default()
                .scripted("a", [answer_a])
                .scripted("b", [answer_b]),
        );
        let uri = format!("/api/v1/pods?watch=1&resourceVersion={}", version(&came));
        let _watch = self::watch(&again, AB, &uri).await;
        let asked: Vec<String> = again.asked().into_iter().map(|(_, query)| query).collect();
        assert!(asked[0].ends_with("&resourceVersion=5"), "{asked:?}");
        assert_eq!(
            asked[1].ends_with("&resourceVersion=0"),
            nothing == "0",
            "{asked:?}"
        );
        assert_eq!(asked[1].contains("resourceVersion"), nothing == "0", "{asked:?}");
    }
}

#[tokio::test]
async fn a_watch_from_other_clusters_versions_has_expired() {
    let clusters = Arc::new(Clusters::default());
    for version in ["15", "mca1.a~10", "mca1.a~10~c~20", "mca1.a~1~b~2~c~3"] {
        let request = get(&format!("/api/v1/pods?watch=1&resourceVersion={version}"));
        let (code, said) = refused(mk8s_fleet::watch(clusters.clone(), names(AB), request).await).await;
        assert_eq!((code, &said["reason"]), (410, &json!("Expired")), "{version}");
    }
    assert_eq!(clusters.asked(), []);
}

#[tokio::test]
async fn a_watch_that_one_cluster_refuses_is_refused() {
    for (answer, expected, message) in [
        (unreachable("b"), 503, "cluster b is disconnected"),
        (
            status(410, "Expired", "too old", &json!({})),
            410,
            "cluster b: too old",
        ),
        (status(422, "Invalid", "no", &json!({})), 422, "cluster b: no"),
        (json_answer(Body::empty()).map(|_| Body::full("<html>")), 200, ""),
    ] {
        let is_html = expected == 200;
        let (a, answer_a) = live();
        let mut answer = answer;
        if is_html {
            answer
                .headers_mut()
                .insert("content-type", "text/html".parse().expect("value"));
        }
        let clusters = Clusters::default()
            .scripted("a", [answer_a])
            .scripted("b", [answer]);
        let response = mk8s_fleet::watch(Arc::new(clusters), names(AB), get(BEGIN)).await;
        let (code, said) = refused(response).await;
        assert_eq!(code, if is_html { 502 } else { expected });
        if !is_html {
            assert_eq!(said["message"], message);
        }
        assert!(a.is_let_go());
    }
}

/// A cluster with a log of events, of which a watch gets those after its resource version, and then waits.
fn logged(
    log: Vec<(u64, Value)>,
    sizes: Vec<usize>,
) -> impl Fn(&Request<Body>) -> http::Response<Body> + Send + Sync {
    move |request| {
        let from = query::value(request.uri().query(), "resourceVersion").expect("a version");
        let from: u64 = std::str::from_utf8(&from)
            .expect("text")
            .parse()
            .expect("a number");
        let text: String = log
            .iter()
            .filter(|(version, _)| *version > from)
            .map(|(_, event)| format!("{event}\n"))
            .collect();
        let mut text = Bytes::from(text);
        let mut sizes = sizes.clone().into_iter().cycle();
        let pieces = std::iter::from_fn(move || {
            let size = sizes.next()?.min(text.len());
            (!text.is_empty()).then(|| Ok::<_, BoxError>(Frame::data(text.split_to(size))))
        });
        let body = stream::iter(pieces).chain(stream::pending());
        json_answer(Body::boxed(StreamBody::new(body)))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_watch_goes_on_from_any_event_without_loss(
        counts in prop::collection::vec(0_u64..7, 1..4),
        sizes in prop::collection::vec(1_usize..90, 1..6),
    ) {
        let of: Vec<String> = (0..counts.len()).map(|at| format!("c{at}")).collect();
        let of: Vec<&str> = of.iter().map(String::as_str).collect();
        let mut clusters = Clusters::default();
        for (cluster, count) in of.iter().zip(&counts) {
            // Some of the changes are seen in bookmarks alone.
            let log = (1..=*count).map(|at| (at * 10, if at % 3 == 0 { bookmark(at * 10) } else { event("ADDED", &format!("{at}"), at * 10) }));
            clusters = clusters.with(cluster, logged(log.collect(), sizes.clone()));
        }
        let clusters = Arc::new(clusters);
        let begin: Vec<String> = of.iter().map(|cluster| format!("{cluster}~0")).collect();
        let begin = format!("mca1.{}", begin.join("~"));
        let total: u64 = counts.iter().map(|count| count - count / 3).sum();
        let total = usize::try_from(total).expect("few");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(async {
            let uri = |version: &str| format!("/api/v1/pods?watch=1&resourceVersion={version}");
            let mut first = watch(&clusters, &of, &uri(&begin)).await;
            let events = first.take(total).await;
            first.assert_quiet();
            let seen: Vec<String> = events.iter().map(|event| marked(&event["object"])).collect();
            for cluster in &of {
                let of_it: Vec<u64> = seen.iter().filter_map(|seen| seen.strip_suffix(&format!("@{cluster}"))).map(|name| name.parse().expect("number")).collect();
                assert!(of_it.is_sorted());
            }
            for at in 0..events.len() {
                let mut again = watch(&clusters, &of, &uri(version(&events[at]))).await;
                let mut rest: Vec<String> = again.take(total - at - 1).await.iter().map(|event| marked(&event["object"])).collect();
                again.assert_quiet();
                let mut expected = seen[at + 1..].to_vec();
                rest.sort();
                expected.sort();
                assert_eq!(rest, expected, "from event {at}");
            }
        });
    }
}
