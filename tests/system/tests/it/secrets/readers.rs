//! Every user of a pod can read, and nobody else sees anything.

use mk8s_testkit::{Cluster, InPod, ksm::NewRecord, pod::Builder};
use serde_json::json;

use super::{Secrets, database, read};

#[test]
fn root_an_ordinary_user_and_a_random_one_can_read() {
    let secrets = Secrets::start();
    secrets.vault().add(database("for-everybody"));
    for (name, uid) in [("root", 0), ("ordinary", 1000), ("random", 1_000_650_000)] {
        let pod = secrets
            .pod(name)
            .annotation("keeper.security/secret", "Database")
            .changed_by(move |mut pod| {
                let context = &mut pod["spec"]["containers"][0]["securityContext"];
                context["runAsUser"] = uid.into();
                // Root without its powers: what it reads, it reads as one of the readers.
                context["runAsNonRoot"] = (uid != 0).into();
                pod
            })
            .start()
            .ready();
        assert_eq!(pod.exec(["id", "-u"]).ok().stdout.trim(), uid.to_string());
        assert!(read(&pod, "/keeper/secrets/database.json").contains("for-everybody"));
    }
}

#[test]
fn a_pod_under_the_restricted_standard_works_beside_the_api_proxy() {
    let secrets = Secrets::start();
    secrets.vault().add(database("restricted"));
    let kubectl = Cluster::shared().kubectl();
    let label = "pod-security.kubernetes.io/enforce=restricted";
    kubectl
        .run(["label", "namespace", secrets.namespace().name(), label])
        .ok();
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .start()
        .ready();
    assert!(read(&pod, "/keeper/secrets/database.json").contains("restricted"));
}

/// Users and groups that people give whole pods hold for our containers, too.
#[test]
fn whatever_user_and_groups_a_pod_has_its_secrets_are_written_and_read() {
    let secrets = Secrets::start();
    secrets.vault().add(database("whoever-it-is"));
    let record = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"user": "app"}});
    secrets.namespace().apply(&record.to_string());
    let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]}]);
    for (name, context) in [
        ("group", json!({"runAsUser": 1000, "runAsGroup": 3000})),
        (
            "volumes",
            json!({"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000}),
        ),
        ("more", json!({"runAsUser": 2000, "supplementalGroups": [4000]})),
    ] {
        let start = |builder: Builder<'_>| {
            let context = context.clone();
            let changed = builder.changed_by(|mut pod| {
                pod["spec"]["securityContext"] = context;
                pod
            });
            changed.start()
        };
        let of_vault = secrets
            .pod(name)
            .service_account("app", &rules)
            .annotation("keeper.security/secret", "Database")
            .annotation("keeper.security/inject-as-k8s-secret", "true")
            .annotation("keeper.security/k8s-secret-name", name);
        let of_namespace = InPod::named(secrets.namespace(), &format!("{name}-kept"))
            .annotation("keeper.security/inject", "true")
            .annotation("keeper.security/auth-method", "kubernetes")
            .annotation("keeper.security/secret", "db");
        let (pod, kept) = (start(of_vault), start(of_namespace));
        let pod = pod.ready();
        assert!(read(&pod, "/keeper/secrets/database.json").contains("whoever-it-is"));
        let kubectl = secrets.namespace().kubectl();
        let made = kubectl.run(["get", "secret", name, "--output", "name"]).ok();
        assert_eq!(made.text(), format!("secret/{name}"));
        assert!(read(&kept.ready(), "/keeper/secrets/db.json").contains("app"));
    }
}

/// OpenShift chooses a user for each namespace, and refuses any other.
#[test]
fn where_the_cluster_chooses_the_user_ours_is_that_one() {
    let secrets = Secrets::start_with("uid: null");
    secrets.vault().add(database("as-somebody"));
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .annotation("keeper.security/inject-env-vars", "true")
        .command(["sleep", "1000000"])
        .changed_by(|mut pod| {
            pod["spec"]["securityContext"] = json!({"runAsUser": 1_000_650_000, "fsGroup": 1_000_650_000});
            if let Some(own) = pod["spec"]["containers"][0]["securityContext"].as_object_mut() {
                own.remove("runAsUser");
            }
            pod
        })
        .start()
        .ready();
    for container in pod.json()["spec"]["initContainers"].as_array().expect("ours") {
        assert_eq!(container["securityContext"].get("runAsUser"), None, "{container}");
    }
    let file = pod
        .exec(["stat", "-c", "%u %g %a", "/keeper/secrets/database.json"])
        .ok()
        .stdout;
    assert_eq!(file.trim(), "1000650000 65531 440");
    assert!(read(&pod, "/keeper/secrets/database.json").contains("as-somebody"));
}

/// A marker that no text has by chance.
const MARKER: &str = "zebra-quartz-4711";

#[test]
fn no_value_is_in_logs_the_pod_other_containers_or_the_webhook() {
    let secrets = Secrets::start();
    secrets.vault().add(NewRecord::login("Hidden", "u", MARKER));
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Hidden")
        .annotation("keeper.security/inject-env-vars", "true")
        .changed_by(|mut pod| {
            let mut beside = pod["spec"]["containers"][0].clone();
            beside["name"] = "beside".into();
            pod["spec"]["containers"] = json!([pod["spec"]["containers"][0], beside]);
            pod
        })
        .command(["sleep", "1000000"])
        .start()
        .ready();
    assert!(read(&pod, "/keeper/secrets/hidden.json").contains(MARKER));
    let everything = [
        pod.json().to_string(),
        pod.log_of("keeper-secrets-init"),
        pod.log_of("keeper-secrets-sidecar"),
        secrets.webhook.logs(),
        secrets
            .namespace()
            .kubectl()
            .run(["get", "events", "--output", "json"])
            .ok()
            .stdout,
    ];
    for text in &everything {
        assert!(!text.contains(MARKER), "{text}");
        let config = secrets.vault.app_config();
        assert!(!text.contains(config.client_id()), "the configuration");
    }
    assert!(
        everything[1].contains("all secrets are there"),
        "a log at trace level: {}",
        everything[1]
    );
    // What `kubectl exec` starts has the pod's own environment, and it isn't there.
    let environment = pod.exec(["env"]).ok().stdout;
    assert!(!environment.contains(MARKER));
}
