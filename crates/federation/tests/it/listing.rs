//! What there is, for whom.

use mk8s_mcp_core::{
    cluster::{ClusterFilter, Clusters as _},
    error::ToolError,
};
use serde_json::json;

use crate::{Hub, federation, federation_with, known, principal, settings};

fn names(known: Vec<(String, String)>) -> Vec<String> {
    known.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn the_best_version_that_there_is_is_read() {
    for (versions, asked) in [
        (&["v1beta2"][..], 1),
        (&["v1beta2", "v1beta1"], 1),
        (&["v1beta1"], 2),
    ] {
        let hub = Hub::with(versions);
        hub.allow("anna", "clusters", "*");
        hub.object(json!({"metadata": {"namespace": "team-a", "name": "old", "labels": {"giantswarm.io/organization": "acme"}},
            "spec": {"infrastructureRef": {"kind": "AWSCluster"}},
            "status": {"phase": "Provisioned", "infrastructureReady": true, "controlPlaneReady": true}}));
        let told = known(&federation(&hub), "anna").await;
        assert_eq!(
            told[1],
            (
                "team-a.old".to_owned(),
                "namespace team-a, Provisioned, ready, provider AWSCluster, organisation acme".to_owned()
            )
        );
        assert_eq!(hub.asked().len(), asked, "{versions:?}");
    }
    let hub = Hub::with(&[]);
    hub.allow("anna", "clusters", "*");
    let told = known(&federation(&hub), "anna").await;
    assert_eq!(
        told,
        [(
            "management".to_owned(),
            "management cluster; it has no Cluster API".to_owned()
        )]
    );
}

#[tokio::test]
async fn who_may_not_look_everywhere_is_shown_the_namespaces_that_are_named() {
    let hub = Hub::with(&["v1beta1"]);
    for namespace in ["team-a", "team-b", "team-c"] {
        hub.cluster(namespace, "prod");
    }
    hub.allow("anna", "clusters", "team-a");
    hub.allow("anna", "clusters", "team-c");
    let named = settings(json!({"rbac": {"allowedNamespaces": ["team-a", "team-b"]}}));
    let federation = federation_with(&hub, named);
    assert_eq!(
        names(known(&federation, "anna").await),
        ["management", "team-a.prod"]
    );
    let told = known(&federation, "bob").await;
    assert_eq!(
        told,
        [(
            "management".to_owned(),
            "management cluster; you may not list its Cluster API clusters".to_owned()
        )]
    );
    hub.allow("carl", "clusters", "*");
    assert_eq!(
        names(known(&federation, "carl").await),
        ["management", "team-a.prod", "team-b.prod", "team-c.prod"]
    );
}

#[tokio::test]
async fn all_pages_are_read() {
    let hub = Hub::new();
    hub.allow("anna", "clusters", "*");
    for number in 0..7 {
        hub.cluster("team-a", &format!("c{number}"));
    }
    hub.page(3);
    let told = known(&federation(&hub), "anna").await;
    assert_eq!(told.len(), 8);
    let asked = hub.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked[2].ends_with("?limit=250&continue=6"), "{asked:?}");
    // One that never ends is an error, and not a part.
    hub.page(0);
    let error = federation(&hub)
        .list(&principal("anna"))
        .await
        .expect_err("too many")
        .to_string();
    assert!(error.contains("more than 10000"), "{error}");
}

#[tokio::test]
async fn clusters_are_chosen_by_provider_and_labels() {
    let hub = Hub::new();
    hub.allow("anna", "clusters", "*");
    for (name, kind, tier) in [
        ("a", "AWSCluster", "gold"),
        ("b", "AzureCluster", "gold"),
        ("c", "AWSCluster", "tin"),
    ] {
        hub.object(
            json!({"metadata": {"namespace": "team-a", "name": name, "labels": {"tier": tier}},
            "spec": {"infrastructureRef": {"kind": kind}}}),
        );
    }
    let federation = federation(&hub);
    let select = async |provider: Option<&str>, labels: Option<&str>| {
        let filter = ClusterFilter {
            provider: provider.map(str::to_owned),
            labels: labels.map(str::to_owned),
        };
        federation.select(&principal("anna"), &filter).await.map(|known| {
            known
                .into_iter()
                .map(|known| known.name.to_string())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(
        select(Some("aws"), None).await.expect("those"),
        ["team-a.a", "team-a.c"]
    );
    assert_eq!(
        select(None, Some("tier=gold")).await.expect("those"),
        ["team-a.a", "team-a.b"]
    );
    assert_eq!(
        select(Some("AWSCluster"), Some("tier=tin")).await.expect("that"),
        ["team-a.c"]
    );
    // A selector stays one parameter, and one that can't be meant says so.
    hub.asked();
    match select(None, Some("bad==")).await {
        Err(ToolError::Arguments(why)) => assert_eq!(why, "labelSelector: unable to parse requirement"),
        other => panic!("{other:?}"),
    }
    assert!(hub.asked()[0].ends_with("/clusters?limit=250&labelSelector=bad%3D%3D"));
}

#[tokio::test]
async fn a_management_cluster_that_fails_says_so() {
    let hub = Hub::new();
    hub.cluster("team-a", "prod");
    let federation = federation(&hub);
    for (code, message) in [(500, "etcd is gone"), (503, "starting"), (401, "Unauthorized")] {
        hub.fail(code, message);
        let error = federation.list(&principal("anna")).await.expect_err("an error");
        assert_eq!(
            error.to_string(),
            format!("the management cluster lists no Cluster API clusters: {message}")
        );
        let (status, text) = crate::read(&federation, &principal("anna"), "team-a.prod").await;
        assert_eq!(status.as_u16(), if code == 401 { 401 } else { 503 });
        assert!(
            text.contains("the management cluster can't be asked") && text.contains(message),
            "{text}"
        );
    }
}
