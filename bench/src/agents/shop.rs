//! A cluster as people have them: 500 pods of deployments in ten namespaces, most of them well.
//!
//! Deployments are applied as Helm does, ReplicaSets and pods are made by the controllers, and pods get their nodes from the scheduler.
//! Five of the nodes are no machines: what kubelets would write about their pods is written here, by the same API and as the same field
//! manager. Two deployments run on the cluster's real node, one of which crashes: their logs and events are real.

use std::{
    collections::HashSet,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::tasks::Names;
use crate::{
    client::{Connection, Target},
    cluster::Cluster,
};

const NAMESPACES: &[&str] = &[
    "shop",
    "billing",
    "search",
    "identity",
    "mail",
    "media",
    "orders",
    "reporting",
    "shipping",
    "web",
];
const NODES: usize = 5;
/// What the real node has.
const IMAGE: &str = "localhost/mk8s/busybox:dev";
const PATIENCE: Duration = Duration::from_secs(300);
/// A node whose lease isn't renewed for 40 s isn't ready.
const RENEWAL: Duration = Duration::from_secs(5);

/// How a deployment's pods are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    /// The first of them crash.
    Crashing(usize),
    /// Their image isn't there.
    NoImage,
    /// They fit on no node.
    TooLarge,
    /// On the real node: they write a log.
    Talking,
    /// On the real node: they write a log, and crash.
    Failing,
}

struct Workload {
    namespace: &'static str,
    name: &'static str,
    replicas: usize,
    fate: Fate,
}

/// 500 pods.
fn workloads() -> Vec<Workload> {
    let workload = |namespace, name, replicas, fate| Workload {
        namespace,
        name,
        replicas,
        fate,
    };
    let mut all = vec![
        workload("shop", "cart", 2, Fate::Talking),
        workload("shop", "checkout", 2, Fate::Failing),
        workload("shop", "web", 16, Fate::Well),
        workload("shop", "catalog", 15, Fate::Well),
        workload("shop", "prices", 15, Fate::Well),
        workload("billing", "payments", 16, Fate::Crashing(3)),
        workload("billing", "invoices", 16, Fate::Well),
        workload("billing", "reports", 2, Fate::TooLarge),
        workload("billing", "api", 16, Fate::Well),
        workload("search", "indexer", 4, Fate::NoImage),
        workload("search", "query", 26, Fate::Well),
        workload("search", "suggest", 20, Fate::Well),
    ];
    for namespace in &NAMESPACES[3..] {
        for (name, replicas) in [("api", 20), ("worker", 20), ("cache", 10)] {
            all.push(workload(namespace, name, replicas, Fate::Well));
        }
    }
    all
}

/// Makes it, and waits until everything is as it should be, or isn't.
pub(super) async fn make(cluster: &Cluster, target: &Target, dir: &Path) -> anyhow::Result<(Names, usize)> {
    let mut connection = target.connect().await?;
    let real = connection.read("/api/v1/nodes").await?;
    let real = real["items"][0]["metadata"]["name"]
        .as_str()
        .context("no node")?
        .to_owned();
    for number in 0..NODES {
        connection.post("/api/v1/nodes", &node(number)).await?;
        connection
            .post(
                "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
                &lease(number),
            )
            .await?;
    }
    let mut leases = connection.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(RENEWAL).await;
            for number in 0..NODES {
                let path = format!(
                    "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{}",
                    node_name(number)
                );
                let renewed = json!({"spec": {"renewTime": now()}});
                // At the end the API server goes before we do.
                let _ = leases.merge(&path, &renewed).await;
            }
        }
    });
    let objects = dir.join("shop.json");
    std::fs::write(&objects, self::objects(&real).to_string())?;
    cluster.kubectl(
        &[
            "apply",
            "--server-side",
            "--field-manager",
            "helm",
            "--filename",
            "-",
        ],
        Some(&objects),
    )?;
    let pods = live(&mut connection).await?;
    let name = |app: &str| {
        let of = |pod: &&Value| {
            pod["metadata"]["namespace"] == "shop"
                && pod["metadata"]["labels"]["app.kubernetes.io/name"] == app
        };
        let pod = pods.iter().find(of).with_context(|| format!("no pod of {app}"))?;
        anyhow::Ok(pod["metadata"]["name"].as_str().unwrap_or_default().to_owned())
    };
    let names = Names {
        cart: name("cart")?,
        checkout: name("checkout")?,
    };
    Ok((names, pods.len()))
}

/// Is the kubelet of the nodes that are none, until all pods are there; returns them.
async fn live(connection: &mut Connection) -> anyhow::Result<Vec<Value>> {
    let workloads = workloads();
    let all: usize = workloads.iter().map(|workload| workload.replicas).sum();
    let (mut written, mut crashed) = (HashSet::new(), 0);
    let started = Instant::now();
    loop {
        let mut list = connection.read("/api/v1/pods").await?;
        let pods: Vec<Value> = list["items"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default();
        let pods: Vec<Value> = pods
            .into_iter()
            .filter(|pod| {
                NAMESPACES
                    .iter()
                    .any(|namespace| pod["metadata"]["namespace"] == *namespace)
            })
            .collect();
        let (mut settled, mut pending) = (0, 0);
        for pod in &pods {
            let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
            let app = text(pod, "/metadata/labels/app.kubernetes.io~1name");
            let workload = workloads
                .iter()
                .find(|workload| workload.namespace == namespace && workload.name == app);
            let workload = workload.with_context(|| format!("whose is pod {name}?"))?;
            match workload.fate {
                Fate::Talking => settled += usize::from(text(pod, "/status/phase") == "Running"),
                Fate::Failing => {
                    // It waits 40 s then, and its last log stays so long.
                    let container = pod.pointer("/status/containerStatuses/0").unwrap_or(&Value::Null);
                    let is_waiting = text(container, "/state/waiting/reason") == "CrashLoopBackOff";
                    settled += usize::from(is_waiting && container["restartCount"] == 3);
                }
                Fate::TooLarge => {
                    let why = text(pod, "/status/conditions/0/reason");
                    settled += usize::from(why == "Unschedulable");
                }
                _ if text(pod, "/spec/nodeName").is_empty() => pending += 1,
                _ if written.contains(name) => settled += 1,
                fate => {
                    let is_crashing = matches!(fate, Fate::Crashing(most) if crashed < most);
                    crashed += usize::from(is_crashing);
                    let status = status(pod, fate, is_crashing, written.len());
                    connection
                        .merge(
                            &format!(
                                "/api/v1/namespaces/{namespace}/pods/{name}/status?fieldManager=kubelet"
                            ),
                            &status,
                        )
                        .await?;
                    if is_crashing || fate == Fate::NoImage {
                        for event in events(pod, fate) {
                            connection
                                .post(
                                    &format!("/api/v1/namespaces/{namespace}/events?fieldManager=kubelet"),
                                    &event,
                                )
                                .await?;
                        }
                    }
                    written.insert(name.to_owned());
                }
            }
        }
        if settled == all {
            // Controllers count what is ready.
            tokio::time::sleep(Duration::from_secs(5)).await;
            return Ok(pods);
        }
        ensure!(
            started.elapsed() < PATIENCE,
            "after {} s {settled} of {all} pods are as they should be, {pending} wait for a node",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
        .to_string()
}

fn second() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn node_name(number: usize) -> String {
    format!(
        "ip-10-0-{}-{}.eu-west-1.compute.internal",
        number % 3,
        17 + number * 31
    )
}

fn node(number: usize) -> Value {
    let name = node_name(number);
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": second(), "lastTransitionTime": second()})
    };
    let image = |number: usize| {
        let name = format!("registry.example.com/team/app-{number}");
        json!({"names": [format!("{name}@sha256:{number:064x}"), format!("{name}:v1.{number}.0")], "sizeBytes": 41_000_000 + number * 100_003})
    };
    let has = json!({"cpu": "64", "memory": "263849000Ki", "pods": "250", "ephemeral-storage": "203056560Ki",
        "hugepages-1Gi": "0", "hugepages-2Mi": "0"});
    let zone = ["a", "b", "c"][number % 3];
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                "node-pool": "general", "node.kubernetes.io/instance-type": "m7i.16xlarge",
                "topology.kubernetes.io/region": "eu-west-1", "topology.kubernetes.io/zone": format!("eu-west-1{zone}")},
            "annotations": {"node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"podCIDR": format!("10.4{number}.0.0/24"), "podCIDRs": [format!("10.4{number}.0.0/24")],
            "providerID": format!("aws:///eu-west-1{zone}/i-{number:017x}")},
        "status": {
            "capacity": has, "allocatable": has,
            "addresses": [{"type": "InternalIP", "address": format!("192.0.2.{}", 10 + number)}, {"type": "Hostname", "address": name}],
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "images": (0..20).map(image).collect::<Vec<_>>(),
            "nodeInfo": {"machineID": format!("{number:032x}"), "systemUUID": format!("ec2{number:029x}"),
                "bootID": format!("{number:08x}-0000-4000-8000-000000000000"), "kernelVersion": "6.12.63", "osImage": "Debian GNU/Linux 13 (trixie)",
                "containerRuntimeVersion": "containerd://2.1.5", "kubeletVersion": "v1.36.3", "kubeProxyVersion": "",
                "operatingSystem": "linux", "architecture": "amd64"},
        },
    })
}

fn lease(number: usize) -> Value {
    let name = node_name(number);
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now()}})
}

/// All that is applied.
fn objects(real: &str) -> Value {
    let mut items = Vec::new();
    for namespace in NAMESPACES {
        items.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"team": namespace}}}));
        items.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app-config", "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "Helm"}}, "data": {"application.yaml": config(namespace), "LOG_LEVEL": "info"}}));
    }
    for workload in workloads() {
        items.push(deployment(&workload, real));
        items.push(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": workload.name, "namespace": workload.namespace, "labels": labels(&workload)},
            "spec": {"selector": {"app.kubernetes.io/name": workload.name}, "ports": [
                {"name": "http", "port": 8080, "targetPort": "http"}, {"name": "metrics", "port": 9090, "targetPort": "metrics"}]}}));
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn config(namespace: &str) -> String {
    let mut text = format!("server:\n  port: 8080\n  timeout: 30s\n  name: {namespace}\nclients:\n");
    for client in ["inventory", "pricing", "customers", "notifications", "audit"] {
        text.push_str(&format!(
            "  {client}:\n    url: http://{client}.{namespace}.svc:8080\n    timeout: 5s\n    retries: 3\n    circuitBreaker: {{window: 60s, failures: 20}}\n"
        ));
    }
    text
}

fn labels(workload: &Workload) -> Value {
    json!({"app.kubernetes.io/name": workload.name, "app.kubernetes.io/instance": format!("{}-{}", workload.namespace, workload.name),
        "app.kubernetes.io/version": "1.27.3", "app.kubernetes.io/part-of": workload.namespace,
        "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": format!("{}-4.2.1", workload.name)})
}

fn deployment(workload: &Workload, real: &str) -> Value {
    let Workload {
        namespace,
        name,
        replicas,
        fate,
    } = workload;
    let is_real = matches!(fate, Fate::Talking | Fate::Failing);
    let (memory, limit) = match fate {
        Fate::TooLarge => ("900Gi", "900Gi"),
        _ if is_real => ("16Mi", "64Mi"),
        _ => ("256Mi", "512Mi"),
    };
    let mut container = json!({
        "name": name, "image": format!("registry.example.com/{namespace}/{name}:1.27.3"),
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "LOG_LEVEL", "valueFrom": {"configMapKeyRef": {"name": "app-config", "key": "LOG_LEVEL"}}},
            {"name": "GOMEMLIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
            {"name": "HTTP_PORT", "value": "8080"},
        ],
        "resources": {"requests": {"cpu": "10m", "memory": memory}, "limits": {"memory": limit}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app", "readOnly": true}, {"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
    });
    let mut pod = json!({
        "serviceAccountName": "default", "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "config", "configMap": {"name": "app-config"}}, {"name": "tmp", "emptyDir": {}}],
        "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}],
    });
    if is_real {
        container["image"] = IMAGE.into();
        container["imagePullPolicy"] = "Never".into();
        container["command"] = json!(["sh", "-c", script(*fate)]);
        pod["nodeSelector"] = json!({"kubernetes.io/hostname": real});
    } else {
        let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 2});
        container["livenessProbe"] = probe("/healthz");
        container["readinessProbe"] = probe("/readyz");
        pod["nodeSelector"] = json!({"node-pool": "general"});
    }
    pod["containers"] = json!([container]);
    let mut labels = labels(workload);
    let template_labels = labels.clone();
    labels["team"] = (*namespace).into();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels,
            "annotations": {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace}},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {
                "metadata": {"labels": template_labels, "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090",
                    "checksum/config": format!("{:064x}", name.len() * 7_919)}},
                "spec": pod,
            },
        },
    })
}

/// What a shop's programs say: mostly that all is well.
fn script(fate: Fate) -> String {
    let lines = |count: usize| {
        format!(
            "i=0; while [ $i -lt {count} ]; do echo \"2026-11-22T10:00:00Z INFO  request id=$i method=GET path=/cart/$i status=200 duration=12ms\"; \
             if [ $((i % 97)) -eq 50 ]; then echo \"2026-11-22T10:00:00Z ERROR request id=$i inventory timed out after 5s, attempt 3 of 3\"; fi; \
             i=$((i+1)); done; "
        )
    };
    match fate {
        Fate::Failing => format!(
            "{}echo 'FATAL cannot open database: connection refused (db.shop.svc:5432)'; exit 3",
            lines(60)
        ),
        _ => format!("{}exec sleep 86400", lines(2_000)),
    }
}

/// What a kubelet says of a pod.
fn status(pod: &Value, fate: Fate, is_crashing: bool, number: usize) -> Value {
    let container = &pod["spec"]["containers"][0];
    let (name, image) = (&container["name"], text(container, "/image"));
    let is_ready = !is_crashing && fate != Fate::NoImage;
    let state = if is_crashing {
        json!({"waiting": {"reason": "CrashLoopBackOff", "message": format!("back-off 5m0s restarting failed container={} pod={}", text(container, "/name"), text(pod, "/metadata/name"))}})
    } else if fate == Fate::NoImage {
        json!({"waiting": {"reason": "ImagePullBackOff", "message": format!("Back-off pulling image \"{image}\": ErrImagePull: not found")}})
    } else {
        json!({"running": {"startedAt": second()}})
    };
    let mut container_status = json!({"name": name, "image": image, "ready": is_ready, "started": is_ready, "restartCount": 0, "state": state,
        "imageID": format!("{image}@sha256:{number:064x}"), "containerID": format!("containerd://{number:064x}"), "lastState": {}});
    if is_crashing {
        container_status["restartCount"] = 27.into();
        container_status["lastState"] = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": second(),
            "finishedAt": second(), "containerID": format!("containerd://{number:064x}")}});
    }
    if fate == Fate::NoImage {
        container_status["imageID"] = "".into();
    }
    let condition = |kind: &str, holds: bool| {
        let mut condition = json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastProbeTime": null, "lastTransitionTime": second()});
        if !holds {
            condition["reason"] = "ContainersNotReady".into();
            condition["message"] =
                format!("containers with unready status: [{}]", text(container, "/name")).into();
        }
        condition
    };
    let address = format!("10.4{}.{}.{}", number % NODES, number / 250, number % 250 + 2);
    json!({"status": {
        "phase": if fate == Fate::NoImage { "Pending" } else { "Running" }, "qosClass": "Burstable", "startTime": second(),
        "hostIP": "192.0.2.10", "hostIPs": [{"ip": "192.0.2.10"}], "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [condition("PodReadyToStartContainers", true), condition("Initialized", true), condition("Ready", is_ready),
            condition("ContainersReady", is_ready), condition("PodScheduled", true)],
        "containerStatuses": [container_status],
    }})
}

/// What it writes of one that isn't well.
fn events(pod: &Value, fate: Fate) -> Vec<Value> {
    let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let container = &pod["spec"]["containers"][0];
    let event = |reason: &str, message: String, count: u32| {
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": format!("{name}.{:x}", message.len() * 65_537 + count as usize), "namespace": namespace},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name,
                "uid": pod["metadata"]["uid"], "resourceVersion": pod["metadata"]["resourceVersion"],
                "fieldPath": format!("spec.containers{{{}}}", text(container, "/name"))},
            "type": "Warning", "reason": reason, "message": message, "count": count, "firstTimestamp": second(), "lastTimestamp": second(),
            "source": {"component": "kubelet", "host": pod["spec"]["nodeName"]}, "reportingComponent": "kubelet",
            "reportingInstance": pod["spec"]["nodeName"],
        })
    };
    let (container_name, image) = (text(container, "/name"), text(container, "/image"));
    if fate == Fate::NoImage {
        return vec![
            event(
                "Failed",
                format!(
                    "Failed to pull image \"{image}\": rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": not found"
                ),
                9,
            ),
            event("Failed", "Error: ErrImagePull".to_owned(), 9),
            event("BackOff", format!("Back-off pulling image \"{image}\""), 31),
        ];
    }
    vec![
        event("BackOff", format!("Back-off restarting failed container {container_name} in pod {name}_{namespace}({})", text(pod, "/metadata/uid")), 212),
        event("Unhealthy", "Readiness probe failed: Get \"http://10.40.0.7:8080/readyz\": dial tcp 10.40.0.7:8080: connect: connection refused".to_owned(), 34),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_five_hundred_pods() {
        assert_eq!(
            workloads()
                .iter()
                .map(|workload| workload.replicas)
                .sum::<usize>(),
            500
        );
    }
}
