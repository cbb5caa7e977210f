//! What a pod asks for: the annotations `keeper.security/…`, read into a [`Request`].
//!
//! All that is wrong is said at once, each with its annotation, its place in the value, and what to write instead.
//!
//! - A record is named by its UID or its title. `secret` is one title as it stands; in `secrets` a comma of a title is `\,`.
//! - `secret-NAME` is `/PATH` (the record called NAME), `RECORD:/PATH`, `RECORD[FIELD]:/PATH` (raw) or `keeper://…[:/PATH]`
//!   (raw); `file-NAME` is `RECORD:FILE[:/PATH]` or a notation. A path begins at the last `:/`, because no path has a colon in
//!   it; of a notation, at the first one behind a complete notation. So titles may have colons and slashes in them. `\` takes
//!   the meaning from `:`, `[`, `]`, `,` and from itself: the record `DB [prod]` is `DB \[prod\]:/PATH`.
//! - Each secret becomes a file, at `/keeper/secrets/NAME.json` if no path is said. An entry of `config` that asks for
//!   variables or a Kubernetes Secret itself, and says no path, becomes no file.
//! - A file's directory outside `/keeper/secrets` needs a mount of its own ([`Request::mounts`]), so that it mustn't be one of
//!   the system's. Paths that differ in capitals alone count as one; letters that Unicode can write in two ways are two.
//! - A Kubernetes Secret is always in the pod's namespace, and never one that injection itself reads.
//! - Whether a pod is injected isn't seen from the annotation `injected`: it is its author's.

mod annotations;
mod auth;
mod config;
mod finding;
mod mapping;
mod names;
pub(crate) mod paths;
mod reference;
mod request;
mod tree;
mod values;

use std::collections::BTreeMap;

pub use auth::Auth;
pub use finding::{ContractError, Finding, Position};
pub use names::*;
pub use paths::{BASE, OutputDirectory, OutputPath};
pub(crate) use request::may_write;
pub use request::{
    CaObject, CertificateAuthorities, Content, FileRequest, FolderRequest, InvalidRequest,
    KubernetesSecretRequest, KubernetesSecrets, LONGEST_REQUEST, Mode, Request, SecretRequest, Source,
    Template, VERSION,
};
pub use values::{DataKey, EnvPrefix, LONGEST_REFRESH, ObjectName, SHORTEST_REFRESH, Signal};

/// What annotations say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What the pod asks for; `None` if it doesn't.
    pub request: Option<Request>,
    /// What its author should know.
    pub warnings: Vec<Finding>,
    /// Whether the annotation [`INJECTED`] is there already. It proves nothing.
    pub preset_marker: bool,
}

/// Reads a pod's annotations. `namespace` is the pod's own.
///
/// # Errors
/// Everything that is wrong, if the pod asks for secrets at all.
pub fn read(annotations: &BTreeMap<String, String>, namespace: &str) -> Result<Reading, ContractError> {
    annotations::read(annotations, namespace)
}

/// A secret, and where it was asked for.
#[derive(Debug)]
struct Item {
    annotation: String,
    position: Option<Position>,
    request: SecretRequest,
}
