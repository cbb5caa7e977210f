//! What a client got from several clusters, on its way back to one of them.

use std::sync::Arc;

use mk8s_fleet::mark;
use serde_json::{Value, json};

use crate::support::{Clusters, Store, event, list, live, watch};

#[tokio::test]
async fn an_object_from_a_list_is_put_back_as_its_cluster_has_it() {
    let clusters = Clusters::default()
        .with("a", Store::new(100, &["x"]).answers())
        .with("b", Store::new(7, &["x"]).answers());
    let found = list(&Arc::new(clusters), &["a", "b"], "/api/v1/pods").await;
    let mut object = found["items"][1].clone();
    object["spec"]["changed"] = true.into();
    let unmarked = mark::unmark(object.to_string().as_bytes())
        .expect("readable")
        .expect("marked");
    assert_eq!(unmarked.cluster.as_str(), "b");
    let body: Value = serde_json::from_slice(&unmarked.body).expect("JSON");
    assert_eq!(
        body,
        json!({"metadata": {"name": "x", "resourceVersion": "7"}, "spec": {"n": 1.0, "changed": true}})
    );
}

#[tokio::test]
async fn an_object_from_a_watch_is_put_back_as_its_cluster_has_it() {
    let (_a, answer_a) = live();
    let (b, answer_b) = live();
    let clusters = Clusters::default()
        .scripted("a", [answer_a])
        .scripted("b", [answer_b]);
    let uri = "/api/v1/pods?watch=1&resourceVersion=mca1.a~10~b~20";
    let mut watch = watch(&Arc::new(clusters), &["a", "b"], uri).await;
    b.send(&event("ADDED", "x", 21));
    let came = watch.next().await.expect("an event");
    let unmarked = mark::unmark(came["object"].to_string().as_bytes())
        .expect("readable")
        .expect("marked");
    assert_eq!(unmarked.cluster.as_str(), "b");
    let body: Value = serde_json::from_slice(&unmarked.body).expect("JSON");
    assert_eq!(
        body,
        json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x", "resourceVersion": "21"}})
    );
}
