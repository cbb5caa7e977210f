//! `whoami`: what the cluster takes somebody for, as a list of one, or as a table.

use http::{HeaderMap, Response, header};
use mk8s_net::Body;
use serde_json::{Value, json};

use crate::{
    discovery::{GROUP, VERSION, json_body},
    requester::Requester,
};

/// What they are told.
pub(crate) fn answer(requester: &Requester, headers: &HeaderMap) -> Response<Body> {
    let document = match wants_table(headers) {
        true => table(requester),
        false => list(requester),
    };
    json_body(document.to_string().into_bytes(), "application/json")
}

fn object(requester: &Requester) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "WhoAmI",
        "metadata": {"name": requester.name, "creationTimestamp": null},
        "userInfo": {
            "username": requester.name, "uid": requester.uid, "groups": requester.groups, "extra": requester.extra,
        },
    })
}

fn list(requester: &Requester) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "WhoAmIList", "metadata": {}, "items": [object(requester)],
    })
}

fn table(requester: &Requester) -> Value {
    let column =
        |name: &str| json!({"name": name, "type": "string", "format": "", "description": "", "priority": 0});
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": {},
        "columnDefinitions": [column("User"), column("Groups")],
        "rows": [{"cells": [requester.name, requester.groups.join(", ")], "object": object(requester)}],
    })
}

/// Whether a table is preferred, as by `kubectl get`.
fn wants_table(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(',').next())
        .is_some_and(|first| first.split(';').any(|part| part.trim() == "as=Table"))
}
