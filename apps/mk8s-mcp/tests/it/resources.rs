//! Resources of a real cluster: read, and watched in their subscriber's own name.

use mk8s_testkit::{Cluster, Namespace, eventually};
use serde_json::{Value, json};

use crate::{client::Client, served::Served};

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

/// What is read of a stream of events, until it is enough.
async fn read_until(response: &mut reqwest::Response, said: &mut String, is_enough: impl Fn(&str) -> bool) {
    while !is_enough(said) {
        let chunk = response.chunk().await.expect("a chunk");
        let chunk = chunk.unwrap_or_else(|| panic!("it ended: {said}"));
        said.push_str(&String::from_utf8_lossy(&chunk));
    }
}

// The connection is closed by a task of its own, while the test waits.
#[tokio::test(flavor = "multi_thread")]
async fn over_http_one_answer_lasts_and_tells_of_changes() {
    let namespace = Cluster::shared().namespace();
    namespace.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {a: before}\n");
    let kubeconfig = Cluster::shared().kubeconfig();
    let mut served = Served::start(json!({"kubernetes": {"kubeconfig": kubeconfig}, "allowAnonymous": true}));
    let answer = served.send("resources/list", json!({}), &[]).await;
    let answer: Value = answer.json().await.expect("JSON");
    let first = answer["result"]["resources"][0]["uri"].as_str().expect("a URI");
    let cluster = first.strip_suffix("/nodes").expect("nodes");
    let uri = format!("{cluster}/namespaces/{}/configmaps/notes", namespace.name());
    let read = served
        .send("resources/read", json!({"uri": uri}), &[("mcp-name", &uri)])
        .await;
    assert_eq!(read.status(), 200);

    let updates = |count: usize| move |said: &str| said.matches(UPDATED).count() >= count;
    let (mut response, mut said) = (
        served.send("subscriptions/listen", listening(&[&uri]), &[]).await,
        String::new(),
    );
    assert_eq!(response.status(), 200);
    read_until(&mut response, &mut said, updates(1)).await;
    namespace.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {a: after}\n");
    read_until(&mut response, &mut said, updates(2)).await;
    assert!(
        said.contains("notifications/subscriptions/acknowledged") && !said.contains("after"),
        "{said}"
    );
    // The client goes.
    drop(response);
    eventually("the watch has ended", || {
        let audit = served.audit();
        let ended = audit
            .iter()
            .find(|line| line["tool"] == "subscriptions/listen" && line["outcome"] == "cancelled");
        let closed = audit.iter().filter(|line| line["stage"] == "close").count();
        let opened = audit.iter().filter(|line| line["stage"] == "open").count();
        (ended.is_some() && opened == closed).then_some(())
    });

    // The server goes: that is an answer, too.
    let (mut response, mut said) = (
        served.send("subscriptions/listen", listening(&[&uri]), &[]).await,
        String::new(),
    );
    read_until(&mut response, &mut said, updates(1)).await;
    served.program.terminate();
    read_until(&mut response, &mut said, |said| {
        said.contains("\"resultType\":\"complete\"")
    })
    .await;
    let status = served.program.wait(std::time::Duration::from_secs(20));
    assert_eq!(status.code(), Some(0), "{}", served.program.log());
}

#[tokio::test]
async fn over_http_older_clients_are_told_that_they_cant_subscribe() {
    let kubeconfig = Cluster::shared().kubeconfig();
    let served = Served::start(json!({"kubernetes": {"kubeconfig": kubeconfig}, "allowAnonymous": true}));
    let ask = async |message: Value| -> Value {
        let request = reqwest::Client::new()
            .post(&served.url)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .json(&message);
        request
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON")
    };
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let capabilities = &ask(initialize).await["result"]["capabilities"];
    assert!(
        capabilities["resources"].is_object() && capabilities["resources"]["subscribe"].is_null(),
        "{capabilities}"
    );
    let subscribe = json!({"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": {"uri": "k8s://a/api/v1/pods"}});
    let answer = ask(subscribe).await;
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.contains("subscriptions/listen"), "{answer}");
}
