//! What the webhook may do, and does: it reads the pod that it is shown, and asks nobody anything.

use mk8s_testkit::Cluster;
use serde_json::json;

use super::{Secrets, database};

#[test]
fn admission_asks_neither_the_vault_nor_the_api_server_and_a_dry_run_leaves_nothing() {
    let secrets = Secrets::start();
    secrets.vault().add(database("x"));
    let (audit, user) = (Cluster::shared().audit_log(), secrets.webhook.user());
    let kubectl = secrets.namespace().kubectl();
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .annotation("keeper.security/inject-as-k8s-secret", "true")
        .annotation("keeper.security/k8s-secret-name", "made")
        .prepare()
        .into_json()
        .to_string();
    let dry_run = [
        "create",
        "--dry-run=server",
        "--output",
        "json",
        "--filename",
        "-",
    ];
    let injected = kubectl.run_with(dry_run, pod.as_bytes()).ok().json();
    assert_eq!(
        injected["metadata"]["annotations"]["keeper.security/injected"],
        "true"
    );
    assert_eq!(
        injected["spec"]["initContainers"][0]["name"],
        "keeper-secrets-init"
    );
    // Nobody was asked: not for the record, the configuration, the Secret to be made, or the pod.
    assert!(secrets.vault.all_requests().is_empty());
    // What keeps its certificate, its lease and clusters' statuses, it does all the time.
    let own = [
        "mk8s-webhook-tls",
        "/leases/",
        "/mutatingwebhookconfigurations",
        "/apis/mca.k8s.io/",
    ];
    let asked = audit.events(|event| {
        let is_own = own.iter().any(|part| event.request_uri.contains(part));
        event.user.username == user && !is_own
    });
    assert!(asked.is_empty(), "{asked:?}");
    for kind in ["pod/app", "secret/made"] {
        let there = kubectl
            .run(["get", kind, "--ignore-not-found", "--output", "name"])
            .ok();
        assert_eq!(there.text(), "", "a dry run leaves nothing");
    }
}

#[test]
fn the_webhook_may_read_no_secret_but_its_certificate() {
    let secrets = Secrets::start();
    let user = secrets.webhook.user();
    let may = |verb: &str, what: &str, everywhere: bool| {
        let kubectl = secrets.namespace().kubectl();
        let mut arguments = vec!["auth", "can-i", verb, what, "--as", &user];
        if everywhere {
            arguments.push("--all-namespaces");
        }
        kubectl.run(arguments).text() == "yes"
    };
    assert!(may("get", "secrets/mk8s-webhook-tls", false), "what it needs");
    for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
        for everywhere in [false, true] {
            assert!(
                !may(verb, "secrets", everywhere),
                "{verb} secrets, everywhere: {everywhere}"
            );
        }
        assert!(
            !may(verb, "secrets/ksm", false),
            "{verb} an application's configuration"
        );
        assert!(!may(verb, "pods", true), "{verb} pods");
    }
}

#[test]
fn pods_are_changed_and_deleted_whether_the_webhook_is_there_or_not() {
    let mut secrets = Secrets::start();
    secrets.vault().add(database("x"));
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .start()
        .ready();
    secrets.webhook.kill("a");
    secrets.webhook.kill("b");
    let kubectl = secrets.namespace().kubectl();
    // The creation of one that asks is what it is needed for, and nothing else.
    let another = secrets
        .pod("another")
        .annotation("keeper.security/secret", "Database")
        .prepare()
        .into_json();
    let refused = kubectl
        .run_with(["create", "--filename", "-"], another.to_string().as_bytes())
        .failed();
    assert!(refused.stderr.contains("webhook"), "{refused}");
    let finalizer = json!({"metadata": {"finalizers": ["test.example/held"]}}).to_string();
    kubectl.run(["patch", "pod", "app", "--patch", &finalizer]).ok();
    kubectl.run(["label", "pod", "app", "team=a"]).ok();
    kubectl
        .run([
            "annotate",
            "pod",
            "app",
            "keeper.security/secret=Other",
            "--overwrite",
        ])
        .ok();
    kubectl.run(["delete", "pod", "app", "--wait=false"]).ok();
    let none = json!({"metadata": {"finalizers": null}}).to_string();
    kubectl.run(["patch", "pod", "app", "--patch", &none]).ok();
    mk8s_testkit::eventually("the pod to go", || {
        let there = kubectl.run(["get", "pod", pod.name(), "--ignore-not-found", "--output", "name"]);
        (there.code == Some(0) && there.text().is_empty()).then_some(())
    });
}
