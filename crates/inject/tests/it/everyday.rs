//! What injection does to ordinary pods.

use mk8s_inject::{Settings, Stage, contract};
use serde_json::{Value, json};

use crate::support::{apply, container, injected, injection, injection_at, sidecar, variable};

fn pod() -> Value {
    json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "app", "image": "web" }] } })
}

#[test]
fn the_sidecar_is_a_native_one_that_gates_the_rest() {
    let mut pod = pod();
    pod["spec"]["initContainers"] = json!([{ "name": "migrate" }]);
    let injected = injected(&pod);
    let names: Vec<&Value> = injected["spec"]["initContainers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|container| &container["name"])
        .collect();
    assert_eq!(names, [contract::CONTAINER, "migrate"]);
    let sidecar = sidecar(&injected);
    assert_eq!(sidecar["restartPolicy"], "Always");
    assert_eq!(sidecar["image"], contract::DEFAULT_IMAGE);
    assert_eq!(sidecar["args"], json!(["run"]));
    assert_eq!(
        sidecar["startupProbe"]["exec"]["command"],
        json!(["/mca-proxy", "ready"])
    );
    assert_eq!(sidecar["startupProbe"]["periodSeconds"], 1);
    assert_eq!(sidecar["startupProbe"]["failureThreshold"], 60);
}

#[test]
fn the_sidecar_meets_the_restricted_pod_security_standard() {
    let context = &sidecar(&injected(&pod()))["securityContext"].clone();
    assert_eq!(
        context,
        &json!({
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "privileged": false,
            "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999,
            "seccompProfile": { "type": "RuntimeDefault" },
        })
    );
}

#[test]
fn only_the_sidecar_has_the_real_token() {
    let injected = injected(&pod());
    assert_eq!(
        sidecar(&injected)["volumeMounts"],
        json!([
            { "name": "kube-api-access-sa", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true },
            { "name": "kube-api-access-mca-sa", "mountPath": "/var/run/secrets/kubernetes.io/mca-serviceaccount" },
            { "name": "mca-proxy-state", "mountPath": "/var/lib/mca-proxy" },
        ])
    );
    assert_eq!(
        container(&injected, "app")["volumeMounts"],
        json!([{ "name": "kube-api-access-mca-sa", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true }])
    );
    assert_eq!(injected["spec"]["automountServiceAccountToken"], false);
}

#[test]
fn what_the_admission_plugin_mounted_is_replaced_in_app_and_init_containers() {
    let mount = json!({ "name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true });
    let projected =
        json!({ "sources": [{ "serviceAccountToken": { "path": "token", "expirationSeconds": 3607 } }] });
    let pod = json!({ "spec": {
        "initContainers": [{ "name": "migrate", "volumeMounts": [mount] }],
        "containers": [{ "name": "app", "volumeMounts": [{ "name": "data", "mountPath": "/data" }, mount] }],
        "volumes": [{ "name": "kube-api-access-x7k2p", "projected": projected }, { "name": "data", "emptyDir": {} }],
    } });
    let injection = injection(&pod);
    assert_eq!(injection.warnings, Vec::<String>::new());
    let injected = injected(&pod);
    for name in ["app", "migrate"] {
        let mounts = container(&injected, name)["volumeMounts"]
            .as_array()
            .expect("mounts")
            .clone();
        assert!(
            mounts
                .iter()
                .all(|mount| mount["name"] != "kube-api-access-x7k2p")
        );
        assert_eq!(
            mounts.last().expect("a mount")["name"],
            contract::PLACEHOLDER_VOLUME
        );
    }
    let volumes: Vec<&Value> = injected["spec"]["volumes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|volume| &volume["name"])
        .collect();
    assert_eq!(
        volumes,
        [
            "data",
            "kube-api-access-sa",
            "kube-api-access-mca-sa",
            "mca-proxy-state"
        ]
    );
}

#[test]
fn all_variables_lead_to_the_sidecar_and_others_that_use_them_do_too() {
    let mut pod = pod();
    pod["spec"]["containers"][0]["env"] = json!([
        { "name": "KUBERNETES_SERVICE_HOST", "value": "10.0.0.1" },
        { "name": "API", "value": "https://$(KUBERNETES_SERVICE_HOST)" },
        { "name": "KUBERNETES_SERVICE_PORT", "valueFrom": { "fieldRef": { "fieldPath": "status.hostIP" } } },
        { "name": "KUBERNETES_SERVICE_HOST", "value": "10.0.0.2" },
    ]);
    let injected = injected(&pod);
    let app = container(&injected, "app");
    for (name, value) in contract::ENVIRONMENT {
        assert_eq!(
            variable(app, name),
            Some(&json!({ "name": name, "value": value }))
        );
    }
    // `$(NAME)` sees only what stands before it.
    let env = app["env"].as_array().expect("a list");
    assert_eq!(env.len(), 9);
    assert_eq!(env[8]["name"], "API");
    let warnings = injection(&pod).warnings;
    assert!(
        warnings[0].contains("KUBERNETES_SERVICE_HOST gives way"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].contains("KUBERNETES_SERVICE_PORT gives way"),
        "{warnings:?}"
    );
}

#[test]
fn operations_are_granular() {
    let mut pod = pod();
    pod["spec"]["initContainers"] = json!([{ "name": "migrate", "env": [{ "name": "A", "value": "b" }] }]);
    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    let patch = injection(&pod).patch;
    let paths: Vec<String> = patch
        .iter()
        .map(|operation| operation.path().to_string())
        .collect();
    assert!(
        paths
            .iter()
            .all(|path| path != "/spec" && path != "/spec/containers" && path != "/spec/initContainers"),
        "{paths:?}"
    );
    assert!(paths.contains(&"/spec/initContainers/0".to_owned()), "{paths:?}");
    assert!(
        paths.contains(&"/spec/initContainers/1/env/0".to_owned()),
        "{paths:?}"
    );
    assert!(paths.contains(&"/spec/volumes/1".to_owned()), "{paths:?}");
}

#[test]
fn a_sidecar_of_other_settings_is_brought_up_to_date_by_what_differs() {
    let pod = pod();
    let old = Settings {
        image: "registry.example.com/mca-proxy:0".parse().expect("an image"),
        metrics_port: std::num::NonZeroU16::new(9464),
        ..Settings::default()
    };
    let before = apply(&pod, &injection_at(Stage::Manifest, &pod, &old).patch);
    let patch = injection(&before).patch;
    let mut paths: Vec<String> = patch
        .iter()
        .map(|operation| operation.path().to_string())
        .collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/spec/initContainers/0/env",
            "/spec/initContainers/0/image",
            "/spec/initContainers/0/ports"
        ]
    );
    assert_eq!(apply(&before, &patch), injected(&pod));
}
