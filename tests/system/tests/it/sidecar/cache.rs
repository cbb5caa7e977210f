//! Answers from memory, at a real API server: forgotten when something changes, and nobody else's.

use std::time::Duration;

use mk8s_testkit::{Cluster, raw::Response, wait};

use super::{ALL, prepared_with};

fn is_hit(answer: &Response) -> bool {
    answer.header("x-mca-cache") == Some("hit")
}

#[test]
fn a_get_is_answered_from_memory_until_somebody_writes() {
    let (namespace, mut sidecar) = prepared_with(ALL);
    sidecar.set_variable("MCA_CACHE_SECONDS", "600");
    sidecar.start_again();
    let kubectl = sidecar.kubectl();
    kubectl
        .run(["create", "configmap", "c", "--from-literal", "a=1"])
        .ok();
    let path = format!("/api/v1/namespaces/{}/configmaps/c", namespace.name());
    let get = || sidecar.request("GET", &path, &[], b"");
    let value = |answer: &Response| answer.json()["data"]["a"].clone();
    let hit = || {
        wait::within(Duration::from_secs(10), "an answer from memory", || {
            Some(get()).filter(is_hit)
        })
    };
    let first = hit();
    assert_eq!(value(&first), "1");
    assert!(first.header("age").is_some());

    // Written through the sidecar: seen at once.
    kubectl
        .run([
            "patch",
            "configmap",
            "c",
            "--type=merge",
            "-p",
            r#"{"data":{"a":"2"}}"#,
        ])
        .ok();
    assert_eq!(value(&get()), "2");
    hit();
    // Written by somebody else: seen by the watch, long before its time.
    namespace
        .kubectl()
        .run([
            "patch",
            "configmap",
            "c",
            "--type=merge",
            "-p",
            r#"{"data":{"a":"3"}}"#,
        ])
        .ok();
    wait::within(Duration::from_secs(10), "the other's change", || {
        (value(&get()) == "3").then_some(())
    });

    // Secrets never stay in memory.
    kubectl
        .run(["create", "secret", "generic", "s", "--from-literal", "a=1"])
        .ok();
    let secret = format!("/api/v1/namespaces/{}/secrets/s", namespace.name());
    for _ in 0..3 {
        assert!(!is_hit(&sidecar.request("GET", &secret, &[], b"")));
    }
}

#[test]
fn another_identity_never_gets_what_was_kept_for_the_first() {
    let (namespace, mut sidecar) = prepared_with(ALL);
    let name = format!("impersonate-nobody-{}", namespace.name());
    Cluster::shared().kubectl().apply(&format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}}}
rules: [{{apiGroups: [''], resources: [users], verbs: [impersonate], resourceNames: [nobody-in-particular]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}
subjects: [{{kind: ServiceAccount, name: app, namespace: {}}}]
",
        namespace.name()
    ));
    sidecar.set_variable("MCA_CACHE_SECONDS", "600");
    sidecar.start_again();
    let path = format!(
        "/api/v1/namespaces/{}/configmaps/kube-root-ca.crt",
        namespace.name()
    );
    wait::within(Duration::from_secs(10), "an answer from memory", || {
        Some(sidecar.request("GET", &path, &[], b"")).filter(is_hit)
    });
    let nobody = [("Impersonate-User", "nobody-in-particular")];
    let refused = wait::within(Duration::from_secs(10), "the right to impersonate", || {
        let answer = sidecar.request("GET", &path, &nobody, b"");
        answer
            .text()
            .contains("nobody-in-particular\\\" cannot get")
            .then_some(answer)
    });
    assert_eq!((refused.status, is_hit(&refused)), (403, false));
    assert!(
        is_hit(&sidecar.request("GET", &path, &[], b"")),
        "still there for the first"
    );
    let admin = Cluster::shared().kubectl();
    admin
        .run(["delete", "clusterrolebinding,clusterrole", &name])
        .ok();
}
