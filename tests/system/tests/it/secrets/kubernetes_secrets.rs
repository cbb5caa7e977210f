//! Kubernetes Secrets made of records: whose they are, how they change, and that nobody else's are touched.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mk8s_testkit::{InPod, eventually, pod::Builder, within};
use serde_json::{Value, json};

use super::{INTERVAL, Secrets, database};

fn rules() -> Value {
    json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]}])
}

fn asking<'n>(secrets: &'n Secrets, name: &str) -> Builder<'n> {
    secrets
        .pod(name)
        .service_account("app", &rules())
        .annotation("keeper.security/secret", "Database")
        .annotation("keeper.security/inject-as-k8s-secret", "true")
        .annotation("keeper.security/k8s-secret-name", "made")
}

fn made(secrets: &Secrets) -> Option<Value> {
    let ran = secrets
        .namespace()
        .kubectl()
        .run(["get", "secret", "made", "--ignore-not-found", "--output", "json"])
        .ok();
    (!ran.text().is_empty()).then(|| ran.json())
}

fn password(secret: &Value) -> String {
    let encoded = secret["data"]["password"].as_str().unwrap_or_default();
    String::from_utf8(BASE64_STANDARD.decode(encoded).expect("base64")).expect("text")
}

#[test]
fn one_is_made_is_kept_up_to_date_and_goes_with_the_last_pod_that_has_it() {
    let secrets = Secrets::start();
    let uid = secrets.vault().add(database("first"));
    let rotating = |name: &str| {
        asking(&secrets, name)
            .annotation("keeper.security/k8s-secret-rotation", "true")
            // Through the API proxy, which holds the token.
            .label("mca.k8s.io/inject", "false")
            .start()
            .ready()
    };
    let (one, two) = (rotating("one"), rotating("two"));
    let secret = made(&secrets).expect("made");
    assert_eq!(
        (secret["type"].as_str(), password(&secret).as_str()),
        (Some("Opaque"), "first")
    );
    assert_eq!(
        secret["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "keeper-secrets"
    );
    let owners = |secret: &Value| -> Vec<String> {
        let owners = secret["metadata"]["ownerReferences"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        owners
            .iter()
            .map(|owner| owner["uid"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let uid_of = |pod: &InPod| pod.json()["metadata"]["uid"].as_str().expect("a UID").to_owned();
    assert_eq!(owners(&secret), [uid_of(&one), uid_of(&two)]);
    secrets.vault().set_field(&uid, "password", "second");
    within(INTERVAL * 3, "the Secret to follow", || {
        made(&secrets)
            .filter(|secret| password(secret) == "second")
            .map(drop)
    });
    one.delete();
    assert!(made(&secrets).is_some(), "the other has it still");
    two.delete();
    eventually("the Secret to go with its pods", || {
        made(&secrets).is_none().then_some(())
    });
}

#[test]
fn one_of_somebody_else_is_left_as_it_is_and_the_pod_says_so() {
    let secrets = Secrets::start();
    secrets.vault().add(database("ours"));
    let theirs = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "made"}, "stringData": {"password": "theirs"}});
    secrets.namespace().apply(&theirs.to_string());
    let pod = asking(&secrets, "app").start();
    eventually("the init container to refuse", || {
        pod.log_of("keeper-secrets-init")
            .contains("isn't ours")
            .then_some(())
    });
    let secret = made(&secrets).expect("there");
    assert_eq!(password(&secret), "theirs");
    assert!(secret["metadata"].get("ownerReferences").is_none());
}

#[test]
fn without_the_right_the_role_is_named() {
    let secrets = Secrets::start();
    secrets.vault().add(database("x"));
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .annotation("keeper.security/inject-as-k8s-secret", "true")
        .annotation("keeper.security/k8s-secret-name", "made")
        .start();
    eventually("the init container to refuse", || {
        let log = pod.log_of("keeper-secrets-init");
        (log.contains("forbidden") && log.contains("docs/secrets.md")).then_some(())
    });
    assert!(made(&secrets).is_none());
}
