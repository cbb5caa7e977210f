//! The sidecar's container and volumes.
//!
//! Whatever Kubernetes would fill in is written out where its value has been the same for years, so that a pod which has
//! been through the API server is still equal to what is made here.

use serde_json::{Value, json};

use crate::{annotations::Wishes, contract::*, refused::Refused, settings::Settings};

/// The mode of files in projected volumes, that Kubernetes fills in: 0644.
const FILE_MODE: u32 = 0o644;
/// As long as a token of the API server's own projection lives, in seconds.
const TOKEN_SECONDS: u32 = 3607;

/// The init container.
pub(crate) fn container(wishes: &Wishes) -> Result<Value, Refused> {
    let settings = &wishes.settings;
    let mut container = json!({
        "name": CONTAINER,
        "image": settings.image.as_str(),
        "args": ["run"],
        "restartPolicy": "Always",
        "resources": resources(settings)?,
        "volumeMounts": mounts(wishes),
        // By exec, because the kubelet's other probes can't reach the pod's loopback. What comes after the sidecar waits.
        "startupProbe": {
            "exec": { "command": [PROGRAM, "ready"] },
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "successThreshold": 1,
            "failureThreshold": 60,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": security_context(settings),
    });
    if let Some(policy) = settings.image_pull_policy {
        container["imagePullPolicy"] = policy.as_str().into();
    }
    let mut environment = Vec::new();
    if let Some(log) = &settings.log {
        environment.push(json!({ "name": LOG_VARIABLE, "value": log }));
    }
    if let Some(port) = settings.metrics_port {
        environment.push(json!({ "name": METRICS_PORT_VARIABLE, "value": port.to_string() }));
        container["ports"] = json!([{ "name": METRICS_PORT_NAME, "containerPort": port, "protocol": "TCP" }]);
    }
    let options = settings.options.variables().into_iter();
    environment.extend(options.map(|(name, value)| json!({ "name": name, "value": value })));
    if !environment.is_empty() {
        container["env"] = environment.into();
    }
    Ok(container)
}

/// The pod's volumes that injection adds.
pub(crate) fn volumes(wishes: &Wishes) -> Vec<Value> {
    let memory = json!({ "medium": "Memory", "sizeLimit": "1Mi" });
    let mut volumes = vec![
        json!({
            "name": REAL_VOLUME,
            "projected": {
                "defaultMode": FILE_MODE,
                "sources": [
                    { "serviceAccountToken": { "path": "token", "expirationSeconds": TOKEN_SECONDS } },
                    { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                    { "downwardAPI": { "items": [{
                        "path": "namespace",
                        "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                    }] } },
                ],
            },
        }),
        json!({ "name": PLACEHOLDER_VOLUME, "emptyDir": memory }),
        json!({ "name": STATE_VOLUME, "emptyDir": memory }),
    ];
    if let Some(name) = &wishes.config {
        volumes
            .push(json!({ "name": CONFIG_VOLUME, "configMap": { "name": name, "defaultMode": FILE_MODE } }));
    }
    for (index, name) in wishes.credentials.iter().enumerate() {
        let secret = json!({ "secretName": name, "defaultMode": FILE_MODE });
        volumes.push(json!({ "name": format!("{CREDENTIALS_VOLUME_PREFIX}{index}"), "secret": secret }));
    }
    volumes
}

/// What every other container gets instead of the real credentials.
pub(crate) fn placeholder_mount() -> Value {
    json!({ "name": PLACEHOLDER_VOLUME, "mountPath": SERVICE_ACCOUNT_PATH, "readOnly": true })
}

/// What leads every other container to the sidecar.
pub(crate) fn environment() -> Vec<Value> {
    let variables = ENVIRONMENT.iter();
    variables
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect()
}

fn mounts(wishes: &Wishes) -> Value {
    let mut mounts = vec![
        json!({ "name": REAL_VOLUME, "mountPath": SERVICE_ACCOUNT_PATH, "readOnly": true }),
        json!({ "name": PLACEHOLDER_VOLUME, "mountPath": PLACEHOLDER_PATH }),
        json!({ "name": STATE_VOLUME, "mountPath": STATE_PATH }),
    ];
    if wishes.config.is_some() {
        mounts.push(json!({ "name": CONFIG_VOLUME, "mountPath": CONFIG_PATH, "readOnly": true }));
    }
    for (index, name) in wishes.credentials.iter().enumerate() {
        mounts.push(json!({
            "name": format!("{CREDENTIALS_VOLUME_PREFIX}{index}"),
            "mountPath": format!("{CREDENTIALS_PATH}/{name}"),
            "readOnly": true,
        }));
    }
    mounts.into()
}

/// What the "restricted" Pod Security Standard asks for, and a read-only root.
fn security_context(settings: &Settings) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "privileged": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    if let Some(uid) = settings.uid {
        context["runAsUser"] = u32::from(uid).into();
    }
    if let Some(gid) = settings.gid {
        context["runAsGroup"] = u32::from(gid).into();
    }
    context
}

fn resources(settings: &Settings) -> Result<Value, Refused> {
    let resources = &settings.resources;
    for (resource, limit) in &resources.limits {
        if let Some(request) = resources
            .requests
            .get(resource)
            .filter(|request| *request > limit)
        {
            return Err(Refused::Resources {
                resource: resource.as_str(),
                limit: limit.to_string(),
                request: request.to_string(),
            });
        }
    }
    Ok(resources.to_json())
}
