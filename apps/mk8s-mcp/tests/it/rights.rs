//! In whose name: a service account with few rights, the API server's own audit log, and what is denied to everybody.

use std::path::PathBuf;

use mk8s_testkit::{Cluster, Namespace};
use serde_json::json;

use crate::client::Client;

/// Who may read pods of one namespace, and nothing else.
struct Reader {
    namespace: Namespace,
    directory: tempfile::TempDir,
}

impl Reader {
    fn new() -> Self {
        let namespace = Cluster::shared().namespace();
        namespace.apply(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: reader}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader}\n\
             rules: [{apiGroups: [''], resources: [pods], verbs: [get, list]}]\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: reader}\n\
             roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}\n\
             subjects: [{kind: ServiceAccount, name: reader}]\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {a: b}\n",
        );
        let reader = Self {
            namespace,
            directory: tempfile::tempdir().expect("a directory"),
        };
        Cluster::shared().service_account_kubeconfig(reader.namespace.name(), "reader", &reader.kubeconfig());
        reader
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }
}

#[test]
fn the_clusters_rbac_decides_and_says_why() {
    let reader = Reader::new();
    let namespace = reader.namespace.name();
    let mut client = Client::start(&reader.kubeconfig(), &[]);
    client.read("get", json!({"kind": "pods", "namespace": namespace}));
    let text = client.refused("get", json!({"kind": "configmaps", "namespace": namespace}));
    assert!(
        text.contains("Forbidden") && text.contains("cannot list resource"),
        "{text}"
    );
    assert!(text.contains("can_i"), "{text}");
    let text = client.refused("get", json!({"kind": "pods"}));
    assert!(text.contains("at the cluster scope"), "{text}");
    assert!(
        client
            .read(
                "can_i",
                json!({"verb": "list", "kind": "po", "namespace": namespace})
            )
            .contains("yes: ")
    );
    assert!(
        client
            .read(
                "can_i",
                json!({"verb": "get", "kind": "pods/log", "namespace": namespace})
            )
            .contains("no: ")
    );
    assert!(
        client
            .read(
                "can_i",
                json!({"verb": "delete", "kind": "deploy", "namespace": namespace})
            )
            .contains("no: ")
    );
    let text = client.read("can_i", json!({"namespace": namespace}));
    assert!(text.contains("get,list") && text.contains("pods"), "{text}");
}

#[test]
fn the_api_servers_audit_log_and_ours_name_the_same_requests() {
    let reader = Reader::new();
    let namespace = reader.namespace.name();
    let log = Cluster::shared().audit_log();
    let mut client = Client::start(&reader.kubeconfig(), &[]);
    client.read("get", json!({"kind": "pods", "namespace": namespace}));
    let lines = client.audit();
    let call = lines
        .iter()
        .find(|line| line["stage"] == "call")
        .expect("the call");
    assert_eq!(
        (&call["tool"], &call["user"], &call["outcome"]),
        (&"get".into(), &"anna".into(), &"answered".into())
    );
    let path = format!("/api/v1/namespaces/{namespace}/pods?limit=500");
    let open = lines
        .iter()
        .find(|line| line["stage"] == "open" && line["uri"] == *path)
        .unwrap_or_else(|| panic!("no request: {lines:?}"));
    let user = format!("system:serviceaccount:{namespace}:reader");
    let event = log.event("the list of pods", |event| {
        event.request_uri == path && event.user.username == user
    });
    assert_eq!(open["id"], *event.audit_id);
}

#[test]
fn what_is_denied_to_everybody_is_not_asked_for() {
    let namespace = Cluster::shared().namespace();
    let mut client = Client::start(
        Cluster::shared().kubeconfig(),
        &["--deny", "configmaps", "--deny", "deployments.apps"],
    );
    for (tool, arguments) in [
        ("get", json!({"kind": "cm", "namespace": namespace.name()})),
        (
            "get",
            json!({"kind": "ConfigMap", "namespace": namespace.name(), "name": "kube-root-ca.crt"}),
        ),
        (
            "describe",
            json!({"kind": "configmaps", "namespace": namespace.name(), "name": "kube-root-ca.crt"}),
        ),
        ("get", json!({"kind": "deploy"})),
        (
            "diagnose",
            json!({"kind": "deploy", "namespace": namespace.name(), "name": "x"}),
        ),
        ("logs", json!({"pod": "deploy/x", "namespace": namespace.name()})),
    ] {
        let text = client.refused(tool, arguments);
        assert!(text.contains("this server doesn't touch"), "{text}");
    }
    let asked = client.audit();
    let is_denied = |line: &&serde_json::Value| {
        line["stage"] == "open"
            && ["configmaps", "deployments"]
                .iter()
                .any(|denied| line["resource"] == *denied)
    };
    assert_eq!(asked.iter().filter(is_denied).count(), 0);
}
