//! Tokens that are replaced, tokens that stay, and warnings about those that lead past the sidecar.

use mk8s_inject::contract;
use serde_json::{Value, json};

use crate::support::{container, injected, injection};

const PATH: &str = contract::SERVICE_ACCOUNT_PATH;

fn pod(mount: Value, volume: Value) -> Value {
    json!({ "spec": { "containers": [{ "name": "app", "volumeMounts": [mount] }], "volumes": [volume] } })
}

fn projected(name: &str, token: Value) -> Value {
    json!({ "name": name, "projected": { "sources": [{ "serviceAccountToken": token }] } })
}

#[test]
fn mounts_at_the_directory_are_replaced_however_they_are_spelt() {
    for path in [
        "/var/run/secrets/kubernetes.io/serviceaccount",
        "/var/run/secrets/kubernetes.io/serviceaccount/",
        "/run/secrets/kubernetes.io/serviceaccount",
        "/var/run/../run/secrets//kubernetes.io/./serviceaccount",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
    ] {
        let mount = json!({ "name": "own", "mountPath": path, "subPath": "token" });
        let pod = pod(mount, projected("own", json!({ "path": "token" })));
        let injected = injected(&pod);
        let mounts = container(&injected, "app")["volumeMounts"]
            .as_array()
            .expect("mounts");
        assert_eq!(mounts.len(), 1, "{path}");
        assert_eq!(mounts[0]["name"], contract::PLACEHOLDER_VOLUME);
        let volumes = injected["spec"]["volumes"].as_array().expect("volumes");
        assert!(
            volumes.iter().all(|volume| volume["name"] != "own"),
            "nobody uses it"
        );
        assert_eq!(injection(&pod).warnings, Vec::<String>::new());
    }
}

#[test]
fn what_else_was_mounted_there_gives_way_with_a_warning() {
    let pod = pod(
        json!({ "name": "ca", "mountPath": format!("{PATH}/ca.crt"), "subPath": "ca.crt" }),
        json!({ "name": "ca", "configMap": { "name": "ca" } }),
    );
    assert!(injection(&pod).warnings[0].contains("volume ca at"));
    // Its volume stays: injection takes tokens.
    assert_eq!(injected(&pod)["spec"]["volumes"][0]["name"], "ca");
}

#[test]
fn a_volume_that_is_used_elsewhere_stays() {
    let mut pod = pod(
        json!({ "name": "own", "mountPath": PATH }),
        projected("own", json!({ "path": "token" })),
    );
    pod["spec"]["containers"][0]["volumeMounts"]
        .as_array_mut()
        .expect("mounts")
        .push(json!({ "name": "own", "mountPath": "/token" }));
    assert_eq!(injected(&pod)["spec"]["volumes"][0]["name"], "own");
    assert!(injection(&pod).warnings[0].contains("bypass the sidecar"));
}

#[test]
fn parent_directories_stay_mounted() {
    for path in [
        "/var/run",
        "/run",
        "/var/run/secrets",
        "/var/run/secrets/kubernetes.io",
    ] {
        let pod = pod(
            json!({ "name": "run", "mountPath": path }),
            json!({ "name": "run", "emptyDir": {} }),
        );
        let injected = injected(&pod);
        let mounts = container(&injected, "app")["volumeMounts"]
            .as_array()
            .expect("mounts");
        assert_eq!(mounts[0]["mountPath"], path);
        assert_eq!(mounts[1]["mountPath"], PATH);
        // With a token in it, it is a way past the sidecar.
        let token = self::pod(
            json!({ "name": "run", "mountPath": path }),
            projected("run", json!({ "path": "x" })),
        );
        assert!(
            injection(&token).warnings[0].contains("bypass the sidecar"),
            "{path}"
        );
    }
}

#[test]
fn tokens_of_other_audiences_stay_without_a_word() {
    for audience in ["vault", "sts.amazonaws.com", "mesh-ca"] {
        let mount = json!({ "name": "other", "mountPath": "/var/run/secrets/other" });
        let pod = pod(
            mount.clone(),
            projected("other", json!({ "path": "token", "audience": audience })),
        );
        let injected = injected(&pod);
        assert_eq!(container(&injected, "app")["volumeMounts"][0], mount);
        assert_eq!(injected["spec"]["volumes"][0], pod["spec"]["volumes"][0]);
        assert_eq!(injection(&pod).warnings, Vec::<String>::new());
    }
}

#[test]
fn tokens_that_the_api_server_takes_are_warned_of() {
    let mount = json!({ "name": "v", "mountPath": "/elsewhere" });
    for volume in [
        projected("v", json!({ "path": "token" })),
        projected("v", json!({ "path": "token", "audience": "" })),
        projected(
            "v",
            json!({ "path": "token", "audience": "https://kubernetes.default.svc" }),
        ),
        json!({ "name": "v", "secret": { "secretName": "default-token-x7k2p" } }),
        json!({ "name": "v", "projected": { "sources": [{ "secret": { "name": "build-bot-token-x7k2p" } }] } }),
    ] {
        let warnings = injection(&pod(mount.clone(), volume)).warnings;
        assert!(
            warnings.len() == 1 && warnings[0].contains("bypass the sidecar"),
            "{warnings:?}"
        );
    }
    let other = json!({ "name": "v", "secret": { "secretName": "csrf-token-salt" } });
    assert_eq!(injection(&pod(mount, other)).warnings, Vec::<String>::new());
}

#[test]
fn what_would_hinder_clients_is_warned_of() {
    let pod = json!({ "spec": { "containers": [{
        "name": "app",
        "env": [{ "name": "HTTPS_PROXY", "value": "http://proxy:3128" }, { "name": "NO_PROXY", "value": ".svc" }],
        "ports": [{ "containerPort": 6443 }],
    }] } });
    let warnings = injection(&pod).warnings;
    assert!(
        warnings[0].contains("NO_PROXY has no 127.0.0.1") && warnings[1].contains("port 6443"),
        "{warnings:?}"
    );
}
