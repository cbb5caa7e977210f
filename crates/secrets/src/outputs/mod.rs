//! From a request and what was fetched for it to files, variables and Kubernetes Secrets.
//!
//! Each thing that was asked for succeeds or fails by itself, and wholly: if one fails, nothing of it is among the outputs,
//! and neither is a Kubernetes Secret that it has a part in (a Secret without its keys is worse than an old one). Whoever may
//! not go on with errors looks at [`Outcome::errors`].
//!
//! Attached files are fetched when it is known which: [`Outcome::files_to_download`] says so, and with their content in
//! [`Fetched::files`] the same call makes the rest.

mod folder;
mod secret;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    contract::{Mode, Request, paths::Taken},
    hidden::Hidden,
    record::{Attachment, Folder, MissingField, Record, SelectError},
    render::{KubernetesError, RenderError, SecretKind, VariableError, kubernetes},
};

/// Who may read the files: the group that injection gives to every container of the pod, whatever its user.
pub const FILE_MODE: u32 = 0o440;

/// Renders templates; an engine is given from outside.
pub trait Templates {
    /// Renders a template's text with a record's fields.
    ///
    /// # Errors
    /// What is wrong with the template. It mustn't quote the data.
    fn render(&self, source: &str, data: &serde_json::Value) -> Result<String, String>;
}

impl<F: Fn(&str, &serde_json::Value) -> Result<String, String>> Templates for F {
    fn render(&self, source: &str, data: &serde_json::Value) -> Result<String, String> {
        self(source, data)
    }
}

/// What the vault gave.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// All records that the application sees.
    pub records: Vec<Record>,
    /// All folders.
    pub folders: Vec<Folder>,
    /// Contents of attached files, by the files' UIDs.
    pub files: BTreeMap<String, Hidden>,
}

/// What is to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Files, in alphabetical order of their paths.
    pub files: Vec<OutputFile>,
    /// Variables for the pod's programs, by name; never for the pod's spec.
    pub env: BTreeMap<String, Hidden>,
    /// Kubernetes Secrets for the pod's namespace, in alphabetical order.
    pub kubernetes_secrets: Vec<KubernetesSecret>,
    /// Attached files whose content is missing in what was fetched. What needs them isn't among the outputs, nor the errors.
    pub files_to_download: BTreeSet<FileToDownload>,
    /// What can't be had.
    pub errors: Vec<OutputError>,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Where: absolute, normal, below one of the request's mounts.
    pub path: String,
    /// Its content.
    pub bytes: Hidden,
    /// Its permissions.
    pub mode: u32,
}

/// A Kubernetes Secret to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesSecret {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: SecretKind,
    /// Its data, not yet in base64. At most 1 MiB.
    pub data: BTreeMap<String, Hidden>,
    /// What happens if it exists.
    pub mode: Mode,
    /// Whether it goes with the pod.
    pub owner_reference: bool,
}

/// An attached file to fetch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileToDownload {
    /// Its record's UID.
    pub record: String,
    /// The file.
    pub file: Attachment,
}

/// Something that can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct OutputError {
    /// Which annotation asked for it, and where.
    pub origin: String,
    /// Why.
    pub problem: Problem,
}

/// Why something can't be had. Values aren't quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no such record, folder or file.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The record lacks a field.
    #[error(transparent)]
    Field(#[from] MissingField),
    /// The format can't say it.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// No variable can be made of it.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// Kubernetes wouldn't take it.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// The template engine says so.
    #[error("the template at line {line} can't be rendered: {reason}")]
    Template {
        /// Where the template begins in the annotation.
        line: u64,
        /// What the engine says.
        reason: String,
    },
    /// It is in the way of something else.
    #[error("{0}")]
    Clash(String),
}

/// Makes everything that the request asks for.
#[must_use]
pub fn produce(request: &Request, fetched: &Fetched, templates: &dyn Templates) -> Outcome {
    let mut making = Making::new(request);
    for asked in &request.secrets {
        match secret::make(asked, request, fetched, templates) {
            Ok(made) => making.add(&asked.origin, made),
            Err(problem) => {
                let name = asked
                    .kubernetes_secret
                    .as_ref()
                    .map(|kubernetes| kubernetes.name.as_str());
                making.fail(&asked.origin, name, problem);
            }
        }
    }
    for asked in &request.folders {
        folder::make(asked, fetched, &mut making);
    }
    making.finish()
}

/// What one thing that was asked for comes to.
#[derive(Debug, Default)]
struct Made {
    file: Option<(String, Hidden)>,
    env: BTreeMap<String, Hidden>,
    kubernetes: Option<Part>,
    /// If there are any, the rest isn't complete.
    missing: Vec<FileToDownload>,
    warnings: Vec<String>,
}

/// A part of a Kubernetes Secret's data.
#[derive(Debug)]
struct Part {
    name: String,
    kind: SecretKind,
    data: BTreeMap<String, Hidden>,
}

/// The outcome while it is being made.
struct Making<'a> {
    request: &'a Request,
    outcome: Outcome,
    taken: Taken,
    /// Who set a variable.
    variables: BTreeMap<String, String>,
    /// Secrets with who asked for them first.
    secrets: BTreeMap<String, (String, Part)>,
    /// Secrets that lack a part.
    incomplete: BTreeSet<String>,
}

impl<'a> Making<'a> {
    fn new(request: &'a Request) -> Self {
        let mut taken = Taken::default();
        for secret in &request.secrets {
            if let Some(file) = &secret.file {
                // A request has no path twice; what is found in folders must keep off these, whether they can be had or not.
                let _ = taken.take(file.path.as_str(), &secret.origin);
            }
        }
        Self {
            request,
            outcome: Outcome::default(),
            taken,
            variables: BTreeMap::new(),
            secrets: BTreeMap::new(),
            incomplete: BTreeSet::new(),
        }
    }

    fn fail(&mut self, origin: &str, secret: Option<&str>, problem: Problem) {
        self.incomplete.extend(secret.map(str::to_owned));
        self.outcome.errors.push(OutputError {
            origin: origin.to_owned(),
            problem,
        });
    }

    /// Adds all of it or nothing.
    fn add(&mut self, origin: &str, made: Made) {
        self.warn(origin, &made.warnings);
        let secret = made.kubernetes.as_ref().map(|part| part.name.clone());
        if !made.missing.is_empty() {
            self.outcome.files_to_download.extend(made.missing);
            self.incomplete.extend(secret);
            return;
        }
        if let Some((name, first)) = made
            .env
            .keys()
            .find_map(|name| self.variables.get_key_value(name))
        {
            let problem = format!(
                "the variable {name} is there already, of {first}; set an env prefix for one of them"
            );
            return self.fail(origin, secret.as_deref(), Problem::Clash(problem));
        }
        if let Some(part) = made.kubernetes
            && let Err(problem) = self.join(origin, part)
        {
            return self.fail(origin, secret.as_deref(), problem);
        }
        self.variables
            .extend(made.env.keys().map(|name| (name.clone(), origin.to_owned())));
        self.outcome.env.extend(made.env);
        self.outcome
            .files
            .extend(made.file.map(|(path, bytes)| OutputFile {
                path,
                bytes,
                mode: FILE_MODE,
            }));
    }

    /// Adds to a Secret's data.
    fn join(&mut self, origin: &str, part: Part) -> Result<(), Problem> {
        let Some((first, there)) = self.secrets.get_mut(&part.name) else {
            self.secrets.insert(part.name.clone(), (origin.to_owned(), part));
            return Ok(());
        };
        if let Some(key) = part.data.keys().find(|key| there.data.contains_key(*key)) {
            return Err(Problem::Clash(format!(
                "the Secret {} has the key {key:?} already, of {first}; map one in k8sSecretKeys, or use another Secret",
                part.name
            )));
        }
        there.data.extend(part.data);
        Ok(())
    }

    fn warn(&mut self, origin: &str, warnings: &[String]) {
        let warnings = warnings.iter().map(|warning| format!("{origin}: {warning}"));
        self.outcome.warnings.extend(warnings);
    }

    fn finish(mut self) -> Outcome {
        for (name, (origin, part)) in std::mem::take(&mut self.secrets) {
            if self.incomplete.contains(&name) {
                continue;
            }
            if let Err(problem) = kubernetes::check(part.kind, &part.data) {
                self.fail(&origin, None, problem.into());
                continue;
            }
            self.outcome.kubernetes_secrets.push(KubernetesSecret {
                name,
                kind: part.kind,
                data: part.data,
                mode: self.request.kubernetes_secrets.mode,
                owner_reference: self.request.kubernetes_secrets.owner_reference,
            });
        }
        self.outcome.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.outcome
    }
}
