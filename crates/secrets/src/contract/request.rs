//! What a pod asks for, without any secret in it: the webhook writes it, the program in the pod reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    auth::Auth,
    finding::quote,
    paths::{OutputDirectory, OutputPath, Taken, mounts},
    values::{DataKey, EnvPrefix, LONGEST_REFRESH, ObjectName, SHORTEST_REFRESH, Signal},
};
use crate::{
    notation::Notation,
    render::{Format, SecretKind},
};

/// The form of [`Request`]; a program refuses any other.
pub const VERSION: u32 = 1;
/// The longest request in bytes: Linux starts no program with a variable of 128 KiB.
pub const LONGEST_REQUEST: usize = 120 * 1024;

/// What a pod asks for. Equal requests have equal JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// Where the application's configuration is.
    pub auth: Auth,
    /// Records, values and files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretRequest>,
    /// Folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<FolderRequest>,
    /// Seconds between fetches.
    pub refresh_seconds: u64,
    /// Fetch once, before the containers start.
    pub init_only: bool,
    /// Whether the pod waits, or goes on without what can't be had.
    pub fail_on_error: bool,
    /// Whether a title that several records have is an error.
    pub strict_lookup: bool,
    /// What to send after a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// How Kubernetes Secrets are written.
    pub kubernetes_secrets: KubernetesSecrets,
    /// Certificate authorities for the way to the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authorities: Option<CertificateAuthorities>,
}

/// One record, value or file, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRequest {
    /// Annotation and position, for messages: `keeper.security/config:3:5`.
    pub origin: String,
    /// What to fetch.
    pub source: Source,
    /// The file to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileRequest>,
    /// Whether fields become variables, and what their names begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvPrefix>,
    /// The Kubernetes Secret to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_secret: Option<KubernetesSecretRequest>,
}

/// What to fetch. Two different ones are never equal, so this is the key under which a fetched value may be kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Source {
    /// A record's fields.
    Record {
        /// UID or title.
        record: String,
        /// Which of them; none means all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<String>,
    },
    /// One value.
    Notation(Notation),
    /// An attached file.
    File {
        /// UID or title of its record.
        record: String,
        /// The file's name, title or UID.
        name: String,
    },
}

impl Source {
    /// UID or title of the record.
    #[must_use]
    pub fn record(&self) -> &str {
        match self {
            Self::Record { record, .. } | Self::File { record, .. } => record,
            Self::Notation(notation) => &notation.record,
        }
    }
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileRequest {
    /// Where.
    pub path: OutputPath,
    /// How.
    pub content: Content,
}

/// How a file is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Content {
    /// In a format.
    Format(Format),
    /// By a template.
    Template(Template),
}

/// A template, and where it stands. Whether it can be parsed is the template engine's to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    /// The template itself.
    pub source: String,
    /// The line of the annotation's value where its text begins, from 1.
    pub line: u64,
    /// The character in that line, from 1; each line of a block (`|`) begins there.
    pub column: u64,
}

/// A Kubernetes Secret to write, together with others of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesSecretRequest {
    /// Its name, in the pod's namespace.
    pub name: ObjectName,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: SecretKind,
    /// Keys by the names of fields or attached files. If there are any, nothing else is written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, DataKey>,
}

/// A folder: each record in it (not in folders within) becomes a JSON file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FolderRequest {
    /// Annotation and position, for messages.
    pub origin: String,
    /// UID or path.
    pub folder: String,
    /// Where its files go.
    pub directory: OutputDirectory,
    /// What the names of Kubernetes Secrets begin with, if each record becomes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_secret_prefix: Option<String>,
}

/// How Kubernetes Secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesSecrets {
    /// What happens if one exists.
    pub mode: Mode,
    /// Whether they are kept up to date.
    pub rotation: bool,
    /// Whether they go with the pod.
    pub owner_reference: bool,
}

/// What happens if a Kubernetes Secret exists. None of it touches one that isn't ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Its data is replaced.
    #[default]
    Overwrite,
    /// Its other keys stay.
    Merge,
    /// It stays.
    SkipIfExists,
    /// It is an error.
    Fail,
}

/// Certificate authorities, in an object of the pod's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateAuthorities {
    /// Whether it is a Secret, or a ConfigMap.
    pub object: CaObject,
    /// Its key.
    pub key: DataKey,
}

/// What holds certificate authorities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CaObject {
    /// A Secret.
    Secret(ObjectName),
    /// A ConfigMap.
    ConfigMap(ObjectName),
}

/// Why a text is no request that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// No such JSON.
    #[error("the request is no JSON of one ({0}); let the webhook write it")]
    Json(String),
    /// From another version of the webhook.
    #[error(
        "the request has version {0}, and this program reads {VERSION}; use the webhook's own version of the program"
    )]
    Version(u32),
    /// It isn't what the webhook would have written.
    #[error("the request can't be carried out: {0}")]
    Unfit(String),
}

impl Request {
    /// Compact JSON for a variable or an annotation. It has no `$` in it, so that the kubelet expands nothing.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Infallible: all keys are text.
        let json = serde_json::to_string(self).unwrap_or_default();
        // In JSON a $ stands in texts alone.
        json.replace('$', "\\u0024")
    }

    /// Reads what [`Request::to_json`] wrote; nothing is believed that annotations couldn't have said.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn from_json(text: &str) -> Result<Self, InvalidRequest> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let invalid = |error: serde_json::Error| InvalidRequest::Json(error.to_string());
        let Versioned { version } = serde_json::from_str(text).map_err(invalid)?;
        if version != VERSION {
            return Err(InvalidRequest::Version(version));
        }
        let request: Self = serde_json::from_str(text).map_err(invalid)?;
        request.check().map_err(InvalidRequest::Unfit)?;
        Ok(request)
    }

    /// The directories that need a mount, in alphabetical order; none lies in another.
    #[must_use]
    pub fn mounts(&self) -> Vec<String> {
        let files = self.secrets.iter().filter_map(|secret| secret.file.as_ref());
        let parents = files.map(|file| file.path.parent());
        mounts(parents.chain(self.folders.iter().map(|folder| folder.directory.as_str())))
    }

    /// All templates with what asks for them.
    pub fn templates(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.secrets
            .iter()
            .filter_map(|secret| match &secret.file.as_ref()?.content {
                Content::Template(template) => Some((secret.origin.as_str(), template)),
                Content::Format(_) => None,
            })
    }

    /// Whether anything becomes a variable.
    #[must_use]
    pub fn has_env(&self) -> bool {
        self.secrets.iter().any(|secret| secret.env.is_some())
    }

    /// Whether anything becomes a Kubernetes Secret.
    #[must_use]
    pub fn has_kubernetes_secrets(&self) -> bool {
        let of_folder = |folder: &FolderRequest| folder.kubernetes_secret_prefix.is_some();
        self.secrets
            .iter()
            .any(|secret| secret.kubernetes_secret.is_some())
            || self.folders.iter().any(of_folder)
    }

    /// With [`Auth::Kubernetes`], the Secrets that are its records.
    #[must_use]
    pub fn kubernetes_records(&self) -> BTreeSet<&str> {
        match self.auth {
            Auth::Kubernetes {} => self.secrets.iter().map(|secret| secret.source.record()).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Whether Secrets of the namespace can be the records: where it was asked for what they can't be, and why.
    pub(super) fn check_kubernetes(&self) -> Result<(), (String, String)> {
        let Auth::Kubernetes {} = self.auth else {
            return Ok(());
        };
        if let Some(folder) = self.folders.first() {
            let problem = "with auth-method kubernetes there are no folders; name each Secret";
            return Err((folder.origin.clone(), problem.to_owned()));
        }
        for secret in &self.secrets {
            let record = secret.source.record();
            if let Err(problem) = ObjectName::try_from(record) {
                return Err((
                    secret.origin.clone(),
                    format!("with auth-method kubernetes a record is a Secret: {problem}"),
                ));
            }
            if let Some(written) = &secret.kubernetes_secret
                && self
                    .secrets
                    .iter()
                    .any(|other| other.source.record() == written.name.as_str())
            {
                return Err((
                    secret.origin.clone(),
                    format!(
                        "the Secret {} would be made of itself; choose another name",
                        written.name
                    ),
                ));
            }
        }
        Ok(())
    }

    /// What types alone can't say.
    fn check(&self) -> Result<(), String> {
        if !(SHORTEST_REFRESH.as_secs()..=LONGEST_REFRESH.as_secs()).contains(&self.refresh_seconds) {
            return Err("refreshSeconds is out of bounds; write 10 to 86400".to_owned());
        }
        self.auth.check().map_err(|(_, problem)| problem)?;
        for folder in &self.folders {
            folder
                .kubernetes_secret_prefix
                .as_deref()
                .map_or(Ok(()), secret_prefix)?;
        }
        self.check_kubernetes().map_err(|(_, problem)| problem)?;
        let mut taken = Taken::default();
        for secret in &self.secrets {
            if let Some(file) = &secret.file {
                taken.take(file.path.as_str(), &secret.origin)?;
            }
            if let Some(kubernetes) = &secret.kubernetes_secret {
                may_write(
                    kubernetes.name.as_str(),
                    Some(&self.auth),
                    self.certificate_authorities.as_ref(),
                )?;
            }
        }
        Ok(())
    }
}

/// Whether a Secret of this name isn't one that injection itself reads.
pub(crate) fn may_write(
    name: &str,
    auth: Option<&Auth>,
    authorities: Option<&CertificateAuthorities>,
) -> Result<(), String> {
    let is_auth = matches!(auth, Some(Auth::Secret { name: own }) if own.as_str() == name);
    let is_ca = authorities.is_some_and(
        |authorities| matches!(&authorities.object, CaObject::Secret(own) if own.as_str() == name),
    );
    if is_auth || is_ca {
        return Err(format!(
            "the Secret {name} is what injection itself reads; choose another name"
        ));
    }
    Ok(())
}

/// Whether names of Kubernetes Secrets can begin so.
pub(crate) fn secret_prefix(text: &str) -> Result<(), String> {
    // With a letter behind it, it must be a name.
    match text.len() <= 100 && ObjectName::try_from(format!("{text}a")).is_ok() {
        true => Ok(()),
        false => Err(format!(
            "{} can't begin a Secret's name; write lower-case letters, digits, '-' and '.'",
            quote(text)
        )),
    }
}
