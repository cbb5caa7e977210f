//! Our own containers.

use mk8s_secrets::contract::Request;
use serde_json::{Value, json};

use super::{SecretsSettings, contract::*, own_mounts};
use crate::pod::{Object, objects, text};

/// What cloud providers' own webhooks give a pod's containers so that they can prove who they are. Those ran before us, or will
/// run again, and don't know our containers.
const CLOUD_VARIABLES: [&str; 11] = [
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
];
const CLOUD_VOLUMES: [&str; 3] = ["aws-iam-token", "eks-pod-identity-token", "azure-identity-token"];

/// The one that writes before the pod's own start.
pub(super) fn init(request: &Request, directories: &[(String, String)], settings: &SecretsSettings) -> Value {
    let mut container = container(INIT_CONTAINER, request, directories, settings);
    container["args"] = json!(["init"]);
    container
}

/// The one that keeps them up to date.
pub(super) fn sidecar(
    request: &Request,
    directories: &[(String, String)],
    settings: &SecretsSettings,
) -> Value {
    let mut container = container(SIDECAR_CONTAINER, request, directories, settings);
    container["args"] = json!(["run"]);
    container["restartPolicy"] = "Always".into();
    if let Some(port) = settings.metrics_port {
        container["ports"] = json!([{"name": "keeper-metrics", "containerPort": port, "protocol": "TCP"}]);
        push_variable(&mut container, METRICS_PORT_VARIABLE, &port.to_string());
    }
    container
}

fn container(
    name: &str,
    request: &Request,
    directories: &[(String, String)],
    settings: &SecretsSettings,
) -> Value {
    let mut environment: Vec<Value> = POD_VARIABLES
        .iter()
        .map(|(name, path)| json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}))
        .collect();
    environment.push(json!({"name": REQUEST_VARIABLE, "value": request.to_json()}));
    environment.push(json!({"name": HOSTS_VARIABLE, "value": settings.hosts.join(",")}));
    environment.push(json!({"name": READERS_VARIABLE, "value": u32::from(settings.readers).to_string()}));
    let mut container = json!({
        "name": name,
        "image": settings.image.as_str(),
        "env": environment,
        "resources": settings.resources.to_json(),
        "volumeMounts": own_mounts(request, directories),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": security_context(settings),
    });
    if let Some(policy) = settings.image_pull_policy {
        container["imagePullPolicy"] = policy.as_str().into();
    }
    if let Some(log) = &settings.log {
        push_variable(&mut container, LOG_VARIABLE, log);
    }
    container
}

fn push_variable(container: &mut Value, name: &str, value: &str) {
    if let Some(environment) = container["env"].as_array_mut() {
        environment.push(json!({"name": name, "value": value}));
    }
}

/// What the "restricted" Pod Security Standard asks for, and a read-only root.
fn security_context(settings: &SecretsSettings) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "privileged": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if let Some(uid) = settings.uid {
        context["runAsUser"] = u32::from(uid).into();
    }
    context
}

/// Gives our containers the identity towards a cloud that the pod's first container has.
pub(super) fn lend_cloud_identity(spec: &Object, ours: &mut [Value]) {
    let Some(first) = objects(spec, "containers").next() else {
        return;
    };
    let lent = |list: &str, names: &[&str]| -> Vec<Value> {
        objects(first, list)
            .filter(|entry| names.contains(&text(entry, "name")))
            .map(|entry| Value::Object(entry.clone()))
            .collect()
    };
    let (variables, mounts) = (
        lent("env", &CLOUD_VARIABLES),
        lent("volumeMounts", &CLOUD_VOLUMES),
    );
    for container in ours {
        for (list, entries) in [("env", &variables), ("volumeMounts", &mounts)] {
            if let Some(there) = container[list].as_array_mut() {
                there.extend(entries.iter().cloned());
            }
        }
    }
}
