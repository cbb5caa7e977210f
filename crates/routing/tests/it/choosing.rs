//! Which cluster a request goes to.

use mk8s_routing::{Credentials, Labelled, Place, Requested};

use crate::support::{goes, read};

const CLUSTERS: &str = "
apiVersion: mca.k8s.io/v1alpha1
kind: Cluster
metadata: {name: west, labels: {any: thing}}
spec: {server: 'https://west.example:6443/', credentials: west-credentials, tlsServerName: kubernetes}
---
apiVersion: mca.k8s.io/v1alpha1
kind: Cluster
metadata: {name: east}
spec: {credentials: east-kubeconfig}
---
apiVersion: mca.k8s.io/v1alpha1
kind: Cluster
metadata: {name: far}
spec: {server: 'https://central.example', central: {cluster: prod}, credentials: far-token}
---
apiVersion: mca.k8s.io/v1alpha1
kind: Cluster
metadata: {name: both}
spec: {members: [west, east]}
---
apiVersion: mca.k8s.io/v1alpha1
kind: Cluster
metadata: {name: all}
spec: {members: [local, both, west]}
";

fn with(routes: &str) -> mk8s_routing::Table {
    read(&format!("{CLUSTERS}{routes}")).expect("good routes")
}

fn route(name: &str, spec: &str) -> String {
    format!("---\napiVersion: mca.k8s.io/v1alpha1\nkind: Route\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

#[test]
fn clusters_say_where_they_are() {
    let table = with("");
    let all: Vec<_> = table
        .clusters()
        .map(|(name, cluster)| (name.as_str(), cluster))
        .collect();
    assert_eq!(all.len(), 3, "groups and home are no places");
    let places: Vec<_> = all
        .iter()
        .map(|(name, cluster)| (*name, cluster.place.clone()))
        .collect();
    assert_eq!(
        places,
        [
            ("east", Place::Kubeconfig),
            (
                "far",
                Place::Server("https://central.example/k8s/clusters/prod".to_owned())
            ),
            ("west", Place::Server("https://west.example:6443".to_owned())),
        ]
    );
    let west = all[2].1;
    assert_eq!(west.tls_server_name.as_deref(), Some("kubernetes"));
    let credentials = Credentials {
        secret: "west-credentials".to_owned(),
    };
    assert_eq!(west.credentials, Some(credentials));
    let names: Vec<&str> = table.known_names().map(mk8s_model::ClusterName::as_str).collect();
    assert_eq!(names, ["all", "both", "east", "far", "local", "west"]);
}

#[test]
fn without_a_route_everything_stays_at_home_unless_a_cluster_is_named() {
    let table = with("");
    let pods = "GET /api/v1/namespaces/a/pods";
    for (requested, expected) in [
        (None, "home"),
        (Some("west"), "west"),
        (Some("local"), "local"),
        (Some("both"), "west east"),
        (Some("all"), "local west east"),
        (Some("nowhere"), "unknown"),
        (Some("../west"), "unknown"),
        (Some(""), "unknown"),
    ] {
        assert_eq!(goes(&table, pods, requested, None), expected, "{requested:?}");
    }
}

#[test]
fn the_first_route_that_matches_wins() {
    let table = with(
        &[
            route("wide", "{match: [{namespaces: ['team-*']}], clusters: [west]}"),
            route("narrow", "{match: [{namespaces: [team-a]}], clusters: [east]}"),
            route(
                "urgent",
                "{priority: 10, match: [{namespaces: [team-b]}], clusters: [far]}",
            ),
        ]
        .concat(),
    );
    for (namespace, expected) in [("team-a", "west"), ("team-b", "far"), ("other", "home")] {
        let request = format!("GET /api/v1/namespaces/{namespace}/pods/x");
        assert_eq!(goes(&table, &request, None, None), expected, "{namespace}");
    }
}

#[test]
fn every_criterion_counts_and_all_of_them_must_hold() {
    let table = with(&[
        route("kind", "{match: [{apiGroups: [apps], resources: [deployments], verbs: [get, list]}], clusters: [west]}"),
        route("core", "{match: [{apiGroups: [''], resources: [nodes]}, {resources: ['persistent*']}], clusters: [east]}"),
    ]
    .concat());
    for (request, expected) in [
        ("GET /apis/apps/v1/namespaces/a/deployments/x", "west"),
        ("GET /apis/apps/v1/deployments", "west"),
        ("GET /apis/apps/v1/namespaces/a/deployments/x/scale", "west"),
        ("DELETE /apis/apps/v1/namespaces/a/deployments/x", "home"),
        ("GET /apis/extensions/v1/namespaces/a/deployments/x", "home"),
        ("GET /api/v1/nodes/n", "east"),
        ("GET /apis/metrics.k8s.io/v1/nodes/n", "home"),
        ("GET /api/v1/persistentvolumes", "east"),
        ("GET /version", "home"),
        ("GET /apis", "home"),
    ] {
        assert_eq!(goes(&table, request, None, None), expected, "{request}");
    }
}

#[test]
fn a_namespace_criterion_says_nothing_of_requests_across_namespaces() {
    let table = with(&route("team", "{match: [{namespaces: ['*']}], clusters: [west]}"));
    assert_eq!(goes(&table, "GET /api/v1/pods", None, None), "home");
    assert_eq!(goes(&table, "GET /api/v1/namespaces/a/pods", None, None), "west");
    assert_eq!(goes(&table, "GET /api/v1/namespaces/a", None, None), "west");
}

#[test]
fn a_route_without_criteria_takes_everything_but_what_names_a_cluster() {
    let table = with(&route("everything", "{clusters: [west]}"));
    for request in [
        "GET /api/v1/pods",
        "GET /version",
        "GET /openapi/v3",
        "POST /api/v1/namespaces/a/pods",
    ] {
        assert_eq!(goes(&table, request, None, None), "west", "{request}");
        assert_eq!(goes(&table, request, Some("east"), None), "east", "{request}");
    }
}

#[test]
fn a_route_may_be_for_those_who_name_a_cluster() {
    let table = with(
        &[
            route(
                "read",
                "{match: [{requested: [prod], verbs: [get, list, watch]}], clusters: [west, east]}",
            ),
            route("write", "{match: [{requested: ['pr*']}], clusters: [east]}"),
        ]
        .concat(),
    );
    assert_eq!(goes(&table, "GET /api/v1/pods", Some("prod"), None), "west east");
    assert_eq!(
        goes(&table, "POST /api/v1/namespaces/a/pods", Some("prod"), None),
        "east"
    );
    assert_eq!(goes(&table, "GET /version", Some("prod"), None), "east");
    assert_eq!(goes(&table, "GET /api/v1/pods", None, None), "home");
}

#[test]
fn labels_are_asked_for_only_where_they_decide() {
    let table = with(&[
        route("first", "{match: [{namespaces: [a]}], clusters: [far]}"),
        route("labels", "{match: [{labels: {tier: 'w*', app: web}}, {annotations: {where: east}, resources: [pods]}], clusters: [west]}"),
    ]
    .concat());
    let labelled = |labels: &[(&str, &str)], annotations: &[(&str, &str)]| {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        Labelled {
            labels: map(labels),
            annotations: map(annotations),
        }
    };
    assert_eq!(goes(&table, "POST /api/v1/namespaces/a/pods", None, None), "far");
    let post = "POST /api/v1/namespaces/b/pods";
    assert_eq!(goes(&table, post, None, None), "labels?");
    assert_eq!(goes(&table, "GET /version", None, None), "home");
    for (labelled, expected) in [
        (labelled(&[("tier", "west"), ("app", "web")], &[]), "west"),
        (labelled(&[("tier", "west")], &[]), "home"),
        (labelled(&[], &[("where", "east")]), "west"),
        (labelled(&[("where", "east")], &[]), "home"),
    ] {
        assert_eq!(
            goes(&table, post, None, Some(&labelled)),
            expected,
            "{labelled:?}"
        );
    }
}

#[test]
fn a_path_may_name_the_cluster() {
    for (path, expected) in [
        (
            "/clusters/west/api/v1/pods?limit=1",
            Some(("west", "/api/v1/pods?limit=1")),
        ),
        ("/clusters/west", Some(("west", ""))),
        ("/clusters/west?x", Some(("west", "?x"))),
        ("/clusters/", Some(("", ""))),
        ("/clustersx/a", None),
        ("/api/v1/clusters/a", None),
    ] {
        assert_eq!(Requested::in_path(path), expected, "{path}");
    }
}
