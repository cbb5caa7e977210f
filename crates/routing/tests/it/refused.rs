//! What is wrong is said with its file and line, and all of it at once.

use crate::support::read;

fn refused(text: &str) -> String {
    read(text).expect_err("refused").to_string()
}

fn cluster(name: &str, spec: &str) -> String {
    format!("---\napiVersion: mca.k8s.io/v1alpha1\nkind: Cluster\nmetadata:\n  name: {name}\nspec: {spec}\n")
}

fn route(name: &str, spec: &str) -> String {
    format!("---\napiVersion: mca.k8s.io/v1alpha1\nkind: Route\nmetadata:\n  name: {name}\nspec: {spec}\n")
}

#[test]
fn a_route_to_an_unknown_cluster() {
    let text = [
        cluster("west", "{server: 'https://w'}"),
        route("r", "\n  clusters:\n    - west\n    - wset"),
    ]
    .concat();
    assert_eq!(
        refused(&text),
        "routes.yaml:15: there is no cluster \"wset\"; there are local, west"
    );
}

#[test]
fn groups_that_are_members_of_themselves() {
    let text = [
        cluster("a", "{members: [b]}"),
        cluster("b", "{members: [c]}"),
        cluster("c", "{members: [a]}"),
        route("r", "{clusters: [a]}"),
    ]
    .concat();
    let error = refused(&text);
    assert!(error.contains("a → b → c → a"), "{error}");
    assert!(error.starts_with("routes.yaml:18: "), "{error}");
    assert!(refused(&cluster("a", "{members: [a]}")).contains("a → a"));
}

#[test]
fn a_cluster_that_is_this_proxy() {
    for server in [
        "https://127.0.0.1:6443",
        "https://localhost:6443/x",
        "https://[::1]:6443",
        "https://127.0.0.2:6443",
    ] {
        let error = refused(&cluster("me", &format!("{{server: '{server}'}}")));
        assert!(
            error.starts_with("routes.yaml:5: ") && error.contains("in a circle"),
            "{error}"
        );
    }
    assert!(read(&cluster("other", "{server: 'https://127.0.0.1:6444'}")).is_ok());
}

#[test]
fn names_that_are_taken_or_none() {
    let twice = cluster("a", "{server: 'https://a'}").repeat(2);
    assert_eq!(
        refused(&twice),
        "routes.yaml:11: there is a cluster a already, at routes.yaml:5"
    );
    let twice = [
        cluster("a", "{server: 'https://a'}"),
        route("r", "{clusters: [a]}").repeat(2),
    ]
    .concat();
    assert!(refused(&twice).contains("there is a route r already"));
    assert!(refused(&cluster("local", "{server: 'https://a'}")).contains("choose another name"));
    assert!(refused(&cluster("'A/B'", "{server: 'https://a'}")).contains("is no cluster name"));
}

#[test]
fn clusters_without_a_place_or_with_two() {
    for (spec, expected) in [
        ("{}", "says no place"),
        ("{server: 'http://a'}", "no https URL"),
        ("{server: 'https://'}", "no https URL"),
        ("{server: 'https://a?b'}", "no https URL"),
        ("{central: {cluster: a}}", "needs spec.server"),
        ("{members: []}", "is empty"),
        (
            "{members: [local], server: 'https://a'}",
            "either members or a place",
        ),
        (
            "{server: 'https://a', certificateAuthorityData: '!'}",
            "certificateAuthorityData",
        ),
        (
            "{server: 'https://a', certificateAuthorityData: 'YQ=='}",
            "certificateAuthorityData",
        ),
        (
            "{server: 'https://a', credentials: '../../etc'}",
            "no name of a Secret",
        ),
        (
            "{server: 'https://a', clusters: [a]}",
            "spec.clusters is no field of a Cluster",
        ),
        ("{server: 'https://a', sever: b}", "sever"),
    ] {
        let error = refused(&cluster("a", spec));
        assert!(error.contains(expected), "{spec}: {error}");
        assert!(error.starts_with("routes.yaml:"), "{spec}: {error}");
    }
}

#[test]
fn routes_that_lead_nowhere_or_ask_for_what_isnt_there() {
    for (spec, expected) in [
        ("{}", "spec.clusters is missing"),
        ("{clusters: []}", "spec.clusters is missing"),
        (
            "{clusters: [local], match: [{verbs: [read]}]}",
            "\"read\" is no verb",
        ),
        ("{clusters: [local], match: [{namespace: a}]}", "namespace"),
        (
            "{clusters: [local], server: 'https://a'}",
            "spec.server is no field of a Route",
        ),
        ("{clusters: local}", "routes.yaml:6"),
    ] {
        let error = refused(&route("r", spec));
        assert!(error.contains(expected), "{spec}: {error}");
    }
}

#[test]
fn other_kinds_versions_and_what_is_no_yaml() {
    assert!(
        refused("apiVersion: v1\nkind: Cluster\nmetadata: {name: a}\nspec: {}\n")
            .starts_with("routes.yaml:1: ")
    );
    let error = refused("apiVersion: mca.k8s.io/v1alpha1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n");
    assert!(
        error.starts_with("routes.yaml:2: ") && error.contains("Cluster or Route"),
        "{error}"
    );
    for text in [
        "[",
        "a: [b",
        "just words",
        "- a\n- b\n",
        "\t- x",
        "kind: &a {b: *a}",
    ] {
        let error = refused(text);
        assert!(error.starts_with("routes.yaml"), "{text}: {error}");
    }
    assert!(read("").is_ok(), "nothing is nothing wrong");
    assert!(read("# nothing\n---\n").is_ok());
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = [
        cluster("a", "{}"),
        cluster("b", "{members: [nobody]}"),
        route("r", "{clusters: [b]}"),
        route("s", "{clusters: [c]}"),
    ]
    .concat();
    let faults = read(&text).expect_err("refused").0;
    let lines: Vec<_> = faults.iter().filter_map(|fault| fault.line).collect();
    assert_eq!(lines, [6, 12, 24], "{faults:#?}");
}
