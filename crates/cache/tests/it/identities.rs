//! Nobody is given what somebody else was answered.

use crate::support::{Client, SETTINGS};

const PODS: &str = "/api/v1/namespaces/x/pods";

#[tokio::test(start_paused = true)]
async fn the_same_identity_is_answered_again() {
    let client = Client::new(SETTINGS);
    let first = client.get(PODS).await;
    assert!(!first.is_hit());
    let second = client.get(PODS).await;
    assert!(second.is_hit());
    assert_eq!((first.body, client.api.asked()), (second.body, 1));
}

#[tokio::test(start_paused = true)]
async fn another_identity_never_gets_it() {
    let client = Client::new(SETTINGS);
    let jane = client.with(&[
        ("impersonate-user", "jane"),
        ("impersonate-group", "a"),
        ("impersonate-group", "b"),
    ]);
    client.get(PODS).await;
    jane.get(PODS).await;
    let others = [
        client.named("ns/sb"),
        client.named("ns/sa/"),
        client.named(""),
        jane.named("ns/sb"),
        client.with(&[("impersonate-user", "joe")]),
        client.with(&[("impersonate-user", "jane")]),
        client.with(&[
            ("impersonate-user", "jane"),
            ("impersonate-group", "b"),
            ("impersonate-group", "a"),
        ]),
        client.with(&[("impersonate-user", "jane"), ("impersonate-group", "a,b")]),
        jane.with(&[("impersonate-uid", "7")]),
        jane.with(&[("impersonate-extra-scopes", "view")]),
        jane.with(&[("impersonate-anything-new", "x")]),
    ];
    for (at, other) in others.iter().enumerate() {
        assert!(!other.is_kept(PODS).await, "the {at}th other");
    }
    assert!(client.hits(PODS).await && jane.hits(PODS).await);
}

#[tokio::test(start_paused = true)]
async fn another_cluster_path_query_or_form_is_another_answer() {
    let client = Client::new(SETTINGS).with(&[("accept", "application/json"), ("accept-encoding", "gzip")]);
    client.get(PODS).await;
    assert!(!client.at("other").is_kept(PODS).await);
    for path in [
        "/api/v1/namespaces/y/pods",
        "/api/v1/pods",
        "/api/v1/namespaces/x/pods?labelSelector=a",
        "/api/v1/namespaces/x/pods/",
        "/api/v1/namespaces/x/pods/p",
    ] {
        assert!(!client.is_kept(path).await, "{path}");
    }
    for headers in [("accept", "application/yaml"), ("accept-encoding", "br")] {
        assert!(!client.with(&[headers]).is_kept(PODS).await, "{headers:?}");
    }
    assert!(client.hits(PODS).await);
}

#[tokio::test(start_paused = true)]
async fn whoever_shows_something_else_than_one_token_is_asked_for() {
    let client = Client::new(SETTINGS);
    let with_token = client.with(&[("authorization", "bearer T")]);
    with_token.get(PODS).await;
    assert!(with_token.hits(PODS).await);
    for headers in [
        &[("authorization", "Basic T")][..],
        &[("authorization", "Negotiate T")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer T"), ("authorization", "Bearer U")],
    ] {
        assert!(!client.with(headers).is_kept(PODS).await, "{headers:?}");
    }
}
