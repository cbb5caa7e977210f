//! Ordinary objects stay readable: what people see of them.

use mk8s_mcp_core::answer::{Answer, Content, Keep, Lines, Objects, Rank, Section, Shape, Table};
use mk8s_mcp_core::render::{Nonce, render};
use serde_json::{Value, json};

use crate::planted::settings;

pub(crate) fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web-7d9c8b6f5d-x2x7k", "generateName": "web-7d9c8b6f5d-", "namespace": "shop", "uid": "5f3c", "resourceVersion": "4711",
            "creationTimestamp": "2026-11-20T10:00:00Z",
            "labels": {"app.kubernetes.io/name": "web", "pod-template-hash": "7d9c8b6f5d"},
            "annotations": {"cni.projectcalico.org/podIP": "10.0.0.5/32", "prometheus.io/scrape": "true"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d9c8b6f5d", "uid": "6a", "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": {}}}],
        },
        "spec": {
            "nodeName": "node-a", "serviceAccount": "web", "serviceAccountName": "web", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
            "containers": [{
                "name": "app", "image": "registry.example.com/shop/web:1.4.2", "imagePullPolicy": "IfNotPresent",
                "args": ["--listen=:8080", "--db-password=hunter2x"],
                "env": [
                    {"name": "LOG_LEVEL", "value": "info"},
                    {"name": "GREETING", "value": "hello"},
                    {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                ],
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "volumeMounts": [{"name": "kube-api-access-abcde", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}, {"name": "tls", "mountPath": "/tls"}],
            }],
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            ],
            "volumes": [{"name": "tls", "secret": {"secretName": "web-tls", "defaultMode": 420}}, {"name": "kube-api-access-abcde", "projected": {"sources": []}}],
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.5", "podIPs": [{"ip": "10.0.0.5"}], "hostIP": "192.0.2.1", "qosClass": "Burstable", "startTime": "2026-11-20T10:00:01Z",
            "conditions": [
                {"type": "Initialized", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-11-20T10:00:01Z"},
                {"type": "Ready", "status": "False", "lastProbeTime": null, "lastTransitionTime": "2026-11-22T11:00:00Z", "reason": "ContainersNotReady", "message": "containers with unready status: [app]"},
            ],
            "containerStatuses": [{
                "name": "app", "ready": false, "started": false, "restartCount": 14, "image": "registry.example.com/shop/web:1.4.2",
                "imageID": "registry.example.com/shop/web@sha256:0123", "containerID": "containerd://0123",
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": "2026-11-22T10:58:00Z", "finishedAt": "2026-11-22T11:00:00Z", "containerID": "containerd://0122"}},
            }],
        },
    })
}

pub(crate) fn healthy(name: &str) -> Value {
    let mut pod = pod();
    pod["metadata"]["name"] = json!(name);
    pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    pod["status"]["containerStatuses"] =
        json!([{"name": "app", "ready": true, "restartCount": 0, "state": {"running": {}}}]);
    pod
}

pub(crate) fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2026-10-01T00:00:00Z", "generation": 7, "annotations": {"deployment.kubernetes.io/revision": "7"}},
        "spec": {
            "replicas": 3, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"creationTimestamp": null, "labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "web:1", "resources": {}}]}},
        },
        "status": {
            "observedGeneration": 7, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 2, "availableReplicas": 2, "unavailableReplicas": 1, "terminatingReplicas": 0,
            "conditions": [{"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "Deployment does not have minimum availability.", "lastTransitionTime": "2026-11-22T11:00:00Z"}],
        },
    })
}

pub(crate) fn node(name: &str, ready: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "creationTimestamp": "2026-09-01T00:00:00Z", "labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/arch": "amd64"}},
        "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]},
        "status": {
            "capacity": {"cpu": "8", "memory": "32Gi", "pods": "110"},
            "images": [{"names": ["a"], "sizeBytes": 1}],
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory", "message": "kubelet has sufficient memory available", "lastHeartbeatTime": "2026-11-22T11:59:00Z"},
                {"type": "Ready", "status": ready, "reason": "KubeletReady", "message": "kubelet is posting ready status", "lastHeartbeatTime": "2026-11-22T11:59:00Z"},
            ],
            "nodeInfo": {"kubeletVersion": "v1.37.0", "osImage": "Debian GNU/Linux 13", "machineID": "x", "bootID": "y", "systemUUID": "z"},
        },
    })
}

pub(crate) fn event(kind: &str, reason: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "web.17", "namespace": "shop"}, "type": kind, "reason": reason, "message": message,
        "involvedObject": {"kind": "Pod", "name": "web-7d9c8b6f5d-x2x7k"}, "count": 12, "lastTimestamp": "2026-11-22T11:55:00Z",
    })
}

pub(crate) fn shown(items: Vec<Value>, shape: Shape, fields: &[&str]) -> String {
    let mut objects = Objects::new(items, shape);
    objects.fields = fields.iter().map(|field| field.parse().unwrap()).collect();
    let answer = Answer::new("What was found.")
        .with(Section::new(Rank::Essential, Content::Objects(objects)).under("cluster blue"));
    render(answer, &settings(6000), Nonce(0xabcd)).text
}

#[test]
fn a_pod() {
    insta::assert_snapshot!(shown(vec![pod()], Shape::Slim, &[]));
}

#[test]
fn a_pod_in_full() {
    insta::assert_snapshot!(shown(vec![pod()], Shape::Full, &[]));
}

#[test]
fn a_deployment() {
    insta::assert_snapshot!(shown(vec![deployment()], Shape::Slim, &[]));
}

#[test]
fn a_node() {
    insta::assert_snapshot!(shown(vec![node("node-a", "True")], Shape::Slim, &[]));
}

#[test]
fn several_kinds() {
    let mut away = node("node-b", "Unknown");
    away["spec"]["unschedulable"] = json!(true);
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2026-10-01T00:00:00Z"},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.1.0.1", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}});
    let widget = |name: &str, ready: &str| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "Because"}]}});
    let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop"}, "type": "Opaque", "data": {"password": "aHVudGVyMg==", "user": "eA=="}});
    let items = vec![
        pod(),
        healthy("web-7d9c8b6f5d-aaaaa"),
        node("node-a", "True"),
        away,
        deployment(),
        deployment(),
        service.clone(),
        service,
        event("Warning", "BackOff", "Back-off restarting failed container app"),
        event("Normal", "Pulled", "Container image already present"),
        widget("one", "True"),
        widget("two", "False"),
        secret("db"),
        secret("cache"),
    ];
    insta::assert_snapshot!(shown(items, Shape::Slim, &[]));
}

#[test]
fn names() {
    insta::assert_snapshot!(shown(
        vec![pod(), healthy("web-7d9c8b6f5d-aaaaa"), node("node-a", "True")],
        Shape::Names,
        &[]
    ));
}

#[test]
fn fields_of_one_and_of_several() {
    let one = shown(
        vec![pod()],
        Shape::Slim,
        &[
            ".status.phase",
            ".spec.containers[*].image",
            ".status.conditions[?(@.type=='Ready')].message",
            ".spec.nothing",
        ],
    );
    let several = shown(
        vec![pod(), healthy("web-7d9c8b6f5d-aaaaa")],
        Shape::Slim,
        &["{.status.phase}", "spec.containers[*].env"],
    );
    insta::assert_snapshot!(format!("{one}\n\n{several}"));
}

#[test]
fn logs_tables_and_errors() {
    let text = vec![
        "2026-11-22T11:00:00Z starting".to_owned(),
        "2026-11-22T11:00:01Z \u{1b}[31mERROR\u{1b}[0m dial tcp 10.0.0.9:5432: connect: connection refused"
            .to_owned(),
        "2026-11-22T11:00:02Z \u{1b}[31mERROR\u{1b}[0m dial tcp 10.0.0.9:5432: connect: connection refused"
            .to_owned(),
        "2026-11-22T11:00:03Z connecting to postgres://shop:hunter2x@db/shop".to_owned(),
    ];
    let lines = Lines {
        from: "logs of pod web, container app".to_owned(),
        text,
        keep: Keep::Tail,
    };
    let table = Table {
        columns: vec!["cluster".into(), "version".into()],
        rows: vec![
            vec!["blue".into(), "v1.37.0".into()],
            vec!["green".into(), String::new()],
        ],
    };
    let answer = Answer::new("Pod web crashes.")
        .with(Section::new(Rank::Useful, Content::Lines(lines)))
        .with(Section::new(Rank::Detail, Content::Table(table)).under("clusters"))
        .with(Section::new(
            Rank::Detail,
            Content::Note("Nothing else was asked.".to_owned()),
        ))
        .with_more("For earlier lines: previous=true.");
    let found = render(answer, &settings(6000), Nonce(0xabcd));
    let error = Answer::error(
        "The cluster refused: get pods in namespace shop.",
        Some("pods is forbidden: User \"jane\" cannot list resource \"pods\"".to_owned()),
    );
    let failed = render(error, &settings(6000), Nonce(0xabcd));
    assert!(failed.is_error && !found.is_error && found.redactions == 1);
    insta::assert_snapshot!(format!("{}\n\n{}", found.text, failed.text));
}
