//! Tables, as `kubectl get` asks for them.

use mk8s_filter::Scope;
use serde_json::{Value, json};

use crate::support::{
    Reading, Server, TABLE, answer, get_as, initial_events_end, list, live, namespaces, place, pod, short,
    since,
};

fn row(object: &Value) -> Value {
    json!({"cells": [object["metadata"]["name"], 1, "3d"], "object": object})
}

fn columns() -> Value {
    json!([{"name": "Name", "type": "string"}, {"name": "Restarts", "type": "integer"}, {"name": "Age", "type": "string"}])
}

fn table(objects: &[Value]) -> Value {
    let rows: Vec<_> = objects.iter().map(row).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "100"},
        "columnDefinitions": columns(), "rows": rows,
    })
}

/// An event about one object; the first of a watch says the columns.
fn event(kind: &str, object: &Value, is_first: bool) -> Value {
    let mut table = table(std::slice::from_ref(object));
    table["metadata"] = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
    if !is_first {
        table["columnDefinitions"] = Value::Null;
    }
    json!({"type": kind, "object": table})
}

fn end(version: u64) -> Value {
    let mut bookmark = initial_events_end(version);
    let mut object = bookmark["object"].take();
    object["kind"] = "PartialObjectMetadata".into();
    object["apiVersion"] = "meta.k8s.io/v1".into();
    event("BOOKMARK", &object, false)
}

#[tokio::test]
async fn rows_of_other_namespaces_are_left_out() {
    let server = Server::scripted([answer(&table(&[
        pod("mine", "a", 7),
        pod("theirs", "b", 7),
        pod("mine", "c", 7),
    ]))]);
    let found = list(&server, namespaces(&["mine"]), get_as("/api/v1/pods", TABLE)).await;
    let rows = found["rows"].as_array().expect("rows");
    let places: Vec<_> = rows.iter().map(|row| place(&row["object"])).collect();
    assert_eq!(places, ["mine/a", "mine/c"]);
    assert_eq!(found["columnDefinitions"], columns());
    assert_eq!(found["kind"], "Table");
    assert_eq!(server.header(0, "accept").as_deref(), Some(TABLE));
}

#[tokio::test]
async fn rows_without_objects_are_made_of_rows_with_them() {
    let server = Server::scripted([answer(&table(&[pod("mine", "a", 7), pod("theirs", "b", 7)]))]);
    let uri = "/api/v1/pods?includeObject=None&limit=5";
    let found = list(&server, namespaces(&["mine"]), get_as(uri, TABLE)).await;
    assert_eq!(found["rows"], json!([{"cells": ["a", 1, "3d"], "object": null}]));
    assert_eq!(server.asked(), ["/api/v1/pods?includeObject=Metadata&limit=500"]);
}

#[tokio::test]
async fn rows_that_don_t_tell_their_namespace_break_the_list_off() {
    let mut odd = table(&[pod("mine", "a", 7)]);
    odd["rows"][0]["object"] = Value::Null;
    let server = Server::scripted([answer(&odd)]);
    let scoped = since(0, namespaces(&["mine"]));
    let seal = crate::support::seal("jane");
    let response = mk8s_filter::list(server, &scoped, &seal, get_as("/api/v1/pods", TABLE)).await;
    assert!(!crate::support::broken(response).await.contains("cells"));
}

#[tokio::test]
async fn columns_are_told_with_the_first_event_that_is_shown() {
    let (source, response) = live();
    let server = Server::scripted([response]);
    let request = get_as("/api/v1/pods?watch=1&resourceVersion=50", TABLE);
    let mut reading = Reading::begin(&server, since(0, namespaces(&["mine"])), request).await;
    source.send(&event("ADDED", &pod("theirs", "a", 51), true));
    source.send(&event("ADDED", &pod("mine", "b", 52), false));
    source.send(&event("ADDED", &pod("mine", "c", 53), false));
    let first = reading.next().await.expect("an event");
    assert_eq!(first["object"]["columnDefinitions"], columns());
    assert_eq!(short(&first), "ADDED mine/b 52");
    let second = reading.next().await.expect("an event");
    assert_eq!(second, event("ADDED", &pod("mine", "c", 53), false));
}

#[tokio::test]
async fn events_without_objects_are_made_of_events_with_them() {
    let (source, response) = live();
    let server = Server::scripted([response]);
    let request = get_as(
        "/api/v1/pods?watch=1&includeObject=None&resourceVersion=50",
        TABLE,
    );
    let mut reading = Reading::begin(&server, since(0, namespaces(&["mine"])), request).await;
    source.send(&event("ADDED", &pod("theirs", "a", 51), true));
    source.send(&event("ADDED", &pod("mine", "b", 52), false));
    let found = reading.next().await.expect("an event");
    assert_eq!(
        found["object"]["rows"],
        json!([{"cells": ["b", 1, "3d"], "object": null}])
    );
    assert!(server.asked()[0].contains("includeObject=Metadata"));
}

#[tokio::test]
async fn what_is_gone_is_a_row_that_fits_the_columns() {
    for (include, is_bare) in [("Metadata", false), ("None", true)] {
        let (first, response) = live();
        let (second, response_in_new_scope) = live();
        let server = Server::scripted([response, response_in_new_scope]);
        let uri = format!(
            "/api/v1/pods?watch=1&allowWatchBookmarks=true&sendInitialEvents=true\
             &resourceVersionMatch=NotOlderThan&includeObject={include}"
        );
        let mut reading = Reading::begin(
            &server,
            since(10, namespaces(&["mine", "ours"])),
            get_as(&uri, TABLE),
        )
        .await;
        let mut gone = pod("ours", "b", 52);
        gone["metadata"]["uid"] = "7e1c9f3a-52a1-4c39-9f0a-0d8a3c0f1b2d".into();
        first.send(&event("ADDED", &pod("mine", "a", 51), true));
        first.send(&event("ADDED", &gone, false));
        first.send(&end(60));
        assert_eq!(reading.drain().await.len(), 3);
        reading.change(since(70, namespaces(&["mine"])));
        reading.assert_quiet().await;
        assert!(server.asked()[1].contains("includeObject=Metadata"));
        second.send(&event("ADDED", &pod("mine", "a", 51), true));
        second.send(&end(71));
        let object = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {
            "name": "b", "namespace": "ours", "uid": "7e1c9f3a-52a1-4c39-9f0a-0d8a3c0f1b2d", "resourceVersion": "52",
        }});
        assert_eq!(
            reading.next().await,
            Some(json!({"type": "DELETED", "object": {
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "52"},
                "columnDefinitions": null,
                "rows": [{"cells": ["b", "", ""], "object": if is_bare { Value::Null } else { object }}],
            }}))
        );
        // The mark is for whoever asked for initial events, and was there once.
        let mut bookmark = end(71);
        let metadata = &mut bookmark["object"]["rows"][0]["object"]["metadata"];
        metadata.as_object_mut().expect("metadata").remove("annotations");
        assert_eq!(reading.next().await, Some(bookmark));
    }
}

#[tokio::test]
async fn bookmarks_pass_as_rows() {
    let (source, response) = live();
    let request = get_as(
        "/api/v1/pods?watch=1&allowWatchBookmarks=1&sendInitialEvents=1",
        TABLE,
    );
    let server = Server::scripted([response]);
    let mut reading = Reading::begin(&server, since(0, namespaces(&["mine"])), request).await;
    source.send(&end(60));
    assert_eq!(reading.next().await, Some(end(60)));
    // Who may see all gets them as well.
    let (source, response) = live();
    let request = get_as(
        "/api/v1/pods?watch=1&allowWatchBookmarks=1&sendInitialEvents=1",
        TABLE,
    );
    let mut reading = Reading::begin(&Server::scripted([response]), since(0, Scope::All), request).await;
    source.send(&end(60));
    assert_eq!(reading.next().await, Some(end(60)));
}
