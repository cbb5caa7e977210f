//! What is allowed.

use mk8s_policy::{DEFAULT_ROLES, Policy};

use crate::support::{ask, check, cluster, policy, rule};

/// The roles and users of seed 004, word for word.
const SEED: &str = r#"
roles:
  - name: developer
    clusters:
      - name: "dev-*"           # Wildcard matching
        namespaces: ["*"]       # All namespaces
        verbs: ["get", "list", "logs", "exec"]
        resources: ["pods", "services", "deployments"]

  - name: viewer
    clusters:
      - name: "*"
        namespaces: ["*"]
        verbs: ["get", "list"]
        resources: ["*"]

  - name: admin
    clusters:
      - name: "*"
        namespaces: ["*"]
        verbs: ["*"]
        resources: ["*"]

# User assignment
users:
  - email: "dev@example.com"
    roles: ["developer"]
  - email: "ops@example.com"
    roles: ["admin"]
"#;

const POD: &str = "/api/v1/namespaces/shop/pods/web";

#[test]
fn the_seeds_roles_mean_what_they_say() {
    let policy = policy(SEED);
    assert_eq!(
        policy.role_names().collect::<Vec<_>>(),
        ["developer", "viewer", "admin"]
    );
    assert_eq!(policy.users()[1].roles, ["admin"]);
    let exec = "/api/v1/namespaces/shop/pods/web/exec?command=sh";
    let rows = [
        ("developer", "dev-1", "GET", POD, true),
        ("developer", "dev-1", "GET", "/api/v1/pods", true),
        ("developer", "dev-1", "GET", "/api/v1/pods?watch=1", false),
        ("developer", "dev-1", "GET", "/apis/apps/v1/deployments", true),
        (
            "developer",
            "dev-1",
            "GET",
            "/api/v1/namespaces/shop/secrets",
            false,
        ),
        (
            "developer",
            "dev-1",
            "GET",
            "/api/v1/namespaces/shop/pods/web/log?follow=1",
            true,
        ),
        ("developer", "dev-1", "POST", exec, true),
        ("developer", "dev-1", "GET", exec, true),
        ("developer", "dev-1", "DELETE", POD, false),
        ("developer", "prod-1", "GET", POD, false),
        ("viewer", "prod-1", "GET", POD, true),
        ("viewer", "prod-1", "GET", "/api/v1/nodes", true),
        (
            "viewer",
            "prod-1",
            "GET",
            "/api/v1/namespaces/shop/pods/web/log",
            true,
        ),
        ("viewer", "prod-1", "GET", exec, false),
        ("viewer", "prod-1", "POST", exec, false),
        ("viewer", "prod-1", "POST", "/api/v1/namespaces/shop/pods", false),
        ("admin", "prod-1", "POST", exec, true),
        ("admin", "prod-1", "GET", exec, true),
        ("admin", "prod-1", "DELETE", "/api/v1/nodes/n1", true),
        ("admin", "prod-1", "GET", "/metrics", true),
        ("admin", "prod-1", "GET", "/api/v1/nodes/n1/proxy/metrics", true),
        (
            "admin",
            "prod-1",
            "POST",
            "/api/v1/namespaces/a/serviceaccounts/b/token",
            true,
        ),
    ];
    for (role, on, method, uri, expected) in rows {
        let found = rule(&policy, &[role], on, method, uri);
        let expected = expected.then(|| format!("{role}/clusters[0]"));
        assert_eq!(found, expected, "{role} on {on}: {method} {uri}");
    }
}

#[test]
fn the_default_roles_suffice_for_todays_kubectl() {
    let policy = policy(DEFAULT_ROLES);
    let mut names: Vec<_> = policy.role_names().collect();
    names.sort_unstable();
    assert_eq!(names, ["admin", "developer", "viewer"]);
    for (method, uri) in [
        ("GET", "/api/v1/pods?watch=1"),
        ("GET", "/api/v1/namespaces/a/pods/p/attach"),
        ("GET", "/api/v1/namespaces/a/pods/p/portforward"),
        ("POST", "/api/v1/namespaces/a/pods/p/exec"),
        ("GET", "/api/v1/namespaces/a/pods/p/log"),
        ("GET", "/api/v1/namespaces/a/events"),
        ("GET", "/apis/events.k8s.io/v1/namespaces/a/events"),
    ] {
        assert!(
            rule(&policy, &["developer"], "dev-1", method, uri).is_some(),
            "{method} {uri}"
        );
    }
    assert!(rule(&policy, &["viewer"], "any", "GET", "/api/v1/pods?watch=1").is_some());
    assert!(
        rule(
            &policy,
            &["viewer"],
            "any",
            "GET",
            "/api/v1/namespaces/a/pods/p/exec"
        )
        .is_none()
    );
}

#[test]
fn all_five_must_match() {
    let yaml = r#"
roles:
  - name: tester
    clusters:
      - name: "*-prod"
        namespaces: ["team-*", "shared"]
        verbs: ["get", "list"]
        resources: ["deployments"]
        apiGroups: ["apps"]
      - name: "*"
        namespaces: ["*"]
        verbs: ["watch"]
        resources: ["nodes"]
"#;
    let policy = policy(yaml);
    let rows = [
        (
            "eu-prod",
            "GET",
            "/apis/apps/v1/namespaces/team-a/deployments/x",
            Some(0),
        ),
        (
            "eu-prod",
            "GET",
            "/apis/apps/v1/namespaces/shared/deployments",
            Some(0),
        ),
        (
            "eu-dev",
            "GET",
            "/apis/apps/v1/namespaces/team-a/deployments/x",
            None,
        ),
        (
            "eu-prod",
            "GET",
            "/apis/apps/v1/namespaces/other/deployments/x",
            None,
        ),
        (
            "eu-prod",
            "PATCH",
            "/apis/apps/v1/namespaces/team-a/deployments/x",
            None,
        ),
        (
            "eu-prod",
            "GET",
            "/apis/apps/v1/namespaces/team-a/replicasets/x",
            None,
        ),
        (
            "eu-prod",
            "GET",
            "/apis/extensions/v1/namespaces/team-a/deployments/x",
            None,
        ),
        ("eu-dev", "GET", "/api/v1/nodes?watch=1", Some(1)),
        ("eu-dev", "GET", "/api/v1/nodes", None),
    ];
    for (on, method, uri, expected) in rows {
        let expected = expected.map(|n| format!("tester/clusters[{n}]"));
        assert_eq!(
            rule(&policy, &["tester"], on, method, uri),
            expected,
            "{on}: {method} {uri}"
        );
    }
}

#[test]
fn what_is_in_no_namespace_needs_all_namespaces() {
    let some = r#"name: "*", namespaces: ["team-*"], verbs: ["*"], resources: ["*"]"#;
    let all = r#"name: "*", namespaces: ["**"], verbs: ["*"], resources: ["*"]"#;
    let two = r#"name: "*", namespaces: ["team-*", "*"], verbs: ["*"], resources: ["*"]"#;
    let nearly = r#"name: "*", namespaces: ["*-*"], verbs: ["*"], resources: ["*"]"#;
    check(&[
        (some, "GET", "/api/v1/namespaces/team-a/pods", true),
        (some, "GET", "/api/v1/pods", false),
        (some, "GET", "/api/v1/nodes/n", false),
        (some, "GET", "/api/v1/namespaces", false),
        (some, "POST", "/api/v1/namespaces", false),
        // A Namespace object is in itself.
        (some, "GET", "/api/v1/namespaces/team-a", true),
        (some, "DELETE", "/api/v1/namespaces/team-a", true),
        (some, "GET", "/api/v1/namespaces/other", false),
        (some, "GET", "/metrics", false),
        (nearly, "GET", "/api/v1/pods", false),
        (all, "GET", "/api/v1/pods", true),
        (two, "POST", "/api/v1/namespaces", true),
        (two, "GET", "/metrics", true),
    ]);
}

#[test]
fn resources_are_named_as_kubectl_names_them() {
    let with = |resources: &str| {
        format!(r#"name: "*", namespaces: ["*"], verbs: [get, update], resources: {resources}"#)
    };
    let rows = [
        (r#"["pods"]"#, "GET", "/api/v1/namespaces/a/pods/p", true),
        (
            r#"["pods"]"#,
            "GET",
            "/apis/metrics.k8s.io/v1/namespaces/a/pods/p",
            true,
        ),
        (r#"["pods."]"#, "GET", "/api/v1/namespaces/a/pods/p", true),
        (
            r#"["pods."]"#,
            "GET",
            "/apis/metrics.k8s.io/v1/namespaces/a/pods/p",
            false,
        ),
        (r#"["pods"]"#, "GET", "/api/v1/namespaces/a/pods/p/status", false),
        (r#"["pods"]"#, "GET", "/api/v1/namespaces/a/pods/p/log", false),
        (r#"["pods/log"]"#, "GET", "/api/v1/namespaces/a/pods/p/log", true),
        (r#"["pods/log"]"#, "GET", "/api/v1/namespaces/a/pods/p", false),
        (r#"["pods/*"]"#, "GET", "/api/v1/namespaces/a/pods/p/log", true),
        (r#"["pods/*"]"#, "GET", "/api/v1/namespaces/a/pods/p", false),
        (r#"["pods/*"]"#, "PUT", "/api/v1/namespaces/a/pods/p/status", true),
        (
            r#"["*/status"]"#,
            "PUT",
            "/apis/apps/v1/namespaces/a/deployments/d/status",
            true,
        ),
        (
            r#"["*/scale"]"#,
            "PUT",
            "/apis/apps/v1/namespaces/a/deployments/d/status",
            false,
        ),
        (
            r#"["*"]"#,
            "PUT",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            true,
        ),
        (
            r#"["deployments.apps"]"#,
            "GET",
            "/apis/apps/v1/namespaces/a/deployments/d",
            true,
        ),
        (
            r#"["deployments.apps"]"#,
            "GET",
            "/apis/extensions/v1/namespaces/a/deployments/d",
            false,
        ),
        (
            r#"["deployments.apps/scale"]"#,
            "PUT",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            true,
        ),
        (
            r#"["*.apps"]"#,
            "GET",
            "/apis/apps/v1/namespaces/a/daemonsets/d/status",
            true,
        ),
        (r#"["*.apps"]"#, "GET", "/api/v1/namespaces/a/pods/p", false),
        (
            r#"["*.*.cattle.io"]"#,
            "GET",
            "/apis/management.cattle.io/v3/namespaces/a/users/u",
            true,
        ),
        (r#"["config*"]"#, "GET", "/api/v1/namespaces/a/configmaps/c", true),
        (r#"["config*"]"#, "GET", "/api/v1/namespaces/a/secrets/c", false),
    ];
    for (resources, method, uri, expected) in rows {
        check(&[(&with(resources), method, uri, expected)]);
    }
}

#[test]
fn groups_narrow_a_rule() {
    let core = r#"name: "*", namespaces: ["*"], verbs: [get], resources: ["*"], apiGroups: [""]"#;
    let some =
        r#"name: "*", namespaces: ["*"], verbs: ["*"], resources: ["*"], apiGroups: ["apps", "*.k8s.io"]"#;
    let all = r#"name: "*", namespaces: ["*"], verbs: ["*"], resources: ["*"], apiGroups: ["*"]"#;
    check(&[
        (core, "GET", "/api/v1/namespaces/a/pods/p", true),
        (core, "GET", "/apis/apps/v1/namespaces/a/deployments/d", false),
        (some, "GET", "/apis/apps/v1/namespaces/a/deployments/d", true),
        (
            some,
            "GET",
            "/apis/networking.k8s.io/v1/namespaces/a/ingresses/i",
            true,
        ),
        (some, "GET", "/api/v1/namespaces/a/pods/p", false),
        (some, "GET", "/metrics", false),
        (all, "GET", "/metrics", true),
    ]);
}

#[test]
fn ways_into_a_workload_need_their_own_verb() {
    let reader = r#"name: "*", namespaces: ["*"], verbs: [get, list, watch], resources: ["*"]"#;
    let writer = r#"name: "*", namespaces: ["*"], verbs: [get, list, watch, create, update, patch, delete, deletecollection, logs], resources: ["*", "pods", "pods/*", "*/*", "services/*", "nodes/*"]"#;
    let everything = r#"name: "*", namespaces: ["*"], verbs: ["*"], resources: ["*"]"#;
    for way in ["exec", "attach", "portforward", "proxy", "proxy/metrics"] {
        let uri = format!("/api/v1/namespaces/a/pods/p/{way}");
        let verb = way.split('/').next().expect("a verb");
        let own =
            |resources| format!(r#"name: "*", namespaces: ["*"], verbs: [{verb}], resources: [{resources}]"#);
        for method in ["GET", "POST"] {
            check(&[
                (reader, method, &uri, false),
                (writer, method, &uri, false),
                (everything, method, &uri, true),
                (&own("pods"), method, &uri, true),
                (&own("\"*\""), method, &uri, true),
                (&own("\"pods/*\""), method, &uri, true),
                (&own("services"), method, &uri, false),
            ]);
        }
    }
    let forward = r#"name: "*", namespaces: ["*"], verbs: [port-forward], resources: [pods]"#;
    let proxy = r#"name: "*", namespaces: ["*"], verbs: [proxy], resources: [pods, nodes, services]"#;
    check(&[
        (forward, "GET", "/api/v1/namespaces/a/pods/p/portforward", true),
        (forward, "GET", "/api/v1/namespaces/a/pods/p/exec", false),
        (proxy, "DELETE", "/api/v1/namespaces/a/services/s/proxy/x", true),
        (proxy, "GET", "/api/v1/nodes/n/proxy/run", true),
        // The old prefix is the same way in.
        (proxy, "GET", "/api/v1/proxy/namespaces/a/pods/p", true),
        (reader, "GET", "/api/v1/proxy/namespaces/a/pods/p", false),
        (writer, "GET", "/api/v1/proxy/nodes/n/x", false),
        (everything, "GET", "/api/v1/proxy/nodes/n/x", true),
    ]);
}

#[test]
fn a_way_in_may_be_written_out() {
    let with = |verbs: &str, resource: &str| {
        format!(r#"name: "*", namespaces: ["*"], verbs: [{verbs}], resources: ["{resource}"]"#)
    };
    let exec = "/api/v1/namespaces/a/pods/p/exec";
    let rows = [
        ("create", "pods/exec", "POST", exec, true),
        // Over WebSocket it is a GET.
        ("create", "pods/exec", "GET", exec, true),
        ("get", "pods/exec", "GET", exec, true),
        ("get", "pods/exec", "POST", exec, false),
        ("list", "pods/exec", "GET", exec, false),
        ("create", "*/exec", "POST", exec, true),
        ("create", "pods/exe*", "POST", exec, false),
        ("create", "pods/attach", "POST", exec, false),
        ("create", "services/exec", "POST", exec, false),
        (
            "get",
            "services/proxy",
            "GET",
            "/api/v1/namespaces/a/services/s/proxy/x",
            true,
        ),
        (
            "get",
            "services/proxy",
            "POST",
            "/api/v1/namespaces/a/services/s/proxy/x",
            false,
        ),
        // Creating through a proxy is no reason to read through it.
        (
            "create",
            "services/proxy",
            "GET",
            "/api/v1/namespaces/a/services/s/proxy/x",
            false,
        ),
    ];
    for (verbs, resource, method, uri, expected) in rows {
        check(&[(&with(verbs, resource), method, uri, expected)]);
    }
}

#[test]
fn an_ephemeral_container_needs_exec_and_the_patch() {
    let with = |verbs: &str, resources: &str| {
        format!(r#"name: "*", namespaces: ["*"], verbs: [{verbs}], resources: [{resources}]"#)
    };
    let uri = "/api/v1/namespaces/a/pods/p/ephemeralcontainers";
    let rows = [
        ("patch", "\"*\"", "PATCH", false),
        ("patch", "pods/ephemeralcontainers", "PATCH", false),
        ("exec", "pods", "PATCH", false),
        ("exec", "pods/ephemeralcontainers", "PATCH", false),
        ("exec, patch", "pods", "PATCH", false),
        ("exec, patch", "pods/ephemeralcontainers", "PATCH", true),
        ("exec, patch", "\"pods/*\"", "PATCH", true),
        ("exec, patch", "\"*\"", "PATCH", true),
        ("exec, patch", "\"*\"", "PUT", false),
        ("\"*\"", "\"*\"", "PUT", true),
        // Reading which there are is no way in.
        ("get", "\"*\"", "GET", true),
    ];
    for (verbs, resources, method, expected) in rows {
        check(&[(&with(verbs, resources), method, uri, expected)]);
    }
}

#[test]
fn a_service_accounts_token_must_be_written_out() {
    let with = |verbs: &str, resources: &str| {
        format!(r#"name: "*", namespaces: ["*"], verbs: [{verbs}], resources: [{resources}]"#)
    };
    let uri = "/api/v1/namespaces/a/serviceaccounts/s/token";
    let rows = [
        ("create", "\"*\"", false),
        ("create", "serviceaccounts", false),
        ("create", "\"serviceaccounts/*\"", false),
        ("create", "serviceaccounts/token", true),
        ("get", "serviceaccounts/token", false),
        ("\"*\"", "\"*\"", true),
        ("\"*\"", "serviceaccounts", false),
    ];
    for (verbs, resources, expected) in rows {
        check(&[(&with(verbs, resources), "POST", uri, expected)]);
    }
    let create = with("create", "\"*\"");
    check(&[(&create, "POST", "/api/v1/namespaces/a/pods/p/eviction", true)]);
}

#[test]
fn logs_are_their_own_verb() {
    let with = |verbs: &str, resources: &str| {
        format!(r#"name: "*", namespaces: ["*"], verbs: [{verbs}], resources: [{resources}]"#)
    };
    let rows = [
        ("logs", "pods", true),
        ("logs", "\"*\"", true),
        ("logs", "pods/log", true),
        ("logs", "services", false),
        ("get", "pods", false),
        ("get", "\"*\"", true),
        ("list", "\"*\"", false),
    ];
    for (verbs, resources, expected) in rows {
        check(&[(
            &with(verbs, resources),
            "GET",
            "/api/v1/namespaces/a/pods/p/log",
            expected,
        )]);
    }
    let logs = with("logs", "pods");
    check(&[
        (&logs, "GET", "/api/v1/namespaces/a/pods/p", false),
        (&logs, "GET", "/api/v1/namespaces/a/pods/p/status", false),
        (&logs, "PUT", "/api/v1/namespaces/a/pods/p/log", false),
    ]);
}

#[test]
fn whoever_has_a_role_may_find_out_what_there_is() {
    let policy = policy(SEED);
    for uri in [
        "/api",
        "/api/v1",
        "/apis",
        "/apis/apps",
        "/apis/apps/v1",
        "/version",
        "/version/",
        "/openapi/v2",
        "/openapi/v3/apis/apps/v1",
        "/healthz",
        "/livez/ping",
        "/readyz",
        "/readyz/etcd",
    ] {
        for method in ["GET", "HEAD"] {
            assert_eq!(
                rule(&policy, &["developer"], "dev-1", method, uri).as_deref(),
                Some("discovery"),
                "{uri}"
            );
        }
        assert_eq!(rule(&policy, &["developer"], "dev-1", "POST", uri), None, "{uri}");
        assert_eq!(
            rule(&policy, &["developer"], "prod", "GET", uri),
            None,
            "no role there: {uri}"
        );
        assert_eq!(
            rule(&policy, &[], "dev-1", "GET", uri),
            None,
            "no role at all: {uri}"
        );
    }
    for uri in [
        "/metrics",
        "/",
        "/apisx",
        "/logs",
        "/healthzz",
        "/version/x",
        "/debug/pprof",
        "/openid/v1/jwks",
    ] {
        assert_eq!(rule(&policy, &["developer"], "dev-1", "GET", uri), None, "{uri}");
    }
    let reviews = [
        ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", true),
        ("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", true),
        ("/apis/authentication.k8s.io/v1/selfsubjectreviews", true),
        ("/apis/authorization.k8s.io/v1/subjectaccessreviews", false),
        ("/apis/authentication.k8s.io/v1/tokenreviews", false),
        ("/apis/example.com/v1/selfsubjectaccessreviews", false),
        (
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/x/exec",
            false,
        ),
    ];
    for (uri, expected) in reviews {
        let found = rule(&policy, &["developer"], "dev-1", "POST", uri);
        assert_eq!(found.is_some(), expected, "{uri}");
    }
}

#[test]
fn other_paths_are_named() {
    let with = |verbs: &str, urls: &str| format!(r#"name: "*", verbs: [{verbs}], nonResourceURLs: [{urls}]"#);
    let rows = [
        ("get", "\"/metrics\"", "GET", "/metrics", true),
        ("get", "\"/metrics\"", "HEAD", "/metrics", true),
        ("get", "\"/metrics\"", "GET", "/metrics/slis", false),
        ("get", "\"/metrics*\"", "GET", "/metrics/slis", true),
        ("get", "\"/metrics\"", "POST", "/metrics", false),
        ("post", "\"*\"", "POST", "/anything", true),
        ("\"*\"", "\"/logs/*\"", "DELETE", "/logs/x", true),
        ("\"*\"", "\"*\"", "GET", "/api/v1/namespaces/a/pods", false),
    ];
    for (verbs, urls, method, uri, expected) in rows {
        check(&[(&with(verbs, urls), method, uri, expected)]);
    }
}

#[test]
fn the_first_role_that_allows_it_is_named_and_unknown_ones_give_nothing() {
    let policy = policy(SEED);
    assert_eq!(
        rule(&policy, &["gone", "viewer", "admin"], "p", "GET", POD).as_deref(),
        Some("viewer/clusters[0]")
    );
    assert_eq!(
        rule(&policy, &["admin", "viewer"], "p", "GET", POD).as_deref(),
        Some("admin/clusters[0]")
    );
    assert_eq!(rule(&policy, &["gone"], "p", "GET", POD), None);
    assert_eq!(rule(&policy, &["Admin"], "p", "GET", POD), None);
}

#[test]
fn a_cluster_is_seen_by_those_who_have_a_role_on_it() {
    let policy = policy(SEED);
    let clusters = ["dev-1", "prod", "dev-2"].map(cluster);
    assert_eq!(
        policy.visible_clusters(&["developer"], &clusters),
        [&clusters[0], &clusters[2]]
    );
    assert_eq!(policy.visible_clusters(&["viewer"], &clusters).len(), 3);
    assert!(policy.visible_clusters(&[] as &[&str], &clusters).is_empty());
    assert!(!policy.may_see(&["developer"], &clusters[1]));
}

#[test]
fn permissions_are_told_in_a_line_each() {
    let yaml = r#"
roles:
  - name: odd/clusters[1]
    clusters:
      - {name: "*", namespaces: [a, b], verbs: [get], resources: [pods, deployments], apiGroups: ["", apps]}
      - {name: "*", verbs: [get], nonResourceURLs: [/metrics]}
"#;
    let mut lines: Vec<String> = Vec::new();
    for (policy, roles) in [
        (policy(SEED), vec!["developer", "admin"]),
        (policy(yaml), vec!["odd/clusters[1]"]),
    ] {
        lines.extend(
            policy
                .describe(&roles, &cluster("dev-1"))
                .iter()
                .map(ToString::to_string),
        );
    }
    assert_eq!(
        lines,
        [
            "developer: get, list, logs, exec on pods, services, deployments in all namespaces",
            "admin: everything on all resources in all namespaces",
            "odd/clusters[1]: get on pods, deployments of the API groups core, apps in the namespaces a, b",
            "odd/clusters[1]: get on the paths /metrics",
        ]
    );
}

#[test]
fn a_decision_takes_well_under_a_microsecond() {
    // Not a benchmark: a guard against a decision that compiles or copies something. Ten times the aim, unoptimised.
    let policy = Policy::from_yaml(DEFAULT_ROLES, 1).expect("a policy");
    let (on, who) = (cluster("dev-1"), crate::support::dev());
    let uri: http::Uri = POD.parse().expect("a URI");
    let request = mk8s_model::KubeRequest::classify(&http::Method::GET, &uri).expect("a request");
    let best = (0..20)
        .map(|_| {
            let start = std::time::Instant::now();
            for _ in 0..1000 {
                std::hint::black_box(policy.decide(&["developer", "viewer"], &who, &on, &request));
            }
            start.elapsed() / 1000
        })
        .min();
    println!("a decision takes {best:?} here");
    assert!(best < Some(std::time::Duration::from_micros(10)), "{best:?}");
    drop(ask(&policy, &["viewer"], "dev-1", "GET", POD));
}
