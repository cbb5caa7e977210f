//! Resources of a real cluster: read, and watched in their subscriber's own name.

use mk8s_testkit::{Cluster, Namespace, eventually};
use serde_json::{Value, json};

use crate::client::Client;

const UPDATED: &str = "notifications/resources/updated";

fn listening(uris: &[&str]) -> Value {
    json!({"notifications": {"resourceSubscriptions": uris}})
}

/// Hears that a resource changed.
#[track_caller]
fn assert_updated(client: &mut Client, uri: &str) {
    let told = client.heard();
    assert_eq!(
        (&told["method"], &told["params"]["uri"]),
        (&UPDATED.into(), &uri.into()),
        "{told}"
    );
}

#[test]
fn what_one_looks_at_first_can_be_read() {
    let namespace = Cluster::shared().namespace();
    let mut client = Client::start(Cluster::shared().kubeconfig(), &[]);
    let answer = client.ask("resources/list", json!({}));
    let listed = answer["result"]["resources"].as_array().expect("resources");
    assert_eq!(listed.len(), 4);
    for listed in listed {
        let uri = listed["uri"].as_str().expect("a URI");
        let text = client
            .resource(uri)
            .unwrap_or_else(|error| panic!("{uri}: {error}"));
        assert!(text.contains(" of cluster "), "{text}");
    }
    let cluster = client.cluster();
    let name = namespace.name();
    for (path, contains) in [
        (format!("/api/v1/namespaces/{name}"), "Active"),
        (
            format!("/api/v1/namespaces/{name}/configmaps"),
            "kube-root-ca.crt",
        ),
        (
            format!("/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt"),
            "BEGIN CERTIFICATE",
        ),
        ("/apis/apps/v1/deployments".to_owned(), "deployments.apps"),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Abasic-user".to_owned(),
            "selfsubjectaccessreviews",
        ),
        (
            "/api/v1/namespaces?fieldSelector=metadata.name%3Dkube-system".to_owned(),
            "1 object of namespaces",
        ),
    ] {
        let text = client.resource(&format!("k8s://{cluster}{path}"));
        let text = text.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(text.contains(contains), "{path}: {text}");
    }
    for path in [
        format!("/api/v1/namespaces/{name}/configmaps/nobody"),
        "/apis/example.invalid/v1/things".to_owned(),
        "/apis/apps/v9/deployments".to_owned(),
    ] {
        let error = client
            .resource(&format!("k8s://{cluster}{path}"))
            .expect_err("it isn't there");
        assert_eq!(error["code"], -32_602, "{path}: {error}");
    }
}

#[test]
fn whoever_listens_hears_of_changes_of_an_object_and_of_a_list() {
    let namespace = Cluster::shared().namespace();
    namespace.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {a: before}\n");
    let mut client = Client::start(Cluster::shared().kubeconfig(), &[]);
    let all = format!(
        "k8s://{}/api/v1/namespaces/{}/configmaps",
        client.cluster(),
        namespace.name()
    );
    let one = format!("{all}/notes");
    let id = client.begin("subscriptions/listen", listening(&[&one]));
    assert_eq!(
        client.heard()["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_updated(&mut client, &one);
    assert!(client.resource(&one).expect("it").contains("before"));
    // Another object's change isn't this one's; the next thing that is heard is what comes after it.
    namespace.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {a: b}\n");
    namespace.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {a: after}\n");
    assert_updated(&mut client, &one);
    assert!(client.resource(&one).expect("it").contains("after"));
    client.tell("notifications/cancelled", json!({"requestId": id}));
    let is_watch = |line: &Value| line["uri"].as_str().is_some_and(|uri| uri.contains("watch=true"));
    let open = client
        .audit()
        .into_iter()
        .find(|line| line["stage"] == "open" && is_watch(line));
    let open = open.expect("the watch is written down");
    eventually(
        "the watch and the subscription to have ended in the audit file",
        || {
            let lines = client.audit();
            let is_closed = lines
                .iter()
                .any(|line| line["stage"] == "close" && line["id"] == open["id"]);
            let outcomes: Vec<&Value> = lines
                .iter()
                .filter(|line| line["tool"] == "subscriptions/listen")
                .map(|line| &line["outcome"])
                .collect();
            (is_closed && outcomes == ["subscribed", "cancelled"]).then_some(())
        },
    );

    client.begin("subscriptions/listen", listening(&[&all]));
    assert_eq!(
        client.heard()["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_updated(&mut client, &all);
    namespace.kubectl().run(["delete", "configmap", "notes"]).ok();
    assert_updated(&mut client, &all);
    assert_eq!(client.end(), 0);
}

/// Who may do that with ConfigMaps of one namespace, and nothing else.
fn kubeconfig_of(
    namespace: &Namespace,
    user: &str,
    verbs: &str,
    directory: &tempfile::TempDir,
) -> std::path::PathBuf {
    namespace.apply(&format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {user}}}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {user}}}\n\
         rules: [{{apiGroups: [''], resources: [configmaps], resourceNames: [notes], verbs: [{verbs}]}}]\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {user}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {user}}}\n\
         subjects: [{{kind: ServiceAccount, name: {user}}}]\n"
    ));
    let file = directory.path().join(user);
    Cluster::shared().service_account_kubeconfig(namespace.name(), user, &file);
    file
}

#[test]
fn a_watch_is_made_in_the_subscribers_own_name() {
    let namespace = Cluster::shared().namespace();
    namespace.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {a: b}\n");
    let directory = tempfile::tempdir().expect("a directory");
    let reader = kubeconfig_of(&namespace, "reader", "get, list", &directory);
    let watcher = kubeconfig_of(&namespace, "watcher", "get, list, watch", &directory);
    let log = Cluster::shared().audit_log();

    let mut client = Client::start(&reader, &[]);
    let uri = format!(
        "k8s://{}/api/v1/namespaces/{}/configmaps/notes",
        client.cluster(),
        namespace.name()
    );
    assert!(client.resource(&uri).is_ok());
    let answer = client.ask("subscriptions/listen", listening(&[&uri]));
    let text = answer["error"]["data"]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"));
    assert!(text.contains("cannot watch resource"), "{text}");

    // Whoever may watch one object by its name needs no more.
    let mut client = Client::start(&watcher, &[]);
    let uri = format!(
        "k8s://{}/api/v1/namespaces/{}/configmaps/notes",
        client.cluster(),
        namespace.name()
    );
    client.begin("subscriptions/listen", listening(&[&uri]));
    assert_eq!(
        client.heard()["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_updated(&mut client, &uri);
    namespace.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {a: c}\n");
    assert_updated(&mut client, &uri);
    let user = format!("system:serviceaccount:{}:watcher", namespace.name());
    log.event("the watch", |event| {
        event.user.username == user && event.request_uri.contains("watch=true")
    });
    let list = format!(
        "k8s://{}/api/v1/namespaces/{}/configmaps",
        client.cluster(),
        namespace.name()
    );
    let answer = client.ask("subscriptions/listen", listening(&[&list]));
    assert!(
        answer["error"]["message"]
            .as_str()
            .is_some_and(|line| line.contains("Forbidden")),
        "{answer}"
    );
}

#[test]
fn what_is_denied_to_everybody_is_neither_read_nor_watched() {
    let mut client = Client::start(Cluster::shared().kubeconfig(), &["--deny", "secrets"]);
    let uri = format!("k8s://{}/api/v1/secrets", client.cluster());
    let error = client.resource(&uri).expect_err("it is denied");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|line| line.contains("this server doesn't touch secrets")),
        "{error}"
    );
    let answer = client.ask("subscriptions/listen", listening(&[&uri]));
    assert!(
        answer["error"]["message"]
            .as_str()
            .is_some_and(|line| line.contains("doesn't touch secrets")),
        "{answer}"
    );
    assert!(
        !client
            .audit()
            .iter()
            .any(|line| line["stage"] == "open" && line["resource"] == "secrets")
    );
}
