//! What a pod's annotations change.

use serde_json::{Value, json};

use crate::support::{assert_sealed, container, injected, injection, refusal, sidecar};

fn pod(annotations: Value) -> Value {
    let token = json!({ "name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" });
    json!({
        "metadata": { "annotations": annotations },
        "spec": {
            "initContainers": [{ "name": "init" }],
            "containers": [{ "name": "app" }, { "name": "other", "volumeMounts": [token, { "name": "data", "mountPath": "/data" }] }],
            "volumes": [{ "name": "kube-api-access-x7k2p", "projected": { "sources": [{ "serviceAccountToken": { "path": "token" } }] } }],
        },
    })
}

#[test]
fn the_order_can_be_last() {
    let names = |pod: &Value| -> Vec<Value> {
        pod["spec"]["initContainers"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|container| container["name"].clone())
            .collect()
    };
    assert_eq!(
        names(&injected(&pod(json!({ "mca.k8s.io/order": "last" })))),
        ["init", "mca-proxy"]
    );
    assert_eq!(
        names(&injected(&pod(json!({ "mca.k8s.io/order": "first" })))),
        ["mca-proxy", "init"]
    );
}

#[test]
fn excluded_containers_lose_the_token_and_nothing_else() {
    let pod = pod(json!({ "mca.k8s.io/exclude-containers": "other , init" }));
    let injected = injected(&pod);
    assert_sealed(&injected, &["other", "init"]);
    assert_eq!(container(&injected, "init"), &json!({ "name": "init" }));
    assert_eq!(
        container(&injected, "other"),
        &json!({ "name": "other", "volumeMounts": [{ "name": "data", "mountPath": "/data" }] })
    );
    assert!(container(&injected, "app")["env"].is_array());
}

#[test]
fn ids_can_be_set_and_unset() {
    let context = |annotations| sidecar(&injected(&pod(annotations)))["securityContext"].clone();
    let set = context(json!({ "mca.k8s.io/run-as-user": "1234", "mca.k8s.io/run-as-group": "0" }));
    assert_eq!((&set["runAsUser"], &set["runAsGroup"]), (&json!(1234), &json!(0)));
    let unset = context(json!({ "mca.k8s.io/run-as-user": "unset", "mca.k8s.io/run-as-group": "unset" }));
    assert_eq!((unset.get("runAsUser"), unset.get("runAsGroup")), (None, None));
    assert_eq!(unset["runAsNonRoot"], true);
}

#[test]
fn resources_log_and_metrics_can_be_set() {
    let injected = injected(&pod(json!({
        "mca.k8s.io/cpu-request": "50m", "mca.k8s.io/cpu-limit": "1", "mca.k8s.io/memory-request": "32Mi",
        "mca.k8s.io/memory-limit": "64Mi", "mca.k8s.io/log": "debug", "mca.k8s.io/metrics-port": "9464",
    })));
    let sidecar = sidecar(&injected);
    let expected =
        json!({ "requests": { "cpu": "50m", "memory": "32Mi" }, "limits": { "cpu": "1", "memory": "64Mi" } });
    assert_eq!(sidecar["resources"], expected);
    assert_eq!(
        sidecar["env"],
        json!([{ "name": "MCA_LOG", "value": "debug" }, { "name": "MCA_METRICS_PORT", "value": "9464" }])
    );
    assert_eq!(
        sidecar["ports"],
        json!([{ "name": "mca-metrics", "containerPort": 9464, "protocol": "TCP" }])
    );
}

#[test]
fn options_become_variables_of_the_sidecar() {
    let injected = injected(&pod(json!({
        "mca.k8s.io/qps": "50", "mca.k8s.io/burst": "80", "mca.k8s.io/cache-seconds": "2",
        "mca.k8s.io/otlp-endpoint": "http://collector:4317", "mca.k8s.io/custom-resources": "true",
    })));
    let variables = sidecar(&injected)["env"].as_array().expect("variables");
    let variables: Vec<_> = variables
        .iter()
        .map(|variable| (&variable["name"], &variable["value"]))
        .collect();
    let expected = json!([
        ["MCA_QPS", "50"],
        ["MCA_BURST", "80"],
        ["MCA_CACHE_SECONDS", "2"],
        ["OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"],
        ["MCA_CUSTOM_RESOURCES", "true"]
    ]);
    assert_eq!(json!(variables), expected);
    assert_sealed(&injected, &[]);
}

#[test]
fn configuration_and_credentials_are_mounted_in_the_sidecar_alone() {
    let injected = injected(&pod(
        json!({ "mca.k8s.io/config": "routes", "mca.k8s.io/credentials": "one, two" }),
    ));
    assert_sealed(&injected, &[]);
    let mounts = sidecar(&injected)["volumeMounts"]
        .as_array()
        .expect("mounts")
        .clone();
    assert_eq!(
        mounts[3..],
        [
            json!({ "name": "mca-proxy-config", "mountPath": "/etc/mca-proxy/config", "readOnly": true }),
            json!({ "name": "mca-proxy-credentials-0", "mountPath": "/etc/mca-proxy/credentials/one", "readOnly": true }),
            json!({ "name": "mca-proxy-credentials-1", "mountPath": "/etc/mca-proxy/credentials/two", "readOnly": true }),
        ]
    );
    let volumes = injected["spec"]["volumes"].as_array().expect("volumes");
    assert!(volumes.contains(
        &json!({ "name": "mca-proxy-config", "configMap": { "name": "routes", "defaultMode": 420 } })
    ));
    assert!(volumes.contains(
        &json!({ "name": "mca-proxy-credentials-1", "secret": { "secretName": "two", "defaultMode": 420 } })
    ));
}

#[test]
fn annotations_that_cannot_be_read_are_refused_with_name_and_value() {
    for (name, value) in [
        ("order", json!("middle")),
        ("run-as-user", json!("0")),
        ("run-as-user", json!("4294967295")),
        ("run-as-group", json!("wheel")),
        ("cpu-request", json!("much")),
        ("memory-limit", json!("-1")),
        ("metrics-port", json!("6443")),
        ("metrics-port", json!("0")),
        ("qps", json!("0")),
        ("burst", json!("many")),
        ("cache-seconds", json!("0.5")),
        ("cache-seconds", json!("3601")),
        ("otlp-endpoint", json!("https://collector")),
        ("otlp-endpoint", json!("http://$(SECRET)")),
        ("custom-resources", json!("yes")),
        ("config", json!("../etc")),
        ("credentials", json!("a,a")),
        ("credentials", json!("A")),
        ("allow-automount", json!("yes")),
        ("log", json!("$(SECRET)")),
        ("log", json!("")),
        ("injected", json!(true)),
        ("order", json!(["first"])),
    ] {
        let name = format!("mca.k8s.io/{name}");
        let refusal = refusal(&pod(json!({ name.clone(): value })));
        assert!(refusal.starts_with(&format!("annotation {name}: ")), "{refusal}");
    }
}

#[test]
fn names_that_nothing_has_are_warned_of() {
    let warnings = injection(&pod(
        json!({ "mca.k8s.io/ordre": "last", "mca.k8s.io/exclude-containers": "ap" }),
    ))
    .warnings;
    assert!(
        warnings[0].contains("mca.k8s.io/ordre") && warnings[1].contains("\"ap\""),
        "{warnings:?}"
    );
}
