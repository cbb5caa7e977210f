//! What becomes of a Kubernetes Secret that is there already, and what one can be.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mk8s_testkit::{InPod, eventually, ksm::NewRecord, pod::Builder, within};
use serde_json::{Value, json};

use super::{INTERVAL, Secrets, database};

/// A pod that writes the record "Database" to the Secret of its own name.
fn writing<'n>(secrets: &'n Secrets, name: &str, mode: &str) -> Builder<'n> {
    let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]}]);
    secrets
        .pod(name)
        .service_account("app", &rules)
        .annotation("keeper.security/secret", "Database")
        .annotation("keeper.security/inject-as-k8s-secret", "true")
        .annotation("keeper.security/k8s-secret-name", name)
        .annotation("keeper.security/k8s-secret-mode", mode)
}

fn get(secrets: &Secrets, kind: &str, name: &str) -> Value {
    let kubectl = secrets.namespace().kubectl();
    kubectl.run(["get", kind, name, "--output", "json"]).ok().json()
}

/// A Secret's data as text.
fn data(secret: &Value) -> Vec<(String, String)> {
    let entries = secret["data"].as_object().cloned().unwrap_or_default();
    let decoded = entries.into_iter().map(|(key, value)| {
        let bytes = BASE64_STANDARD
            .decode(value.as_str().unwrap_or_default())
            .expect("Base64");
        (key, String::from_utf8(bytes).expect("text"))
    });
    decoded.collect()
}

fn pairs<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn owners(secret: &Value) -> Vec<String> {
    let owners = secret["metadata"]["ownerReferences"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let uids = owners
        .iter()
        .map(|owner| owner["uid"].as_str().unwrap_or_default().to_owned());
    uids.collect()
}

/// A Secret that was there before the pod, with an owner of its own. Returns that owner's UID.
fn put(secrets: &Secrets, name: &str, is_ours: bool) -> String {
    let namespace = secrets.namespace();
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    namespace.apply(&owner.to_string());
    let uid = get(secrets, "configmap", name)["metadata"]["uid"]
        .as_str()
        .expect("a UID")
        .to_owned();
    let labels = match is_ours {
        true => json!({"app.kubernetes.io/managed-by": "keeper-secrets", "team": "a"}),
        false => json!({"app.kubernetes.io/managed-by": "helm"}),
    };
    let secret = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid},
        ]},
        "stringData": {"password": "old", "other": "stays"}});
    namespace.apply(&secret.to_string());
    uid
}

fn version(secrets: &Secrets, name: &str) -> String {
    get(secrets, "secret", name)["metadata"]["resourceVersion"].to_string()
}

#[track_caller]
fn complaint(pod: &InPod, says: &str) {
    eventually(&format!("{} to say {says}", pod.name()), || {
        pod.log_of("keeper-secrets-init").contains(says).then_some(())
    });
    assert_ne!(pod.phase(), "Running");
}

#[test]
fn each_mode_does_what_it_says_with_one_that_is_there() {
    let secrets = Secrets::start();
    let uid = secrets.vault().add(database("first"));
    for name in ["overwrite", "merge", "skip-if-exists", "fail"] {
        put(&secrets, name, true);
    }
    let (skipped, failed) = (version(&secrets, "skip-if-exists"), version(&secrets, "fail"));
    let overwrite = writing(&secrets, "overwrite", "overwrite").start();
    let merge = writing(&secrets, "merge", "merge")
        .annotation("keeper.security/k8s-secret-rotation", "true")
        .start();
    let skip = writing(&secrets, "skip-if-exists", "skip-if-exists").start();
    let fail = writing(&secrets, "fail", "fail").start();
    let fresh = writing(&secrets, "fresh", "fail").start();
    let (_overwrite, _merge, _skip, _fresh) = (overwrite.ready(), merge.ready(), skip.ready(), fresh.ready());
    let fields = [("Host", "db.example"), ("login", "app"), ("password", "first")];
    assert_eq!(data(&get(&secrets, "secret", "overwrite")), pairs(fields));
    assert_eq!(
        data(&get(&secrets, "secret", "fresh")),
        pairs(fields),
        "nothing was there"
    );
    let merged = |password| {
        pairs([
            ("Host", "db.example"),
            ("login", "app"),
            ("other", "stays"),
            ("password", password),
        ])
    };
    let there = get(&secrets, "secret", "merge");
    assert_eq!(data(&there), merged("first"));
    assert_eq!(there["metadata"]["labels"]["team"], "a");
    assert_eq!(version(&secrets, "skip-if-exists"), skipped);
    complaint(&fail, "k8s-secret-mode is fail");
    assert_eq!(version(&secrets, "fail"), failed);

    secrets.vault().set_field(&uid, "password", "second");
    within(INTERVAL * 3, "the merged one to follow", || {
        (data(&get(&secrets, "secret", "merge")) == merged("second")).then_some(())
    });
    assert_eq!(
        data(&get(&secrets, "secret", "overwrite")),
        pairs(fields),
        "without rotation it stays"
    );
}

#[test]
fn one_that_was_there_before_keeps_its_owners_and_outlives_the_pod() {
    let secrets = Secrets::start();
    secrets.vault().add(database("x"));
    let owner = put(&secrets, "owned", true);
    let stranger = put(&secrets, "stranger", false);
    let before = version(&secrets, "stranger");
    let pod = writing(&secrets, "owned", "overwrite").start();
    for mode in ["overwrite", "merge"] {
        let refused = writing(&secrets, "stranger", mode).start();
        complaint(&refused, "isn't ours");
        refused.delete();
    }
    assert_eq!(owners(&get(&secrets, "secret", "stranger")), [stranger]);
    assert_eq!(version(&secrets, "stranger"), before);
    let pod = pod.ready();
    let pods = pod.json()["metadata"]["uid"].as_str().expect("a UID").to_owned();
    assert_eq!(owners(&get(&secrets, "secret", "owned")), [owner.clone(), pods]);
    pod.delete();
    eventually("the pod to own it no longer", || {
        (owners(&get(&secrets, "secret", "owned")) == [owner.as_str()]).then_some(())
    });
}

#[test]
fn types_and_keys_are_those_that_were_asked_for() {
    let secrets = Secrets::start();
    let vault = secrets.vault();
    vault.add(database("secret-word"));
    vault.add(
        NewRecord::new("TLS", "file")
            .file("server.crt", b"a certificate")
            .file("server.key", b"a key"),
    );
    let config = "secrets:\n\
        - {record: TLS, injectAsK8sSecret: true, k8sSecretName: tls, k8sSecretType: kubernetes.io/tls,\n   \
           k8sSecretKeys: {server.crt: tls.crt, server.key: tls.key}}\n\
        - {record: Database, injectAsK8sSecret: true, k8sSecretName: keys, k8sSecretKeys: {password: PGPASSWORD}}\n";
    let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]}]);
    let _pod = secrets
        .pod("app")
        .service_account("app", &rules)
        .annotation("keeper.security/config", config)
        .start()
        .ready();
    let tls = get(&secrets, "secret", "tls");
    assert_eq!(tls["type"], "kubernetes.io/tls");
    assert_eq!(
        data(&tls),
        pairs([("tls.crt", "a certificate"), ("tls.key", "a key")])
    );
    assert_eq!(
        data(&get(&secrets, "secret", "keys")),
        pairs([("PGPASSWORD", "secret-word")])
    );
}

#[test]
fn a_credential_for_the_cluster_is_refused_at_admission_and_never_made() {
    let secrets = Secrets::start();
    secrets.vault().add(database("x"));
    let kubectl = secrets.namespace().kubectl();
    let kind = "kubernetes.io/service-account-token";
    let in_config = format!(
        "secrets: [{{record: Database, injectAsK8sSecret: true, k8sSecretName: token, k8sSecretType: {kind}}}]"
    );
    let pods = [
        writing(&secrets, "token", "overwrite").annotation("keeper.security/k8s-secret-type", kind),
        secrets
            .pod("token")
            .annotation("keeper.security/config", &in_config),
    ];
    for pod in pods {
        let pod = pod.prepare().into_json().to_string();
        let refused = kubectl
            .run_with(["create", "--filename", "-"], pod.as_bytes())
            .failed();
        assert!(
            refused.stderr.contains("denied the request")
                && refused.stderr.contains("credential for the cluster"),
            "{refused}"
        );
    }
    let made = kubectl
        .run(["get", "secret", "token", "--ignore-not-found", "--output", "name"])
        .ok();
    assert_eq!(made.text(), "");
}
