//! What an agent says that it wants to change.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use crate::{error::ToolError, plan};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Arguments {
    /// From a plan's answer: asks your user, then does it.
    pub(super) plan: Option<String>,
    /// What to plan. restart, undo, pause, resume: a rollout.
    pub(super) operation: Option<Word>,
    /// apply, create: one object, or its YAML.
    #[schemars(schema_with = "object_or_text")]
    #[serde(default)]
    pub(super) manifest: Option<Value>,
    /// Kind of object; not with a manifest.
    pub(super) kind: Option<String>,
    /// Object name; not with a manifest.
    pub(super) name: Option<String>,
    /// Namespace.
    pub(super) namespace: Option<String>,
    /// Cluster name.
    pub(super) cluster: Option<String>,
    /// patch: an object, or an array of JSON Patch operations.
    #[schemars(schema_with = "object_array_or_text")]
    #[serde(default)]
    pub(super) patch: Option<Value>,
    /// Of an object; strategic for built-in kinds if not given.
    pub(super) patch_type: Option<PatchType>,
    /// scale.
    pub(super) replicas: Option<u32>,
    /// delete: what becomes of what it owns.
    pub(super) propagation: Option<Propagation>,
    /// undo: to which; without it, the one before.
    pub(super) revision: Option<i64>,
    /// apply: take fields over from their owners. Only if your user wants that.
    #[serde(default)]
    pub(super) force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    Apply,
    Create,
    Patch,
    Delete,
    Scale,
    Restart,
    Undo,
    Pause,
    Resume,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PatchType {
    Strategic,
    Merge,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

impl From<PatchType> for plan::PatchForm {
    fn from(written: PatchType) -> Self {
        match written {
            PatchType::Strategic => Self::Strategic,
            PatchType::Merge => Self::Merge,
            PatchType::Json => Self::Json,
        }
    }
}

impl From<Option<Propagation>> for plan::Propagation {
    fn from(written: Option<Propagation>) -> Self {
        match written {
            // As kubectl does.
            None | Some(Propagation::Background) => Self::Background,
            Some(Propagation::Foreground) => Self::Foreground,
            Some(Propagation::Orphan) => Self::Orphan,
        }
    }
}

impl Arguments {
    /// The operation, if what is given belongs to it.
    pub(super) fn word(&self) -> Result<Word, ToolError> {
        let Some(word) = self.operation else {
            return Err(ToolError::arguments(
                "give \"operation\" for a plan, or \"plan\" to apply one",
            ));
        };
        let manifests: &[Word] = &[Word::Apply, Word::Create];
        for (name, is_given, words) in [
            ("manifest", self.manifest.is_some(), manifests),
            ("patch", self.patch.is_some(), &[Word::Patch]),
            ("patchType", self.patch_type.is_some(), &[Word::Patch]),
            ("replicas", self.replicas.is_some(), &[Word::Scale]),
            ("propagation", self.propagation.is_some(), &[Word::Delete]),
            ("revision", self.revision.is_some(), &[Word::Undo]),
            ("force", self.force, &[Word::Apply]),
        ] {
            if is_given && !words.contains(&word) {
                return Err(ToolError::Arguments(format!(
                    "\"{name}\" doesn't go with this operation: leave it out"
                )));
            }
        }
        if manifests.contains(&word) && (self.kind.is_some() || self.name.is_some()) {
            return Err(ToolError::arguments(
                "the manifest says kind and name: leave \"kind\" and \"name\" out",
            ));
        }
        Ok(word)
    }

    /// Whether anything is given.
    pub(super) fn is_empty(&self) -> bool {
        self.operation.is_none()
            && self.manifest.is_none()
            && self.kind.is_none()
            && self.name.is_none()
            && self.namespace.is_none()
            && self.cluster.is_none()
            && self.patch.is_none()
            && self.patch_type.is_none()
            && self.replicas.is_none()
            && self.propagation.is_none()
            && self.revision.is_none()
            && !self.force
    }
}

fn object_or_text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["object", "string"]})
}

fn object_array_or_text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["object", "array", "string"]})
}
