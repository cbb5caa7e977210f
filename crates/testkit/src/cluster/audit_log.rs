//! What the API server itself wrote down.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// The audit log from some moment on.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    from: u64,
}

/// A line of it, as far as tests want to know.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// The request's id.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// Kubernetes' verb.
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Whose credentials were used.
    pub user: AuditUser,
    /// In whose name.
    pub impersonated_user: Option<AuditUser>,
    /// What the client calls itself.
    #[serde(default)]
    pub user_agent: String,
    /// The answer.
    pub response_status: Option<AuditStatus>,
}

/// Who.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditUser {
    /// The name.
    pub username: String,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What else is known of them.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What was answered.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditStatus {
    /// The HTTP status.
    #[serde(default)]
    pub code: u16,
}

impl AuditLog {
    pub(super) fn from_now(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            from: fs::metadata(path).map_or(0, |metadata| metadata.len()),
        }
    }

    /// The events so far that match.
    ///
    /// # Panics
    /// If the log can't be read.
    pub fn events(&self, mut matches: impl FnMut(&AuditEvent) -> bool) -> Vec<AuditEvent> {
        let mut file =
            File::open(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        let mut text = String::new();
        file.seek(SeekFrom::Start(self.from))
            .expect("a file can be sought in");
        file.read_to_string(&mut text).expect("the audit log is text");
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let events = complete
            .lines()
            .filter_map(|line| serde_json::from_str::<AuditEvent>(line).ok());
        events.filter(|event| matches(event)).collect()
    }

    /// Waits for an event that matches.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn event(&self, what: &str, mut matches: impl FnMut(&AuditEvent) -> bool) -> AuditEvent {
        crate::eventually(what, || self.events(&mut matches).into_iter().next())
    }
}
