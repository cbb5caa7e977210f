//! Lists: what of them is left out, and how they fail.

use http::{HeaderValue, Response};
use mk8s_filter::Scope;
use mk8s_net::Body;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    Server, answer, broken, cut, get, get_as, items, json_answer, list, namespaces, pod, pods, refused, seal,
    since, status, whole,
};

const PLACES: [(&str, &str); 4] = [("mine", "a"), ("theirs", "b"), ("ours", "c"), ("min", "d")];

#[tokio::test]
async fn objects_of_other_namespaces_are_left_out_and_not_counted() {
    let server = Server::scripted([answer(&pods(100, &PLACES))]);
    let found = list(&server, namespaces(&["mine", "ours"]), get("/api/v1/pods")).await;
    assert_eq!(items(&found), ["mine/a", "ours/c"]);
    assert_eq!(found["kind"], "PodList");
    assert_eq!(found["apiVersion"], "v1");
    assert_eq!(found["metadata"], json!({"resourceVersion": "100"}));
    assert_eq!(server.asked(), ["/api/v1/pods"]);
}

#[tokio::test]
async fn a_namespace_deep_inside_says_nothing() {
    // Each pod of the support has "namespace": "mine" in its spec.
    let bare = json!({"metadata": {"name": "x"}, "namespace": "mine"});
    let mut found = pods(100, &[("theirs", "b")]);
    found["items"].as_array_mut().expect("items").push(bare);
    let server = Server::scripted([answer(&found)]);
    let found = list(&server, namespaces(&["mine"]), get("/api/v1/pods")).await;
    assert_eq!(items(&found), [""; 0]);
}

#[tokio::test]
async fn objects_keep_their_text() {
    let kept =
        r#"{"metadata":{"namespace":"mi\u006ee","name":"a"},"n":12345678901234567890.10,"s":"\u003c\/"}"#;
    let text = format!(r#"{{"kind":"L","items":[ {kept} , {{"metadata":{{"namespace":"x"}}}}]}}"#);
    let server = Server::scripted([cut(text, &[3])]);
    let scoped = since(0, namespaces(&["mine"]));
    let response = mk8s_filter::list(server, &scoped, &seal("jane"), get("/api/v1/things")).await;
    let text = whole(response).await;
    let text = std::str::from_utf8(&text).expect("text");
    assert!(text.contains(&format!("[{kept}]")), "{text}");
}

#[tokio::test]
async fn lists_of_custom_resources_say_last_what_they_are() {
    let item = pod("mine", "a", 7);
    let text = format!(
        r#"{{"apiVersion":"x/v1","items":[{item}],"kind":"ThingList","metadata":{{"continue":"","resourceVersion":"9"}}}}"#
    );
    let server = Server::scripted([cut(text, &[5])]);
    let found = list(&server, namespaces(&["mine"]), get("/apis/x/v1/things")).await;
    assert_eq!(items(&found), ["mine/a"]);
    assert_eq!(found["kind"], "ThingList");
    assert_eq!(found["apiVersion"], "x/v1");
    assert_eq!(found["metadata"], json!({"resourceVersion": "9"}));
}

#[tokio::test]
async fn metadata_alone_is_narrowed_as_well() {
    let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let mut found = pods(100, &PLACES);
    found["kind"] = "PartialObjectMetadataList".into();
    let server = Server::scripted([answer(&found)]);
    let found = list(&server, namespaces(&["ours"]), get_as("/api/v1/pods", partial)).await;
    assert_eq!(items(&found), ["ours/c"]);
    assert_eq!(server.header(0, "accept").as_deref(), Some(partial));
}

#[tokio::test]
async fn objects_that_could_be_read_twice_break_the_list_off() {
    for bad in [
        r#"{"metadata":{"namespace":"theirs"},"metadata":{"namespace":"mine"}}"#,
        r#"{"metadata":{"namespace":"mine"},"metadata":{"namespace":"theirs"}}"#,
        r#"{"metadata":{"namespace":"mine"},"metadat\u0061":{"namespace":"theirs"}}"#,
        r#"{"metadata":{"namespace":"theirs","namespace":"mine"}}"#,
        r#"{"metadata":{"namespace":["mine"]}}"#,
        r#"{"metadata":["mine"]}"#,
        r#"{"metadata":{"namespace":"mine"},"spec":{nonsense}}"#,
        "7",
        r#""mine""#,
    ] {
        let text = format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"1"}},"items":[{bad}]}}"#);
        let server = Server::scripted([cut(text, &[usize::MAX])]);
        let scoped = since(0, namespaces(&["mine"]));
        let response = mk8s_filter::list(server, &scoped, &seal("jane"), get("/api/v1/pods")).await;
        let shown = broken(response).await;
        assert!(!shown.contains("mine") && !shown.contains("theirs"), "{shown}");
        assert!(serde_json::from_str::<Value>(&shown).is_err(), "{shown}");
    }
}

#[tokio::test]
async fn lists_that_could_be_read_twice_are_never_whole() {
    let hidden = pod("theirs", "hidden", 7);
    for text in [
        format!(r#"{{"items":[],"items":[{hidden}]}}"#),
        format!(r#"{{"items":[],"rows":[{{"object":{hidden}}}]}}"#),
        format!(r#"{{"items":{{"0":{hidden}}},"rows":[]}}"#),
        format!(r#"{{"rows":null,"items":{{"0":{hidden}}}}}"#),
        r#"{"metadata":{"continue":"hidden"},"metadata":{},"items":[]}"#.to_owned(),
        r#"{"metadata":{"continue":"hidden"},"items":[],"metadata":{}}"#.to_owned(),
    ] {
        let server = Server::scripted([cut(text.clone(), &[usize::MAX])]);
        let scoped = since(0, namespaces(&["mine"]));
        let response = mk8s_filter::list(server, &scoped, &seal("jane"), get("/api/v1/pods")).await;
        if response.status() == 200 {
            let shown = broken(response).await;
            assert!(!shown.contains("hidden"), "{text}: {shown}");
        } else {
            assert_eq!(refused(response).await.0, 502, "{text}");
        }
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_never_looks_whole() {
    let text = pods(100, &PLACES).to_string();
    for end in [text.len() - 1, text.len() - 20] {
        let server = Server::scripted([cut(text[..end].to_owned(), &[10])]);
        let scoped = since(0, namespaces(&["mine"]));
        let response = mk8s_filter::list(server, &scoped, &seal("jane"), get("/api/v1/pods")).await;
        let status = response.status();
        if status == 200 {
            let shown = broken(response).await;
            assert!(serde_json::from_str::<Value>(&shown).is_err(), "{shown}");
        } else {
            assert_eq!(status, 502);
        }
    }
}

#[tokio::test]
async fn an_object_of_20_megabytes_is_given_up() {
    let mut large = pod("mine", "large", 7);
    large["data"] = "x".repeat(20 << 20).into();
    let server = Server::scripted([cut(json!({"items": [large]}).to_string(), &[1 << 16])]);
    let scoped = since(0, namespaces(&["mine"]));
    let response = mk8s_filter::list(server, &scoped, &seal("jane"), get("/api/v1/pods")).await;
    assert!(broken(response).await.len() < 100);
}

#[tokio::test]
async fn what_isn_t_plain_json_is_no_answer() {
    let protobuf = "application/vnd.kubernetes.protobuf";
    for (name, value) in [
        ("content-type", protobuf),
        ("content-type", "application/cbor"),
        ("content-type", "application/yaml"),
        ("content-encoding", "gzip"),
    ] {
        for scope in [Scope::All, Scope::Nothing, namespaces(&["mine"])] {
            let mut response = answer(&pods(100, &PLACES));
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
            let server = Server::scripted([response]);
            let response =
                mk8s_filter::list(server, &since(0, scope), &seal("jane"), get("/api/v1/pods")).await;
            assert_eq!(refused(response).await.0, 502, "{value}");
        }
    }
    let server = Server::scripted([Response::new(Body::full("{}"))]);
    let scoped = since(0, Scope::All);
    let response = mk8s_filter::list(server, &scoped, &seal("jane"), get("/api/v1/pods")).await;
    assert_eq!(refused(response).await.0, 502);
}

#[tokio::test]
async fn a_redirection_is_no_answer() {
    let mut response = json_answer(Body::empty());
    *response.status_mut() = http::StatusCode::FOUND;
    let server = Server::scripted([response]);
    let scoped = since(0, Scope::All);
    let response = mk8s_filter::list(server, &scoped, &seal("jane"), get("/api/v1/pods")).await;
    assert_eq!(refused(response).await.0, 502);
}

#[tokio::test]
async fn who_takes_no_json_is_refused_and_nobody_is_asked() {
    let server = Server::scripted([]);
    for accept in [
        "application/vnd.kubernetes.protobuf",
        "application/cbor",
        "text/html",
    ] {
        let scoped = since(0, namespaces(&["mine"]));
        let request = get_as("/api/v1/pods", accept);
        let response = mk8s_filter::list(server.clone(), &scoped, &seal("jane"), request).await;
        assert_eq!(refused(response).await.0, 406, "{accept}");
    }
    assert_eq!(server.asked(), [""; 0]);
}

#[tokio::test]
async fn who_takes_protobuf_or_json_gets_json() {
    let server = Server::scripted([answer(&pods(100, &PLACES))]);
    let request = get_as(
        "/api/v1/pods",
        "application/vnd.kubernetes.protobuf,application/json",
    );
    let found = list(&server, namespaces(&["mine"]), request).await;
    assert_eq!(items(&found), ["mine/a"]);
    assert_eq!(server.header(0, "accept").as_deref(), Some("application/json"));
}

#[tokio::test]
async fn failures_are_passed_on_as_they_are() {
    for (code, reason) in [
        (400, "BadRequest"),
        (404, "NotFound"),
        (410, "Expired"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (504, "Timeout"),
    ] {
        for scope in [Scope::All, Scope::Nothing, namespaces(&["mine"])] {
            let mut response = status(code, reason);
            response
                .headers_mut()
                .insert("retry-after", HeaderValue::from_static("3"));
            let server = Server::scripted([response]);
            let response =
                mk8s_filter::list(server, &since(0, scope), &seal("jane"), get("/api/v1/pods")).await;
            assert_eq!(response.headers()["retry-after"], "3");
            let (answered, status) = refused(response).await;
            assert_eq!(
                (answered, &status["reason"], &status["message"]),
                (code, &json!(reason), &json!("no"))
            );
            assert_eq!(status["details"], json!({"kind": "pods"}));
            // The continue in it would name an object.
            assert_eq!(status["metadata"], json!({}));
        }
    }
}

#[tokio::test]
async fn what_we_may_not_do_is_not_said_to_be_the_caller_s_fault() {
    for (code, answered) in [(401, 503), (403, 500)] {
        for scope in [Scope::All, namespaces(&["mine"])] {
            let server = Server::scripted([status(code, "Forbidden")]);
            let request = get("/apis/apps/v1/deployments");
            let response = mk8s_filter::list(server, &since(0, scope), &seal("jane"), request).await;
            assert!(!response.headers().contains_key("www-authenticate"));
            let (found, status) = refused(response).await;
            assert_eq!(found, answered);
            let message = status["message"].as_str().expect("message");
            assert!(
                message.contains("mk8s-apiserver") && message.contains("list deployments.apps"),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn warnings_are_passed_on() {
    let mut response = answer(&pods(100, &PLACES));
    let warning = HeaderValue::from_static("299 - \"old\"");
    response.headers_mut().insert("warning", warning.clone());
    let server = Server::scripted([response]);
    let scoped = since(0, namespaces(&["mine"]));
    let response = mk8s_filter::list(server, &scoped, &seal("jane"), get("/api/v1/pods")).await;
    assert_eq!(response.headers()["warning"], warning);
}

#[tokio::test]
async fn a_list_is_passed_on_while_it_comes() {
    use http_body_util::BodyExt as _;

    let (source, response) = crate::support::live();
    let server = Server::scripted([response]);
    source.send_text(r#"{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":["#);
    let scoped = since(0, namespaces(&["mine"]));
    let response = mk8s_filter::list(server, &scoped, &seal("jane"), get("/api/v1/pods")).await;
    let mut body = response.into_body();
    for name in ["a", "b"] {
        // More than is written at once.
        let mut large = pod("mine", name, 7);
        large["data"] = "x".repeat(20_000).into();
        let separator = if name == "a" { "" } else { "," };
        source.send_text(&format!("{separator}{large}"));
        let frame = body.frame().await.expect("more").expect("not broken off");
        assert!(frame.data_ref().expect("data").len() > 20_000);
    }
    drop(body);
    assert!(source.is_let_go());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_it_is_cut_a_list_shows_the_same_and_nothing_else(
        places in prop::collection::vec(("mine|ours|theirs|min|", "[a-c]"), 0..8),
        sizes in prop::collection::vec(1_usize..40, 1..6),
        is_table in any::<bool>(),
    ) {
        let objects: Vec<_> = places.iter().map(|(namespace, name)| pod(namespace, name, 7)).collect();
        let expected: Vec<_> = places
            .iter()
            .filter(|(namespace, _)| ["mine", "ours"].contains(&&**namespace))
            .map(|(namespace, name)| format!("{namespace}/{name}"))
            .collect();
        let text = if is_table {
            let rows: Vec<_> = objects.iter().map(|object| json!({"cells": ["x"], "object": object})).collect();
            json!({"kind": "Table", "columnDefinitions": [{"name": "Name"}], "metadata": {}, "rows": rows})
        } else {
            json!({"kind": "PodList", "metadata": {}, "items": objects})
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let server = Server::scripted([cut(text.to_string(), &sizes)]);
        let found = runtime.block_on(list(&server, namespaces(&["mine", "ours"]), get("/api/v1/pods")));
        let shown: Vec<String> = if is_table {
            let rows = found["rows"].as_array().expect("rows");
            rows.iter().map(|row| crate::support::place(&row["object"])).collect()
        } else {
            items(&found)
        };
        prop_assert_eq!(shown, expected);
    }
}
