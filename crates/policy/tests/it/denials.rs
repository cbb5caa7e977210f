//! Why not.

use mk8s_model::Decision;
use mk8s_policy::Policy;

use crate::support::{ask, policy};

const ROLES: &str = r#"
roles:
  - name: developer
    clusters:
      - {name: "dev-*", namespaces: ["team-*", "shop"], verbs: [get, list, watch], resources: [pods, nodes]}
  - name: viewer
    clusters:
      - {name: "*", namespaces: ["*"], verbs: [get, list], resources: [services]}
"#;

fn reason(policy: &Policy, roles: &[&str], on: &str, method: &str, uri: &str) -> String {
    match ask(policy, roles, on, method, uri) {
        Decision::Deny(denial) => denial.to_string(),
        Decision::Allow(grant) => panic!("allowed by {}", grant.rule),
    }
}

#[test]
fn a_denial_names_the_verb_and_the_resource_that_are_missing() {
    let policy = policy(ROLES);
    let both: &[&str] = &["developer", "viewer"];
    let rows: [(&[&str], &str, &str, &str, &str); 12] = [
        (
            both,
            "prod",
            "DELETE",
            "/api/v1/namespaces/x/pods/p",
            r#"User "dev@example.com" cannot delete resource "pods" in API group "" in the namespace "x" of cluster "prod": none of your roles (developer, viewer) allows the verb "delete" on "pods" there"#,
        ),
        (
            &["viewer"],
            "prod",
            "GET",
            "/apis/apps/v1/deployments",
            r#"User "dev@example.com" cannot list resource "deployments" in API group "apps" at the cluster scope of cluster "prod": your role (viewer) doesn't allow the verb "list" on "deployments" there"#,
        ),
        (
            both,
            "dev-1",
            "GET",
            "/api/v1/namespaces/x/pods",
            r#"User "dev@example.com" cannot list resource "pods" in API group "" in the namespace "x" of cluster "dev-1": none of your roles (developer, viewer) allows the verb "list" on "pods" there, only in these namespaces: team-*, shop"#,
        ),
        (
            both,
            "dev-1",
            "GET",
            "/api/v1/pods",
            r#"User "dev@example.com" cannot list resource "pods" in API group "" at the cluster scope of cluster "dev-1": none of your roles (developer, viewer) allows the verb "list" on "pods" there, only in these namespaces: team-*, shop"#,
        ),
        (
            both,
            "dev-1",
            "GET",
            "/api/v1/namespaces/shop/pods/p/exec",
            r#"User "dev@example.com" cannot get resource "pods/exec" in API group "" in the namespace "shop" of cluster "dev-1": none of your roles (developer, viewer) allows the verb "exec" on "pods" there"#,
        ),
        (
            both,
            "dev-1",
            "POST",
            "/api/v1/namespaces/shop/pods/p/portforward",
            r#"User "dev@example.com" cannot create resource "pods/portforward" in API group "" in the namespace "shop" of cluster "dev-1": none of your roles (developer, viewer) allows the verb "portforward" on "pods" there"#,
        ),
        (
            both,
            "dev-1",
            "PATCH",
            "/api/v1/namespaces/shop/pods/p/ephemeralcontainers",
            r#"User "dev@example.com" cannot patch resource "pods/ephemeralcontainers" in API group "" in the namespace "shop" of cluster "dev-1": none of your roles (developer, viewer) allows the verbs "exec" and "patch" on "pods/ephemeralcontainers" there"#,
        ),
        (
            both,
            "dev-1",
            "GET",
            "/api/v1/namespaces/shop/pods/p/log",
            r#"User "dev@example.com" cannot get resource "pods/log" in API group "" in the namespace "shop" of cluster "dev-1": none of your roles (developer, viewer) allows the verb "logs" on "pods" there"#,
        ),
        (
            both,
            "dev-1",
            "GET",
            "/metrics",
            r#"User "dev@example.com" cannot get path "/metrics" of cluster "dev-1": none of your roles (developer, viewer) allows the verb "get" on that path (nonResourceURLs)"#,
        ),
        (
            &["developer"],
            "prod",
            "GET",
            "/api/v1/namespaces/shop/pods/p",
            r#"User "dev@example.com" cannot get resource "pods" in API group "" in the namespace "shop" of cluster "prod": you have no role on this cluster"#,
        ),
        (
            &[],
            "prod",
            "GET",
            "/version",
            r#"User "dev@example.com" cannot get path "/version" of cluster "prod": you have no role on this cluster"#,
        ),
        (
            &["gone"],
            "prod",
            "GET",
            "/version",
            r#"User "dev@example.com" cannot get path "/version" of cluster "prod": you have no role on this cluster"#,
        ),
    ];
    for (roles, on, method, uri, expected) in rows {
        assert_eq!(reason(&policy, roles, on, method, uri), expected);
    }
}

#[test]
fn a_denial_stays_short_and_on_one_line() {
    let policy = policy(ROLES);
    let name = "%22x%C2%85".repeat(1000);
    let many: Vec<String> = (0..100)
        .map(|n| format!("role-{n}"))
        .chain(["viewer".to_owned()])
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    // A next-line character is a control character and has no KubeRequest; a quote has.
    let uri = format!("/api/v1/namespaces/{}/pods", name.replace("%C2%85", ""));
    let reason = reason(&policy, &many, "prod", "GET", &uri);
    assert!(reason.len() < 2000 && !reason.contains('\n'), "{reason}");
    assert!(reason.contains("role-7 and 93 more"), "{reason}");
    assert!(reason.contains(r#"\"x\"x"#), "{reason}");
}
