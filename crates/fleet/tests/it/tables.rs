//! Tables, as `kubectl get` asks for them.

use std::sync::Arc;

use http::Response;
use mk8s_net::Body;
use serde_json::{Value, json};

use crate::support::{
    Clusters, bookmark, get, json_answer, list, live, marked, names, refused, version, watch,
};

const AB: &[&str] = &["a", "b"];

fn columns(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| json!({"name": name, "type": "string", "format": "", "description": "", "priority": 0}))
        .collect()
}

fn row(cells: &Value) -> Value {
    json!({"cells": cells, "object": {
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": cells[0], "resourceVersion": "3"},
    }})
}

/// A table as an API server writes it, its members in the order of their Go type.
fn table(metadata: &Value, columns: &Value, rows: &[Value]) -> String {
    let rows = Value::from(rows);
    format!(
        r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{metadata},"columnDefinitions":{columns},"rows":{rows}}}"#
    )
}

fn answer(version: &str, names: &[&str], rows: &[Value]) -> Response<Body> {
    json_answer(Body::full(table(
        &json!({"resourceVersion": version}),
        &columns(names),
        rows,
    )))
}

fn column_names(table: &Value) -> Vec<&str> {
    let columns = table["columnDefinitions"].as_array().expect("columns");
    columns
        .iter()
        .map(|column| column["name"].as_str().expect("name"))
        .collect()
}

#[tokio::test]
async fn rows_say_their_cluster_and_are_aligned_by_name() {
    let clusters = Clusters::default()
        .scripted(
            "a",
            [answer(
                "1",
                &["Name", "Ready", "Age"],
                &[row(&json!(["x", "1/1", "3d"]))],
            )],
        )
        .scripted(
            "b",
            [answer(
                "2",
                &["Name", "Age", "Zone"],
                &[row(&json!(["y", "4d", "z1"])), row(&json!(["z", "5d", "z2"]))],
            )],
        );
    let found = list(&Arc::new(clusters), AB, "/api/v1/pods?limit=500").await;
    assert_eq!(found["kind"], "Table");
    assert_eq!(column_names(&found), ["Name", "Cluster", "Ready", "Age", "Zone"]);
    assert_eq!(found["columnDefinitions"][1]["type"], "string");
    assert_eq!(found["columnDefinitions"][1]["priority"], 0);
    let rows = found["rows"].as_array().expect("rows");
    let cells: Vec<&Value> = rows.iter().map(|row| &row["cells"]).collect();
    assert_eq!(
        cells,
        [
            &json!(["x", "a", "1/1", "3d", null]),
            &json!(["y", "b", null, "4d", "z1"]),
            &json!(["z", "b", null, "5d", "z2"]),
        ]
    );
    let objects: Vec<String> = rows.iter().map(|row| marked(&row["object"])).collect();
    assert_eq!(objects, ["x@a", "y@b", "z@b"]);
    assert_eq!(found["metadata"], json!({"resourceVersion": "mca1.a~1~b~2"}));
}

#[tokio::test]
async fn a_row_without_its_object_says_its_cluster_all_the_same() {
    let rows = [json!({"cells": ["x"], "object": null}), json!({"cells": ["y"]})];
    let clusters = Clusters::default().scripted("a", [answer("1", &["Name"], &rows)]);
    let found = list(&Arc::new(clusters), &["a"], "/api/v1/pods?includeObject=None").await;
    assert_eq!(
        found["rows"],
        json!([{"cells": ["x", "a"], "object": null}, {"cells": ["y", "a"]}])
    );
}

#[tokio::test]
async fn an_empty_table_has_its_columns() {
    let empty = json_answer(Body::full(
        r#"{"kind":"Table","metadata":{"resourceVersion":"1"},"columnDefinitions":[{"name":"Name"}],"rows":null}"#,
    ));
    let clusters = Clusters::default().scripted("a", [empty]);
    let found = list(&Arc::new(clusters), &["a"], "/api/v1/pods").await;
    assert_eq!(found["rows"], json!([]));
    assert_eq!(column_names(&found), ["Name", "Cluster"]);
}

#[tokio::test]
async fn a_table_and_a_list_are_not_one() {
    let plain = json_answer(Body::full(r#"{"kind":"PodList","metadata":{},"items":[]}"#));
    let clusters = Clusters::default()
        .scripted("a", [answer("1", &["Name"], &[])])
        .scripted("b", [plain]);
    let (code, said) =
        refused(mk8s_fleet::list(Arc::new(clusters), names(AB), get("/api/v1/pods")).await).await;
    assert_eq!(code, 502);
    assert!(said["message"].as_str().expect("message").contains("cluster b"));
}

#[tokio::test]
async fn a_page_ends_before_a_cluster_whose_columns_it_doesn_t_have() {
    let page = |version: &str, more: &str, names: &[&str], rows: &[Value]| {
        json_answer(Body::full(table(
            &json!({"resourceVersion": version, "continue": more}),
            &columns(names),
            rows,
        )))
    };
    let x = |name: &str| row(&json!([name]));
    let wide = || row(&json!(["b1", "3d"]));
    let clusters = Clusters::default()
        .scripted(
            "a",
            [
                page("1", "t", &["Name"], &[x("a1")]),
                page("1", "", &["Name"], &[x("a2")]),
            ],
        )
        .scripted(
            "b",
            [
                page("2", "", &["Name", "Age"], &[wide()]),
                page("2", "", &["Name", "Age"], &[wide()]),
                page("2", "", &["Name", "Age"], &[wide()]),
            ],
        );
    let clusters = Arc::new(clusters);
    let mut uri = "/api/v1/pods?limit=1".to_owned();
    let mut found = Vec::new();
    for _ in 0..3 {
        let table = list(&clusters, AB, &uri).await;
        let rows = table["rows"].as_array().expect("rows").clone();
        found.push((
            column_names(&table).join(" "),
            rows.iter()
                .map(|row| row["cells"].to_string())
                .collect::<String>(),
        ));
        let token = table["metadata"]["continue"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        uri = format!("/api/v1/pods?limit=9&continue={token}");
    }
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(columns, cells)| (&**columns, &**cells))
        .collect();
    assert_eq!(
        found,
        [
            ("Name Cluster Age", r#"["a1","a",null]"#),
            ("Name Cluster", r#"["a2","a"]"#),
            ("Name Cluster Age", r#"["b1","b","3d"]"#),
        ]
    );
}

fn table_event(kind: &str, version: u64, columns: &Value, cells: &Value) -> Value {
    let mut row = row(cells);
    row["object"]["metadata"]["resourceVersion"] = version.to_string().into();
    json!({"type": kind, "object": {
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version.to_string()},
        "columnDefinitions": columns, "rows": [row],
    }})
}

#[tokio::test]
async fn a_watch_of_tables_says_the_columns_when_they_are_new() {
    let (a, answer_a) = live();
    let (b, answer_b) = live();
    let clusters = Clusters::default()
        .scripted("a", [answer_a])
        .scripted("b", [answer_b]);
    let mut watch = watch(
        &Arc::new(clusters),
        AB,
        "/api/v1/pods?watch=1&resourceVersion=mca1.a~1~b~2",
    )
    .await;
    let mut next = async |event: Value, source: &crate::support::Source| {
        source.send(&event);
        watch.next().await.expect("an event")
    };

    let first = next(
        table_event("ADDED", 5, &columns(&["Name", "Age"]), &json!(["x", "1d"])),
        &a,
    )
    .await;
    assert_eq!(column_names(&first["object"]), ["Name", "Cluster", "Age"]);
    assert_eq!(first["object"]["rows"][0]["cells"], json!(["x", "a", "1d"]));
    assert_eq!(marked(&first["object"]["rows"][0]["object"]), "x@a");
    assert_eq!(version(&first), "mca1.a~5~b~2");
    assert_eq!(
        first["object"]["rows"][0]["object"]["metadata"]["resourceVersion"],
        "mca1.a~5~b~2"
    );

    let same = next(
        table_event("ADDED", 6, &columns(&["Age", "Name"]), &json!(["2d", "y"])),
        &b,
    )
    .await;
    assert_eq!(same["object"]["columnDefinitions"], Value::Null);
    assert_eq!(same["object"]["rows"][0]["cells"], json!(["y", "b", "2d"]));

    let later = next(table_event("MODIFIED", 7, &Value::Null, &json!(["x", "3d"])), &a).await;
    assert_eq!(later["object"]["columnDefinitions"], Value::Null);
    assert_eq!(later["object"]["rows"][0]["cells"], json!(["x", "a", "3d"]));
    assert_eq!(version(&later), "mca1.a~7~b~6");

    let more = next(
        table_event("ADDED", 8, &columns(&["Name", "Zone"]), &json!(["z", "z1"])),
        &b,
    )
    .await;
    assert_eq!(column_names(&more["object"]), ["Name", "Cluster", "Age", "Zone"]);
    assert_eq!(more["object"]["rows"][0]["cells"], json!(["z", "b", null, "z1"]));

    let error = next(
        json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "gone", "metadata": {}}}),
        &a,
    )
    .await;
    assert_eq!(error["object"]["message"], "cluster a: gone");
}

#[tokio::test]
async fn a_bookmark_may_be_a_table() {
    let (a, answer) = live();
    let clusters = Clusters::default().scripted("a", [answer]);
    let uri = "/api/v1/pods?watch=1&allowWatchBookmarks=1&resourceVersion=mca1.a~1";
    let mut watch = watch(&Arc::new(clusters), &["a"], uri).await;
    let mut mark = table_event("BOOKMARK", 9, &columns(&["Name"]), &json!([""]));
    mark["object"]["metadata"] = json!({});
    a.send(&mark);
    let event = watch.next().await.expect("a bookmark");
    assert_eq!(
        event["object"]["rows"][0]["object"]["metadata"]["resourceVersion"],
        "mca1.a~9"
    );
    a.send(&bookmark(10));
    assert_eq!(version(&watch.next().await.expect("another")), "mca1.a~10");
}
