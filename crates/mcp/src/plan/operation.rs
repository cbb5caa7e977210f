//! What can be done with an object, and the request that does it.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{AsSeen, Target, Wire};
use crate::cluster::query;

/// Who manages the fields that we set.
const MANAGER: &str = "mk8s-mcp";

/// What can be done with an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Operation {
    Create {
        manifest: Value,
    },
    /// Server-side apply (KEP-555).
    Apply {
        manifest: Value,
        force: bool,
    },
    Patch {
        form: PatchForm,
        patch: Value,
    },
    Delete {
        propagation: Propagation,
    },
    Scale {
        replicas: u32,
    },
    /// A patch that we wrote.
    Rollout {
        step: Step,
        form: PatchForm,
        patch: Value,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PatchForm {
    Strategic,
    /// RFC 7396.
    Merge,
    /// RFC 6902.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Restart,
    Undo,
    Pause,
    Resume,
}

impl Operation {
    /// One word, for records and titles.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Apply { force: false, .. } => "apply",
            Self::Apply { force: true, .. } => "apply with force",
            Self::Patch { .. } => "patch",
            Self::Delete { .. } => "delete",
            Self::Scale { .. } => "scale",
            Self::Rollout { step, .. } => match step {
                Step::Restart => "restart",
                Step::Undo => "undo the rollout of",
                Step::Pause => "pause the rollout of",
                Step::Resume => "resume the rollout of",
            },
        }
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        // A map's keys are sorted.
        let value = serde_json::to_value(self).unwrap_or_default();
        Sha256::digest(value.to_string()).into()
    }

    /// The request. It takes effect only on the object as it was seen; what wasn't there mustn't be there.
    pub(crate) fn wire(&self, target: &Target, seen: Option<AsSeen<'_>>, rehearse: bool) -> Wire {
        let object = format!("{}/{}", target.collection, target.name);
        let rehearsed = rehearse.then(|| "All".to_owned());
        let managed = |force: bool| {
            query([
                ("dryRun", rehearsed.clone()),
                ("fieldManager", Some(MANAGER.to_owned())),
                // What the API server would leave out, it says.
                ("fieldValidation", Some("Strict".to_owned())),
                ("force", force.then(|| "true".to_owned())),
            ])
        };
        let patch = |path: String, content_type, body: Value| Wire {
            method: Method::PATCH,
            path,
            content_type: Some(content_type),
            body: Some(body.to_string()),
            of: None,
        };
        match self {
            Self::Create { manifest } => Wire {
                method: Method::POST,
                path: format!("{}{}", target.collection, managed(false)),
                content_type: Some("application/json"),
                body: Some(manifest.to_string()),
                of: None,
            },
            Self::Apply { manifest, force } => patch(
                format!("{object}{}", managed(*force)),
                "application/apply-patch+yaml",
                as_seen(manifest.clone(), seen),
            ),
            Self::Patch { form, patch: body }
            | Self::Rollout {
                form, patch: body, ..
            } => {
                let path = format!("{object}{}", managed(false));
                match form {
                    PatchForm::Json => patch(path, "application/json-patch+json", tested(body, seen)),
                    PatchForm::Merge => {
                        patch(path, "application/merge-patch+json", as_seen(body.clone(), seen))
                    }
                    PatchForm::Strategic => patch(
                        path,
                        "application/strategic-merge-patch+json",
                        as_seen(body.clone(), seen),
                    ),
                }
            }
            Self::Scale { replicas } => patch(
                format!("{object}/scale{}", managed(false)),
                "application/merge-patch+json",
                as_seen(json!({"spec": {"replicas": replicas}}), seen),
            ),
            Self::Delete { propagation } => {
                let policy = match propagation {
                    Propagation::Background => "Background",
                    Propagation::Foreground => "Foreground",
                    Propagation::Orphan => "Orphan",
                };
                let mut options =
                    json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
                if let Some(seen) = seen {
                    options["preconditions"] = json!({"uid": seen.uid, "resourceVersion": seen.version});
                }
                // With a body, the query's parameters aren't read: `dryRun` there alone would delete.
                if rehearse {
                    options["dryRun"] = json!(["All"]);
                }
                Wire {
                    method: Method::DELETE,
                    path: format!("{object}{}", query([("dryRun", rehearsed)])),
                    content_type: Some("application/json"),
                    body: Some(options.to_string()),
                    of: None,
                }
            }
        }
    }
}

/// The same, for an object in this state alone: an API server compares it with the one it has.
fn as_seen(mut body: Value, seen: Option<AsSeen<'_>>) -> Value {
    if let (Some(seen), Some(object)) = (seen, body.as_object_mut()) {
        let metadata = object.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("uid".to_owned(), seen.uid.into());
            metadata.insert("resourceVersion".to_owned(), seen.version.into());
        }
    }
    body
}

/// The same for a JSON Patch, which has tests of its own.
fn tested(operations: &Value, seen: Option<AsSeen<'_>>) -> Value {
    let mut all = Vec::new();
    if let Some(seen) = seen {
        all.push(json!({"op": "test", "path": "/metadata/uid", "value": seen.uid}));
        all.push(json!({"op": "test", "path": "/metadata/resourceVersion", "value": seen.version}));
    }
    all.extend(operations.as_array().into_iter().flatten().cloned());
    Value::Array(all)
}
