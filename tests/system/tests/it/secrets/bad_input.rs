//! What is refused: at admission if it can be seen there, and else by the init container, with a reason in its log.

use mk8s_testkit::{
    Cluster, InPod, eventually,
    ksm::{Behaviour, Damage, Endpoint, Fault, NewRecord, Served, Settings},
    pod::Builder,
};

use super::{CONFIG, Secrets, database};

/// Why the API server refuses a pod.
#[track_caller]
fn refused(secrets: &Secrets, builder: Builder<'_>) -> String {
    let pod = builder.prepare().into_json();
    let kubectl = secrets.namespace().kubectl();
    kubectl
        .run_with(["create", "--filename", "-"], pod.to_string().as_bytes())
        .failed()
        .stderr
}

/// What the init container says before it gives up.
#[track_caller]
fn complaint(pod: &InPod, says: &str) {
    eventually(&format!("the init container to say {says}"), || {
        pod.log_of("keeper-secrets-init").contains(says).then_some(())
    });
    assert_ne!(pod.phase(), "Running");
}

#[test]
fn annotations_that_cant_be_are_refused_at_admission_with_their_place() {
    let secrets = Secrets::start();
    let asking = |name: &str, value: &str| {
        secrets
            .pod("app")
            .annotation("keeper.security/secret", "Database")
            .annotation(&format!("keeper.security/{name}"), value)
    };
    for (name, value, says) in [
        ("refresh-interval", "1s", "refresh-interval"),
        (
            "secret-x",
            "Database:/keeper/secrets/../../etc/passwd",
            "secret-x",
        ),
        ("secret-x", "keeper://broken", "secret-x"),
        (
            "secret-x",
            "Database:/keeper/secrets/database.json",
            "/keeper/secrets/database.json",
        ),
        ("secret-x", "Database:/proc/x", "/proc"),
        ("k8s-secret-namespace", "kube-system", "k8s-secret-namespace"),
        ("signal", "SIGHUP", "shareProcessNamespace"),
        ("inject-env-vars", "true", "command"),
        ("auth-method", "password", "auth-method"),
        (
            "config",
            "secrets:\n- {record: Database, path: /keeper/secrets/t, template: '{{ env \"HOME\" }}'}\n",
            "env",
        ),
        (
            "config",
            "secrets:\n- {record: Database, path: /keeper/secrets/t, template: '{{ range }}'}\n",
            "config:2",
        ),
        ("config", "secrets: [", "config"),
    ] {
        let error = refused(&secrets, asking(name, value));
        assert!(
            error.contains("denied the request") && error.contains(says),
            "{name}={value}: {error}"
        );
    }
}

#[test]
fn records_that_cant_be_had_are_named_and_the_pod_doesnt_start() {
    let secrets = Secrets::start();
    let vault = secrets.vault();
    vault.add(database("x"));
    for _ in 0..2 {
        vault.add(NewRecord::login("Twice", "u", "p"));
    }
    let damaged = vault.add(NewRecord::login("Damaged", "u", "p"));
    vault.damage(&damaged, Damage::Data);
    for (name, annotation, value, says) in [
        ("absent", "secret", "No Such Record", "No Such Record"),
        ("ambiguous", "secret", "Twice", "2 records"),
        ("damaged", "secret", "Damaged", "Damaged"),
        (
            "field",
            "secret-x",
            "Database[nothing]:/keeper/secrets/x",
            "nothing",
        ),
        // It can be parsed, and so comes past admission.
        (
            "endless",
            "config",
            "secrets: [{record: Database, template: '{{ define \"x\" }}{{ template \"x\" . }}{{ end }}{{ template \"x\" . }}'}]",
            "template",
        ),
    ] {
        let pod = secrets
            .pod(name)
            .annotation("keeper.security/strict-lookup", "true")
            .annotation(&format!("keeper.security/{annotation}"), value)
            .start();
        complaint(&pod, says);
    }
    // Whoever says so starts without.
    let pod = secrets
        .pod("lenient")
        .annotation("keeper.security/secrets", "Database,No Such Record")
        .annotation("keeper.security/fail-on-error", "false")
        .start()
        .ready();
    let files = pod.exec(["ls", "/keeper/secrets"]).ok().stdout;
    assert_eq!(files.trim(), "database.json");
}

#[test]
fn a_vault_that_isnt_trusted_or_allowed_is_never_told_anything() {
    let secrets = Secrets::start();
    secrets.vault().add(database("x"));
    let without_authority = InPod::named(secrets.namespace(), "untrusted")
        .annotation("keeper.security/inject", "true")
        .annotation("keeper.security/ksm-config", CONFIG)
        .annotation("keeper.security/secret", "Database")
        .start();
    complaint(&without_authority, "certificate");
    // The authority of somebody who isn't this vault.
    let listen = format!("{}:0", Cluster::shared().host_address());
    let other = Served::start(Settings::new(listen.parse().expect("an address"))).expect("a vault");
    let wrong = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wrong-ca"},
        "data": {"ca.crt": other.ca_pem()}});
    secrets.namespace().apply(&wrong.to_string());
    let of_another = secrets
        .pod("of-another")
        .annotation("keeper.security/ca-cert-configmap", "wrong-ca")
        .annotation("keeper.security/secret", "Database")
        .start();
    complaint(&of_another, "certificate");
    let elsewhere = secrets.vault.app_config().with_hostname("169.254.169.254");
    let config = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "elsewhere"},
        "stringData": {"config": elsewhere.json()}});
    secrets.namespace().apply(&config.to_string());
    let pod = secrets
        .pod("elsewhere")
        .annotation("keeper.security/ksm-config", "elsewhere")
        .annotation("keeper.security/secret", "Database")
        .start();
    complaint(&pod, "isn't one that may be asked");
    assert_eq!(secrets.vault.requests(Endpoint::GetSecret), 0);
}

#[test]
fn replies_that_break_other_clients_are_errors() {
    let secrets = Secrets::start();
    secrets.vault().add(database("x"));
    for (name, fault, says) in [
        ("without", Fault::WithoutRecords, "no list of records"),
        ("garbled", Fault::Garbled, "decrypted"),
        ("denied", Fault::AccessDenied, "denies"),
        ("key", Fault::OtherKey(9), "server key"),
    ] {
        secrets.vault.behave(Behaviour::always(fault));
        let pod = secrets
            .pod(name)
            .annotation("keeper.security/secret", "Database")
            .start();
        complaint(&pod, says);
        pod.delete();
        secrets.vault.behave_well();
    }
}
