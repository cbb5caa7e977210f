//! What injection replaced, noted on the pod so that it can be taken out again exactly.
//!
//! The note is whoever's wrote the pod, so it is read as hostile input: it can bring back what injection takes away, and
//! nothing else. What brings itself back by leaving no trace (an absent list is absent again) isn't noted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    contract::*,
    lists::{Before, Taken},
    paths::Place,
    pod::text,
    refused::Refused,
    tokens,
};

/// The version of the note's form.
const VERSION: u32 = 1;

/// The note.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Record {
    v: u32,
    /// `metadata`, if it wasn't an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Before>,
    /// `metadata.annotations`, if they were null or `{}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<Before>,
    /// What the note's annotation said before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) marker: Option<String>,
    /// `spec.automountServiceAccountToken`, if it was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) automount: Option<Automount>,
    /// `spec.initContainers`, if they were null or `[]`.
    #[serde(skip_serializing_if = "Taken::is_empty")]
    pub(crate) init_containers: Taken,
    /// Volumes that nobody used any more.
    #[serde(skip_serializing_if = "Taken::is_empty")]
    pub(crate) volumes: Taken,
    /// By container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) containers: BTreeMap<String, ContainerRecord>,
}

/// What was replaced in a container.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ContainerRecord {
    /// Environment variables of injection's names.
    #[serde(skip_serializing_if = "Taken::is_empty")]
    pub(crate) env: Taken,
    /// Mounts at the service account's directory.
    #[serde(skip_serializing_if = "Taken::is_empty")]
    pub(crate) volume_mounts: Taken,
}

impl ContainerRecord {
    pub(crate) fn is_empty(&self) -> bool {
        self.env.is_empty() && self.volume_mounts.is_empty()
    }
}

/// What a pod said about its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Automount {
    True,
    False,
    Null,
}

impl Record {
    /// A note of nothing.
    pub(crate) fn new() -> Self {
        Self {
            v: VERSION,
            ..Self::default()
        }
    }

    /// Takes over from an older note how things were before anything was in them. It matters once they are empty again: a
    /// template without metadata gives pods with some, and the pods' note stays the template's.
    pub(crate) fn inherit(&mut self, older: &Self) {
        self.metadata = self.metadata.or(older.metadata);
        self.annotations = self.annotations.or(older.annotations);
        self.init_containers.inherit(&older.init_containers);
        self.volumes.inherit(&older.volumes);
        for (name, older) in &older.containers {
            if let Some(container) = self.containers.get_mut(name) {
                container.env.inherit(&older.env);
                container.volume_mounts.inherit(&older.volume_mounts);
            }
        }
    }

    /// The annotation's value.
    pub(crate) fn write(&self) -> Result<String, Refused> {
        serde_json::to_string(self).map_err(|error| Refused::Record {
            problem: error.to_string(),
        })
    }

    /// Reads a note.
    pub(crate) fn read(text: &str) -> Result<Self, Refused> {
        let refused = |problem: String| Refused::Record { problem };
        let record: Self = serde_json::from_str(text)
            .map_err(|error| refused(format!("it isn't what injection writes ({error})")))?;
        if record.v != VERSION {
            return Err(refused(format!(
                "its version is {}, and {VERSION} is what this program reads",
                record.v
            )));
        }
        record
            .check()
            .map_err(|what| refused(format!("it brings {what}, which injection never removes")))?;
        Ok(record)
    }

    /// Whether all of it is what injection takes away; if not, what isn't.
    fn check(&self) -> Result<(), &'static str> {
        let every =
            |taken: &Taken, may: &dyn Fn(&Value) -> bool| taken.removed.iter().all(|(_, value)| may(value));
        if !self.init_containers.removed.is_empty() {
            return Err("containers");
        }
        let is_variable = |value: &Value| {
            value
                .as_object()
                .is_some_and(|entry| ENVIRONMENT.iter().any(|(name, _)| text(entry, "name") == *name))
        };
        let is_mount = |value: &Value| {
            value.as_object().is_some_and(|mount| {
                Place::of(text(mount, "mountPath")) == Place::ServiceAccount
                    && mount.get("mountPath").is_some_and(Value::is_string)
                    && mount.get("name").is_some_and(Value::is_string)
                    && !is_own_volume(text(mount, "name"))
            })
        };
        let is_volume = |value: &Value| {
            value.as_object().is_some_and(|volume| {
                volume.get("name").is_some_and(Value::is_string)
                    && !is_own_volume(text(volume, "name"))
                    && tokens::token(volume, &[]).is_some()
            })
        };
        for container in self.containers.values() {
            if !every(&container.env, &is_variable) {
                return Err("an environment variable");
            }
            if !every(&container.volume_mounts, &is_mount) {
                return Err("a mount");
            }
        }
        if every(&self.volumes, &is_volume) {
            Ok(())
        } else {
            Err("a volume")
        }
    }
}
