//! In whose name the pod's containers ask, and who is taken for one of them.

use mk8s_testkit::Cluster;

use super::{ALL, sidecar_with};

#[test]
fn the_api_servers_audit_log_names_the_service_account() {
    let (namespace, sidecar) = sidecar_with(ALL);
    let log = Cluster::shared().audit_log();
    let kubectl = sidecar.kubectl();
    kubectl
        .run(["create", "configmap", "seen", "--from-literal", "a=b"])
        .ok();
    let event = log.event("the creation", |event| {
        event.verb == "create"
            && event.request_uri.contains(namespace.name())
            && event.request_uri.contains("configmaps")
    });
    assert_eq!(
        event.user.username,
        format!("system:serviceaccount:{}:app", namespace.name())
    );
    let who = kubectl.run(["auth", "whoami", "-o", "json"]).ok().json();
    assert_eq!(
        who["status"]["userInfo"]["username"],
        format!("system:serviceaccount:{}:app", namespace.name())
    );
}

#[test]
fn whoever_hasnt_the_pods_token_is_nobody() {
    let (namespace, sidecar) = sidecar_with(ALL);
    let path = format!("/api/v1/namespaces/{}/configmaps", namespace.name());
    let real = sidecar.read("real/token");
    let ask = |headers: &[(&str, &str)]| {
        sidecar
            .endpoint()
            .request("GET", &path, headers, b"")
            .expect("an answer")
    };
    let placeholder = format!("Bearer {}", sidecar.placeholder());
    let basic = placeholder.replace("Bearer", "Basic");
    let cut = placeholder[..placeholder.len() - 1].to_owned();
    let real = format!("Bearer {real}");
    for headers in [
        &[][..],
        &[("Authorization", "Bearer ")],
        &[("Authorization", "Bearer wrong")],
        &[("Authorization", basic.as_str())],
        &[("Authorization", cut.as_str())],
        // Not even the real one: it has no business outside the sidecar.
        &[("Authorization", real.as_str())],
        &[
            ("Authorization", placeholder.as_str()),
            ("Authorization", "Bearer other"),
        ],
        &[("X-Remote-User", "admin")],
    ] {
        let answer = ask(headers);
        assert_eq!(answer.status, 401, "{headers:?}: {}", answer.text());
        assert_eq!(answer.json()["kind"], "Status");
        assert!(answer.text().contains("/token"), "{}", answer.text());
    }
    assert_eq!(ask(&[("Authorization", placeholder.as_str())]).status, 200);
    assert_eq!(
        ask(&[("authorization", placeholder.replace("Bearer", "bearer").as_str())]).status,
        200
    );
}

#[test]
fn nothing_of_the_real_token_reaches_what_containers_see() {
    let (_namespace, sidecar) = sidecar_with(ALL);
    let real = sidecar.read("real/token");
    for file in ["shared/token", "shared/ca.crt", "shared/namespace"] {
        assert!(!sidecar.read(file).contains(&real), "{file}");
    }
    assert_ne!(sidecar.read("shared/ca.crt"), sidecar.read("real/ca.crt"));
    // Nor is it in an answer: a TokenReview of the placeholder is of no token that the cluster knows.
    let review = format!(
        r#"{{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview","spec":{{}},"x":"{}"}}"#,
        "y"
    );
    let answer = sidecar.request(
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        &[("Content-Type", "application/json")],
        review.as_bytes(),
    );
    assert!(!answer.text().contains(&real));
    assert!(!sidecar.read("log").contains(&real));
    assert!(!sidecar.read("log").contains(&sidecar.placeholder()));
}

#[test]
fn a_service_account_that_may_impersonate_may_do_so_through_the_sidecar() {
    let (namespace, sidecar) = sidecar_with(ALL);
    let kubectl = sidecar.kubectl();
    let as_jane = |kubectl: &mk8s_testkit::Kubectl| {
        kubectl.run([
            "auth",
            "whoami",
            "-o",
            "json",
            "--as",
            "jane",
            "--as-group",
            "dev",
        ])
    };
    // Without the right, the API server says no, in the service account's name.
    let path = format!("/api/v1/namespaces/{}/configmaps", namespace.name());
    let refused = sidecar.request("GET", &path, &[("Impersonate-User", "jane")], b"");
    assert_eq!(refused.status, 403);
    assert!(
        refused
            .text()
            .contains(&format!("system:serviceaccount:{}:app", namespace.name()))
            && refused.text().contains("impersonate"),
        "{}",
        refused.text()
    );
    let name = format!("impersonator-{}", namespace.name());
    Cluster::shared().kubectl().apply(&format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}}}
rules: [{{apiGroups: [''], resources: [users, groups], verbs: [impersonate], resourceNames: [jane, dev]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}
subjects: [{{kind: ServiceAccount, name: app, namespace: {}}}]
",
        namespace.name()
    ));
    let who = mk8s_testkit::eventually("the right to impersonate", || {
        let ran = as_jane(&kubectl);
        (ran.code == Some(0)).then(|| ran.json())
    });
    assert_eq!(who["status"]["userInfo"]["username"], "jane");
    let masters = [
        ("Impersonate-User", "jane"),
        ("Impersonate-Group", "system:masters"),
    ];
    let masters = sidecar.request("GET", "/api/v1/nodes", &masters, b"");
    assert!(
        masters.status == 403 && masters.text().contains("impersonate"),
        "{}",
        masters.text()
    );
    let admin = Cluster::shared().kubectl();
    admin
        .run(["delete", "clusterrolebinding,clusterrole", &name])
        .ok();
}
