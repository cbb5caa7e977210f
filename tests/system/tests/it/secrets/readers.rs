//! Every user of a pod can read, and nobody else sees anything.

use mk8s_testkit::{Cluster, ksm::NewRecord};
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
