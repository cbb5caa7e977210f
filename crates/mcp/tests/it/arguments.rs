//! Arguments that can't be meant: refused before anything is asked of a cluster, or taken for nothing but what they say.

use std::sync::Arc;

use mk8s_mcp_core::settings::{DeniedResource, Settings};
use serde_json::json;

use crate::support::{Client, InMemory, Reply};

fn empty() -> Arc<InMemory> {
    InMemory::new(&["home"], |_, path| match path {
        path if path.contains("bad") => Reply::Status(400, "unable to parse requirement: found '=='"),
        _ => Reply::Json(json!({"items": [], "metadata": {}})),
    })
}

#[tokio::test]
async fn a_tool_that_isnt_there_is_a_protocol_error_that_names_those_that_are() {
    let mut client = Client::of(empty(), Settings::default()).await;
    for name in ["delete", "GET", "get ", "", "kubectl", "../get"] {
        let answer = client
            .ask("tools/call", json!({"name": name, "arguments": {}}))
            .await;
        assert_eq!(answer["error"]["code"], -32602, "{name}: {answer}");
        let message = answer["error"]["message"].as_str().expect("a message");
        assert!(
            message.contains("diagnose") && !message.contains("kubectl"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn extra_and_mistyped_arguments_are_refused_and_ask_nothing() {
    let clusters = empty();
    let mut client = Client::of(clusters.clone(), Settings::default()).await;
    for (tool, arguments, said) in [
        (
            "get",
            json!({"kind": "pods", "impersonate": "root"}),
            "unknown field `impersonate`",
        ),
        ("get", json!({"kind": ["pods"]}), "expected a string"),
        ("get", json!({"kind": "pods", "limit": "5"}), "invalid type"),
        ("get", json!({"kind": "pods", "limit": -1}), "invalid value"),
        ("get", json!({"kind": "pods", "limit": 0}), "limit is 0"),
        ("get", json!({"kind": "pods", "limit": 5000}), "give 1 to 1000"),
        (
            "get",
            json!({"kind": "pods", "output": "wide"}),
            "unknown variant `wide`",
        ),
        ("get", json!({}), "missing field `kind`"),
        ("get", json!({"kind": "pods", "fields": ["$.a["]}), "$.a["),
        (
            "get",
            json!({"kind": "pods", "name": "a", "labelSelector": "a=b"}),
            "leave one out",
        ),
        ("logs", json!({"pod": "p", "namespace": "n", "grep": "("}), "grep"),
        (
            "logs",
            json!({"pod": "p", "namespace": "n", "since": "yesterday"}),
            "no duration",
        ),
        (
            "logs",
            json!({"pod": "p", "namespace": "n", "tail": 1_000_000}),
            "give 1 to",
        ),
        ("top", json!({"of": "disks"}), "unknown variant"),
        ("can_i", json!({"verb": "get"}), "give both"),
        ("events", json!({"object": "a,type=Normal"}), "can't have"),
        ("clusters", json!({"cluster": "home", "x": 1}), "unknown field"),
    ] {
        let (is_error, text) = client.call(tool, arguments.clone()).await;
        assert!(is_error && text.contains(said), "{tool} {arguments}: {text}");
    }
    assert_eq!(clusters.asked(), [""; 0]);
}

#[tokio::test]
async fn an_argument_cant_become_another_path() {
    let clusters = empty();
    let mut client = Client::of(clusters.clone(), Settings::default()).await;
    for arguments in [
        json!({"kind": "pods", "namespace": "a", "name": "../secrets/s"}),
        json!({"kind": "pods", "namespace": "a", "name": "p/exec?command=sh"}),
        json!({"kind": "pods", "namespace": "a", "name": "p%2fexec"}),
        json!({"kind": "pods", "namespace": "a/secrets", "name": "s"}),
        json!({"kind": "pods", "namespace": "..", "name": "s"}),
        json!({"kind": "pods", "name": "s"}),
        json!({"kind": "pods/../secrets"}),
        json!({"kind": "pods?watch=true"}),
        json!({"kind": "--all"}),
    ] {
        let (is_error, text) = client.call("get", arguments.clone()).await;
        assert!(is_error, "{arguments}: {text}");
    }
    assert_eq!(clusters.asked(), [""; 0]);
}

#[tokio::test]
async fn a_selector_stays_one_parameter() {
    let clusters = empty();
    let mut client = Client::of(clusters.clone(), Settings::default()).await;
    let selector = "a=b&fieldSelector=x#?%00";
    client
        .call("get", json!({"kind": "pods", "labelSelector": selector}))
        .await;
    assert_eq!(
        clusters.asked(),
        ["GET /api/v1/pods?limit=500&labelSelector=a%3Db%26fieldSelector%3Dx%23%3F%2500"]
    );
}

#[tokio::test]
async fn a_selector_that_cant_be_parsed_says_what_the_cluster_says() {
    let mut client = Client::of(empty(), Settings::default()).await;
    let (is_error, text) = client
        .call("get", json!({"kind": "pods", "labelSelector": "bad=="}))
        .await;
    assert!(
        is_error && text.contains("unable to parse requirement") && text.contains("400"),
        "{text}"
    );
}

#[tokio::test]
async fn a_denied_resource_is_refused_by_every_name_it_has() {
    let clusters = empty();
    let settings = Settings {
        denied_resources: vec![DeniedResource::try_from("secrets".to_owned()).expect("a resource")],
        ..Settings::default()
    };
    let mut client = Client::of(clusters.clone(), settings).await;
    for kind in ["secrets", "secret", "Secret", "SECRETS", "v1/secrets"] {
        for arguments in [
            json!({"kind": kind}),
            json!({"kind": kind, "namespace": "a", "name": "s"}),
        ] {
            let (is_error, text) = client.call("get", arguments).await;
            assert!(
                is_error && text.contains("doesn't touch secrets"),
                "{kind}: {text}"
            );
        }
        let (is_error, text) = client
            .call("describe", json!({"kind": kind, "namespace": "a", "name": "s"}))
            .await;
        assert!(
            is_error && text.contains("doesn't touch secrets"),
            "{kind}: {text}"
        );
    }
    assert_eq!(clusters.asked(), [""; 0]);
    assert!(
        client
            .records
            .all()
            .iter()
            .all(|call| format!("{:?}", call.outcome) == "Denied")
    );
}

#[tokio::test]
async fn a_cluster_that_isnt_there_and_one_that_isnt_yours_are_told_alike() {
    let mut client = Client::of(empty(), Settings::default()).await;
    for cluster in ["other", "", "HOME", "home/../x", "*/"] {
        let (is_error, text) = client
            .call("get", json!({"kind": "pods", "cluster": cluster}))
            .await;
        assert!(
            is_error && text.contains("no such cluster for you"),
            "{cluster}: {text}"
        );
    }
}
