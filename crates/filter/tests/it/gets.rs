//! One object by its name.

use mk8s_filter::Scope;
use mk8s_net::Body;
use serde_json::{Value, json};

use crate::support::{
    Server, TABLE, answer, get, get_as, namespaces, pod, pods, refused, since, status, team, whole,
};

const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

async fn found(server: &std::sync::Arc<Server>, scope: Scope, uri: &str) -> Option<Value> {
    let response = mk8s_filter::get(server.clone(), &since(0, scope), get(uri)).await;
    if response.status() == 200 {
        return Some(serde_json::from_slice(&whole(response).await).expect("JSON"));
    }
    let (code, _) = refused(response).await;
    assert_eq!(code, 404);
    None
}

#[tokio::test]
async fn who_may_see_all_is_answered_as_asked() {
    let server = Server::scripted([answer(&pod("x", "a", 7))]);
    let uri = "/api/v1/namespaces/x/pods/a?resourceVersion=0&pretty=true&limit=5&watch=1";
    let response = mk8s_filter::get(server.clone(), &since(0, Scope::All), get_as(uri, TABLE)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        server.asked(),
        ["/api/v1/namespaces/x/pods/a?resourceVersion=0&pretty=true"]
    );
    assert_eq!(server.header(0, "accept").as_deref(), Some(TABLE));
}

#[tokio::test]
async fn namespaces_are_told_by_the_path() {
    let server = Server::scripted([answer(&pod("mine", "a", 7))]);
    let scope = namespaces(&["mine", "a"]);
    assert!(
        found(&server, scope.clone(), "/api/v1/namespaces/mine/pods/a")
            .await
            .is_some()
    );
    for uri in [
        "/api/v1/namespaces/theirs/pods/a",
        "/api/v1/namespaces/mine%20/pods/a",
        "/api/v1/namespaces/MINE/pods/a",
        "/api/v1/nodes/a",
        "/api/v1/namespaces/mine",
    ] {
        assert_eq!(found(&server, scope.clone(), uri).await, None, "{uri}");
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn labels_are_asked_for_first() {
    let namespace = json!({"kind": "Namespace", "metadata": {"name": "blue-1"}});
    let mut seen = pods(7, &[]);
    seen["items"] = json!([{"metadata": {"name": "blue-1"}}]);
    let server = Server::scripted([answer(&seen), answer(&namespace), answer(&pods(7, &[]))]);
    let scope = team("blue");
    let uri = "/api/v1/namespaces/blue-1?resourceVersion=0";
    assert_eq!(found(&server, scope.clone(), uri).await, Some(namespace));
    assert_eq!(found(&server, scope, "/api/v1/namespaces/red-1").await, None);
    assert_eq!(
        server.asked(),
        [
            "/api/v1/namespaces?fieldSelector=metadata.name=blue-1&labelSelector=team in (blue)",
            "/api/v1/namespaces/blue-1?resourceVersion=0",
            "/api/v1/namespaces?fieldSelector=metadata.name=red-1&labelSelector=team in (blue)",
        ]
    );
    assert_eq!(server.header(0, "accept").as_deref(), Some(PARTIAL));
    assert_eq!(server.header(1, "accept").as_deref(), Some("application/json"));
}

#[tokio::test]
async fn a_name_with_commas_selects_no_other_object() {
    let mut other = pods(7, &[]);
    other["items"] = json!([{"metadata": {"name": "b"}}]);
    let server = Server::scripted([answer(&other)]);
    let uri = "/api/v1/namespaces/a,metadata.name=b";
    assert_eq!(found(&server, team("blue"), uri).await, None);
    assert_eq!(
        server.asked(),
        [r"/api/v1/namespaces?fieldSelector=metadata.name=a\,metadata.name\=b&labelSelector=team in (blue)"]
    );
}

#[tokio::test]
async fn what_may_not_be_seen_is_not_found_in_the_api_server_s_words() {
    for (uri, message, details) in [
        (
            "/api/v1/namespaces/x",
            r#"namespaces "x" not found"#,
            json!({"name": "x", "kind": "namespaces"}),
        ),
        (
            "/apis/apps/v1/namespaces/y/deployments/x",
            r#"deployments.apps "x" not found"#,
            json!({"name": "x", "group": "apps", "kind": "deployments"}),
        ),
    ] {
        let server = Server::scripted([]);
        let response = mk8s_filter::get(server.clone(), &since(0, Scope::Nothing), get(uri)).await;
        let (code, status) = refused(response).await;
        assert_eq!(code, 404);
        assert_eq!(
            status,
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                "reason": "NotFound", "details": details, "code": 404,
            })
        );
    }
}

#[tokio::test]
async fn what_we_may_not_do_is_said() {
    let rows = [
        (status(403, "Forbidden"), 500, "list namespaces"),
        (status(401, "Unauthorized"), 503, "list namespaces"),
    ];
    for (answer, expected, right) in rows {
        let server = Server::scripted([answer]);
        let response = mk8s_filter::get(server, &since(0, team("blue")), get("/api/v1/namespaces/x")).await;
        let (code, status) = refused(response).await;
        assert_eq!(code, expected);
        let message = status["message"].as_str().expect("message");
        assert!(message.contains(right), "{message}");
    }
    let server = Server::scripted([status(403, "Forbidden")]);
    let response = mk8s_filter::get(server, &since(0, Scope::All), get("/api/v1/nodes/x")).await;
    let (code, status) = refused(response).await;
    assert_eq!(code, 500);
    assert!(status["message"].as_str().expect("message").contains("get nodes"));
}

#[tokio::test]
async fn other_requests_are_refused() {
    for uri in [
        "/api/v1/pods",
        "/api/v1/namespaces/x/pods/y/log",
        "/api/v1/namespaces/x/status",
        "/version",
        "/api/v1/namespaces/x/../y",
    ] {
        let server = Server::scripted([]);
        let response = mk8s_filter::get(server, &since(0, Scope::All), get(uri)).await;
        assert_eq!(refused(response).await.0, 400, "{uri}");
    }
    let request = http::Request::delete("/api/v1/namespaces/x")
        .body(Body::empty())
        .expect("request");
    let response = mk8s_filter::get(Server::scripted([]), &since(0, Scope::All), request).await;
    assert_eq!(refused(response).await.0, 405);
}
