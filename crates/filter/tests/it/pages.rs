//! Lists in pages.

use std::sync::Arc;

use http::{Request, Response};
use mk8s_filter::Scope;
use mk8s_net::Body;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    Server, broken, get, items, json_answer, list, namespaces, parameter, pod, refused, seal, since, status,
    team,
};

/// Lists pods of these namespaces as an API server does: at one version, with `limit` and `continue`.
fn paged(namespaces: Vec<String>, is_custom: bool) -> Arc<Server> {
    Server::new(move |request| page(&namespaces, is_custom, request))
}

fn page(namespaces: &[String], is_custom: bool, request: &Request<Body>) -> Response<Body> {
    let from = match parameter(request, "continue") {
        Some(token) => {
            assert_eq!(parameter(request, "resourceVersion"), None);
            let from = token.strip_prefix("secret-").expect("a token of this server");
            from.parse().expect("a position")
        }
        None => 0,
    };
    if let Some(how) = parameter(request, "resourceVersionMatch") {
        assert_eq!(how, "Exact");
        assert_eq!(parameter(request, "resourceVersion").as_deref(), Some("100"));
    }
    let limit = parameter(request, "limit").map_or(usize::MAX, |limit| limit.parse().expect("limit"));
    let page: Vec<String> = namespaces
        .iter()
        .enumerate()
        .skip(from)
        .take(limit)
        .map(|(at, namespace)| pod(namespace, &format!("p{at}"), 7).to_string())
        .collect();
    let to = from + page.len();
    let mut metadata = json!({"resourceVersion": "100"});
    if to < namespaces.len() {
        metadata["continue"] = format!("secret-{to}").into();
        metadata["remainingItemCount"] = (namespaces.len() - to).into();
    }
    let items = page.join(",");
    json_answer(Body::full(if is_custom {
        format!(r#"{{"apiVersion":"v1","items":[{items}],"kind":"PodList","metadata":{metadata}}}"#)
    } else {
        format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{metadata},"items":[{items}]}}"#)
    }))
}

/// One pod in `each` is mine, of so many.
fn one_in(each: usize, count: usize) -> Vec<String> {
    let of = |at| if at % each == each - 1 { "mine" } else { "theirs" };
    (0..count).map(|at| of(at).to_owned()).collect()
}

/// All pages: how many objects each has, and what they are.
async fn pages(server: &Arc<Server>, limit: usize) -> (Vec<usize>, Vec<String>) {
    let (mut sizes, mut found) = (Vec::new(), Vec::new());
    let mut token = String::new();
    loop {
        let uri = format!("/api/v1/pods?limit={limit}&continue={token}");
        let page = list(server, namespaces(&["mine"]), get(&uri)).await;
        assert_eq!(page["kind"], "PodList");
        assert_eq!(page["apiVersion"], "v1");
        assert_eq!(page["metadata"]["resourceVersion"], "100");
        assert_eq!(page["metadata"]["remainingItemCount"], Value::Null);
        sizes.push(items(&page).len());
        found.extend(items(&page));
        match page["metadata"]["continue"].as_str() {
            None => return (sizes, found),
            Some(next) => next.clone_into(&mut token),
        }
        assert!(!token.contains("secret"));
    }
}

#[tokio::test]
async fn pages_are_as_full_as_was_asked_for() {
    for is_custom in [false, true] {
        let server = paged(one_in(300, 2100), is_custom);
        let (sizes, found) = pages(&server, 2).await;
        assert_eq!(sizes, [2, 2, 2, 1]);
        let expected: Vec<_> = (0..7).map(|at| format!("mine/p{}", at * 300 + 299)).collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn one_at_a_time_makes_no_empty_pages() {
    let server = paged(one_in(700, 2800), false);
    let (sizes, _) = pages(&server, 1).await;
    assert!(sizes.iter().all(|size| *size == 1), "{sizes:?}");
    // Whoever sees nothing at all gets it in one page.
    let server = paged(vec!["theirs".to_owned(); 2800], false);
    assert_eq!(pages(&server, 1).await.0, [0]);
    let asked = server.asked();
    assert_eq!(asked.len(), 6);
    assert!(asked.iter().all(|uri| uri.contains("limit=500")), "{asked:?}");
}

#[tokio::test]
async fn a_large_limit_is_asked_for_as_it_is() {
    let server = paged(one_in(2, 1000), false);
    assert_eq!(pages(&server, 800).await.0, [500]);
    assert_eq!(server.asked()[0], "/api/v1/pods?limit=800");
}

#[tokio::test]
async fn the_first_page_is_taken_up_again_as_it_was() {
    let server = paged(one_in(2, 8), false);
    pages(&server, 3).await;
    assert_eq!(
        server.asked(),
        [
            "/api/v1/pods?limit=500",
            "/api/v1/pods?limit=500&resourceVersion=100&resourceVersionMatch=Exact",
        ]
    );
}

#[tokio::test]
async fn when_any_version_will_do_there_is_one_page() {
    let server = paged(one_in(2, 8), false);
    let uri = "/api/v1/pods?limit=1&resourceVersion=0";
    let found = list(&server, namespaces(&["mine"]), get(uri)).await;
    assert_eq!(items(&found).len(), 4);
    assert_eq!(server.asked(), ["/api/v1/pods?resourceVersion=0"]);
}

#[tokio::test]
async fn what_has_no_version_comes_in_one_page() {
    let five: Vec<_> = (0..5)
        .map(|at| pod("mine", &format!("p{at}"), 7).to_string())
        .collect();
    let five = five.join(",");
    let server = Server::scripted([
        json_answer(Body::full(format!(
            r#"{{"kind":"L","metadata":{{}},"items":[{five}]}}"#
        ))),
        json_answer(Body::full(format!(
            r#"{{"items":[{five}],"kind":"L","metadata":{{}}}}"#
        ))),
    ]);
    let found = list(&server, namespaces(&["mine"]), get("/api/v1/pods?limit=2")).await;
    assert_eq!(items(&found).len(), 5);
    assert_eq!(found["metadata"], json!({}));
    // One that says only at its end that it has none can't be taken back, and never looks whole.
    let scoped = since(0, namespaces(&["mine"]));
    let request = get("/api/v1/pods?limit=2");
    let response = mk8s_filter::list(server, &scoped, &seal("jane"), request).await;
    let shown = broken(response).await;
    assert!(serde_json::from_str::<Value>(&shown).is_err(), "{shown}");
}

#[tokio::test]
async fn a_page_ends_before_what_there_is_no_answer_to_and_the_next_one_says_why() {
    let first = page(&one_in(2, 600), false, &get("/api/v1/pods?limit=500"));
    let server = Server::scripted([first, status(503, "ServiceUnavailable"), status(410, "Expired")]);
    let found = list(&server, namespaces(&["mine"]), get("/api/v1/pods?limit=280")).await;
    assert_eq!(items(&found).len(), 250);
    let token = found["metadata"]["continue"].as_str().expect("more");
    let uri = format!("/api/v1/pods?limit=280&continue={token}");
    let scoped = since(0, namespaces(&["mine"]));
    let response = mk8s_filter::list(server.clone(), &scoped, &seal("jane"), get(&uri)).await;
    let (code, status) = refused(response).await;
    assert_eq!(code, 410);
    assert_eq!(status["metadata"], json!({}));
    assert_eq!(server.asked()[2], "/api/v1/pods?limit=500&continue=secret-500");
}

#[tokio::test]
async fn a_token_of_another_caller_list_or_scope_has_expired() {
    let server = paged(one_in(2, 8), false);
    let found = list(&server, namespaces(&["mine"]), get("/api/v1/pods?limit=1")).await;
    let token = found["metadata"]["continue"].as_str().expect("more").to_owned();
    let asked = server.asked().len();
    for (caller, path, scope, token) in [
        ("june", "/api/v1/pods", namespaces(&["mine"]), token.as_str()),
        ("jane", "/api/v1/secrets", namespaces(&["mine"]), &token),
        ("jane", "/api/v1/pods", namespaces(&["mine"]), "secret-3"),
        (
            "jane",
            "/api/v1/pods",
            namespaces(&["mine"]),
            "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
        ),
        (
            "jane",
            "/api/v1/pods",
            namespaces(&["mine"]),
            &token[..token.len() - 2],
        ),
        ("jane", "/api/v1/pods", Scope::All, &token),
        ("jane", "/api/v1/pods", Scope::Nothing, &token),
        ("jane", "/api/v1/pods", team("red"), &token),
    ] {
        let uri = format!("{path}?limit=1&continue={token}");
        let response = mk8s_filter::list(server.clone(), &since(0, scope), &seal(caller), get(&uri)).await;
        let (code, status) = refused(response).await;
        assert_eq!(
            (code, &status["reason"]),
            (410, &json!("Expired")),
            "{caller} {path}"
        );
    }
    assert_eq!(server.asked().len(), asked);
}

#[tokio::test]
async fn pages_that_make_no_sense_are_refused() {
    for query in ["limit=x", "limit=-1", "limit=1&continue=x&resourceVersion=7"] {
        let server = Server::scripted([]);
        let scoped = since(0, namespaces(&["mine"]));
        let request = get(&format!("/api/v1/pods?{query}"));
        let response = mk8s_filter::list(server, &scoped, &seal("jane"), request).await;
        assert_eq!(refused(response).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_limit_that_changes_loses_nothing() {
    let server = paged(one_in(2, 3000), false);
    let mut found = Vec::new();
    let mut token = String::new();
    for limit in [1200, 1, 3, 100, 1000, 1000] {
        let uri = format!("/api/v1/pods?limit={limit}&continue={token}");
        let page = list(&server, namespaces(&["mine"]), get(&uri)).await;
        found.extend(items(&page));
        page["metadata"]["continue"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    let expected: Vec<_> = (0..1500).map(|at| format!("mine/p{}", at * 2 + 1)).collect();
    assert_eq!(found, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_the_limit_all_pages_together_are_the_list(
        mine in prop::collection::vec(any::<bool>(), 0..40),
        spread in 1_usize..60,
        limit in 1_usize..30,
        is_custom in any::<bool>(),
    ) {
        let mut all = vec!["theirs".to_owned(); mine.len() * spread];
        for (at, is_mine) in mine.iter().enumerate() {
            if *is_mine {
                all[at * spread] = "mine".to_owned();
            }
        }
        let expected: Vec<_> = (0..all.len()).filter(|at| all[*at] == "mine").map(|at| format!("mine/p{at}")).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let (sizes, found) = runtime.block_on(pages(&paged(all, is_custom), limit));
        prop_assert_eq!(found, expected);
        prop_assert!(sizes[..sizes.len() - 1].iter().all(|size| *size == limit), "{:?}", sizes);
    }
}
