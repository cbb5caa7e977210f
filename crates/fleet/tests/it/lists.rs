//! Lists without a limit.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use mk8s_net::Body;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{Clusters, Store, get, items, json_answer, list, names, object, pieces, refused, whole};

const ABC: &[&str] = &["a", "b", "c"];

fn abc() -> Arc<Clusters> {
    Arc::new(
        Clusters::default()
            .with("a", Store::new(100, &["x", "y"]).answers())
            .with("b", Store::new(7, &[]).answers())
            .with("c", Store::new(31, &["x"]).custom().answers()),
    )
}

#[tokio::test]
async fn all_objects_come_marked_in_the_order_of_the_clusters() {
    let clusters = abc();
    let found = list(&clusters, ABC, "/api/v1/pods").await;
    assert_eq!(items(&found), ["x@a", "y@a", "x@c"]);
    assert_eq!(found["kind"], "PodList");
    assert_eq!(found["apiVersion"], "v1");
    let metadata = serde_json::json!({"resourceVersion": "mca1.a~100~b~7~c~31"});
    assert_eq!(found["metadata"], metadata);
    assert_eq!(found["items"][0]["metadata"]["resourceVersion"], "7");

    let found = list(&clusters, &["c", "a"], "/api/v1/pods").await;
    assert_eq!(items(&found), ["x@c", "x@a", "y@a"]);
    assert_eq!(found["metadata"]["resourceVersion"], "mca1.a~100~c~31");
    assert_eq!(found["kind"], "PodList");
}

#[tokio::test]
async fn a_cluster_named_twice_is_asked_once() {
    let clusters = abc();
    let found = list(&clusters, &["a", "b", "a"], "/api/v1/pods").await;
    assert_eq!(items(&found), ["x@a", "y@a"]);
    assert_eq!(clusters.asked().len(), 2);
}

#[tokio::test]
async fn clusters_are_asked_for_plain_json_with_the_client_s_other_headers() {
    let clusters = abc();
    let mut request = get("/api/v1/namespaces/n/pods?labelSelector=a%3Db");
    let headers = request.headers_mut();
    headers.insert(
        "accept",
        "application/vnd.kubernetes.protobuf,application/json"
            .parse()
            .expect("value"),
    );
    headers.insert("accept-encoding", "gzip".parse().expect("value"));
    headers.insert("user-agent", "kubectl/v1".parse().expect("value"));
    let response = mk8s_fleet::list(clusters.clone(), names(ABC), request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let expected = ABC
        .iter()
        .map(|c| ((*c).to_owned(), "labelSelector=a%3Db".to_owned()));
    assert_eq!(clusters.asked(), expected.collect::<Vec<_>>());
    assert_eq!(clusters.header("accept").as_deref(), Some("application/json"));
    assert_eq!(clusters.header("accept-encoding").as_deref(), Some("identity"));
    assert_eq!(clusters.header("user-agent").as_deref(), Some("kubectl/v1"));
}

#[tokio::test]
async fn a_client_that_takes_no_json_is_told_so() {
    let clusters = abc();
    let mut request = get("/api/v1/pods");
    let protobuf = "application/vnd.kubernetes.protobuf".parse().expect("value");
    request.headers_mut().insert("accept", protobuf);
    let (code, status) = refused(mk8s_fleet::list(clusters.clone(), names(ABC), request).await).await;
    assert_eq!((code, &status["reason"]), (406, &Value::from("NotAcceptable")));
    assert_eq!(clusters.asked(), []);
}

#[tokio::test]
async fn each_cluster_is_listed_from_its_own_resource_version() {
    let empty = || json_answer(Body::full(r#"{"metadata":{"resourceVersion":"9"},"items":null}"#));
    let clusters = Clusters::default()
        .scripted("a", [empty()])
        .scripted("b", [empty()]);
    let clusters = Arc::new(clusters);
    let uri = "/api/v1/pods?resourceVersion=mca1.a~5~b~&resourceVersionMatch=NotOlderThan";
    let found = list(&clusters, &["a", "b"], uri).await;
    assert_eq!(found["items"], serde_json::json!([]));
    let asked = clusters.asked();
    assert_eq!(asked[0].1, "resourceVersionMatch=NotOlderThan&resourceVersion=5");
    assert_eq!(asked[1].1, "");
}

#[tokio::test]
async fn a_resource_version_of_other_clusters_has_expired() {
    let clusters = abc();
    for version in ["mca1.a~5~b~6", "5", "mca1.a~5~b~6~c~7~d~8", "mca1."] {
        let request = get(&format!("/api/v1/pods?resourceVersion={version}"));
        let (code, status) = refused(mk8s_fleet::list(clusters.clone(), names(ABC), request).await).await;
        assert_eq!(
            (code, &status["reason"]),
            (410, &Value::from("Expired")),
            "{version}"
        );
    }
    assert_eq!(clusters.asked(), []);
}

#[tokio::test]
async fn what_lists_without_versions_lists_without_one() {
    let metrics = || {
        json_answer(Body::full(format!(
            r#"{{"kind":"L","metadata":{{}},"items":[{}]}}"#,
            object("x", "")
        )))
    };
    let clusters = Clusters::default()
        .scripted("a", [metrics()])
        .scripted("b", [metrics()]);
    let found = list(
        &Arc::new(clusters),
        &["a", "b"],
        "/apis/metrics.k8s.io/v1beta1/pods",
    )
    .await;
    assert_eq!(found["metadata"], serde_json::json!({}));
    assert_eq!(items(&found), ["x@a", "x@b"]);
}

#[tokio::test]
async fn warnings_come_along_each_once() {
    let warned = |warnings: &[&str]| {
        let mut answer = json_answer(Body::full(r#"{"items":[]}"#));
        for warning in warnings {
            answer
                .headers_mut()
                .append("warning", warning.parse().expect("value"));
        }
        answer
    };
    let old = "299 - \"old\"";
    let clusters = Clusters::default()
        .scripted("a", [warned(&[old])])
        .scripted("b", [warned(&[old, "299 - \"odd\""])]);
    let response = mk8s_fleet::list(Arc::new(clusters), names(&["a", "b"]), get("/api/v1/pods")).await;
    let warnings: Vec<_> = response.headers().get_all("warning").iter().collect();
    assert_eq!(warnings, [old, "299 - \"odd\""]);
}

#[tokio::test]
async fn an_object_of_several_mebibytes_passes() {
    let data = "\\u003c".repeat(1 << 20);
    let text = format!(r#"{{"metadata":{{"resourceVersion":"1"}},"items":[{{"data":"{data}"}}]}}"#);
    let answer = json_answer(pieces(text.into(), |_| 16_384));
    let clusters = Clusters::default().scripted("a", [answer]);
    let response = mk8s_fleet::list(Arc::new(clusters), names(&["a"]), get("/api/v1/configmaps")).await;
    let text = whole(response).await;
    let text = std::str::from_utf8(&text).expect("text");
    assert!(text.contains(&data));
    let found: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(
        found["items"][0]["metadata"]["annotations"]["mca.k8s.io/cluster"],
        "a"
    );
}

/// What must come out letter by letter.
const ODD: &str = r#""n":12345678901234567890,"f":1.10,"e":-1.0E+40,"s":"\u003c\"]}é\/\ud83d\ude00{[","o":{"z":[[],{}],"a":null}"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn however_the_answers_are_cut_the_list_is_the_same(
        sizes in prop::collection::vec(1_usize..40, 1..8),
        is_custom in any::<bool>(),
        spaces in any::<bool>(),
    ) {
        let gap = if spaces { " \n\t" } else { "" };
        let object = format!(r#"{{"metadata":{{"name":"x","uid":"ü\\"}},{ODD}}}"#);
        let listed = format!(r#""items"{gap}:{gap}[{gap}{object}{gap},{gap}{object}]"#);
        let metadata = format!(r#""metadata":{gap}{{"resourceVersion":"3"}}"#);
        let text = if is_custom {
            format!(r#"{gap}{{"apiVersion":"v1"{gap},{listed},"kind":"L",{metadata}{gap}}}{gap}"#)
        } else {
            format!(r#"{{"kind":"L","apiVersion":"v1",{metadata},{gap}{listed}{gap}}}"#)
        };
        let answer = || {
            let sizes = sizes.clone();
            json_answer(pieces(Bytes::from(text.clone()), move |at| sizes[at % sizes.len()]))
        };
        let clusters = Clusters::default().scripted("a", [answer()]).scripted("b", [answer()]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let whole = runtime.block_on(async {
            whole(mk8s_fleet::list(Arc::new(clusters), names(&["a", "b"]), get("/x")).await).await
        });
        let found: Value = serde_json::from_slice(&whole).expect("JSON");
        prop_assert_eq!(items(&found), ["x@a", "x@a", "x@b", "x@b"]);
        prop_assert_eq!(&found["kind"], "L");
        prop_assert_eq!(&found["metadata"]["resourceVersion"], "mca1.a~3~b~3");
        let whole = std::str::from_utf8(&whole).expect("text");
        prop_assert_eq!(whole.matches(ODD).count(), 4);
    }
}
