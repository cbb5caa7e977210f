//! The annotation `config`: secrets and folders in YAML, with all that short annotations can't say.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use super::{
    Item,
    finding::{Findings, Place, Position, quote},
    names::{CONFIG, K8S_SECRET_NAME, nearest},
    paths::{OutputDirectory, OutputPath},
    reference::{default_file, default_record, source},
    request::{
        Content, FileRequest, FolderRequest, KubernetesSecretRequest, SecretRequest, Source, Template,
        secret_prefix,
    },
    tree::{self, Node, position},
    values::{DataKey, EnvPrefix, ObjectName, boolean},
};
use crate::{
    notation::Notation,
    render::{Format, SecretKind},
};

/// What annotations say for all secrets.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    /// Whether fields become variables.
    pub(super) env: bool,
    pub(super) env_prefix: EnvPrefix,
    /// Whether they become a Kubernetes Secret.
    pub(super) kubernetes: bool,
    pub(super) kubernetes_name: Option<ObjectName>,
    pub(super) kubernetes_kind: SecretKind,
}

const SECRET_KEYS: [&str; 14] = [
    "record",
    "notation",
    "path",
    "fields",
    "format",
    "template",
    "file",
    "fileName",
    "injectAsEnvVars",
    "envPrefix",
    "injectAsK8sSecret",
    "k8sSecretName",
    "k8sSecretKeys",
    "k8sSecretType",
];
const FOLDER_KEYS: [&str; 6] = [
    "uid",
    "path",
    "folderPath",
    "outputPath",
    "injectAsK8sSecret",
    "k8sSecretNamePrefix",
];

/// Reads the annotation's value.
pub(super) fn read(
    text: &str,
    defaults: &Defaults,
    findings: &mut Findings,
) -> (Vec<Item>, Vec<FolderRequest>) {
    let (mut secrets, mut folders) = (Vec::new(), Vec::new());
    let root = match tree::parse(text) {
        Ok(root) => root,
        Err((position, problem)) => {
            findings.error(Place(CONFIG, position), problem);
            return (secrets, folders);
        }
    };
    let Some(mut root) = Mapping::of(&root, "the configuration", &["secrets", "folders"], findings) else {
        return (secrets, folders);
    };
    for node in root.list("secrets") {
        if let Some(mapping) = Mapping::of(node, "a secret", &SECRET_KEYS, root.findings) {
            secrets.extend(secret(mapping, defaults));
        }
    }
    for node in root.list("folders") {
        if let Some(mapping) = Mapping::of(node, "a folder", &FOLDER_KEYS, root.findings) {
            folders.extend(folder(mapping));
        }
    }
    (secrets, folders)
}

fn secret(mut mapping: Mapping<'_, '_>, defaults: &Defaults) -> Option<Item> {
    let at = mapping.at;
    let source = wanted(&mut mapping);
    let template = mapping.template();
    let format = mapping.format();
    let path = mapping.parsed("path", |text| OutputPath::try_from(text));
    let own_env = mapping.boolean("injectAsEnvVars");
    let prefix = mapping.parsed("envPrefix", |text| EnvPrefix::try_from(text));
    let own_kubernetes = mapping.boolean("injectAsK8sSecret");
    let name = mapping.parsed("k8sSecretName", |text| ObjectName::try_from(text));
    let kind = mapping.parsed("k8sSecretType", secret_kind);
    let keys = mapping.keys();
    let source = source?;

    let is_file = matches!(source, Source::File { .. });
    let is_one = match &source {
        Source::Record { fields, .. } => fields.len() == 1,
        Source::Notation(_) | Source::File { .. } => true,
    };
    let content = match (template, format) {
        (Some(_), Some(_)) => {
            mapping.error("format", "template and format exclude each other; remove one");
            return None;
        }
        (Some(_), None) if !matches!(source, Source::Record { .. }) => {
            mapping.error(
                "template",
                "a template writes a record's fields; ask for record, and maybe fields",
            );
            return None;
        }
        (Some(template), None) => Content::Template(template),
        (None, format) if is_one => {
            if format.is_some_and(|format| format != Format::Raw) {
                let problem = "one value is written raw, whatever the format; ask for several fields, or remove the format";
                mapping.warn("format", problem);
            }
            Content::Format(Format::Raw)
        }
        (None, Some(Format::Raw)) => {
            mapping.error(
                "format",
                "raw is for one value; ask for one field, or choose another format",
            );
            return None;
        }
        (None, format) => Content::Format(format.unwrap_or(Format::Json)),
    };

    if is_file && own_env == Some(true) {
        mapping.error(
            "injectAsEnvVars",
            "a file can't be a variable; remove it, or ask for a field",
        );
    }
    let has_env = own_env.unwrap_or(defaults.env) && !is_file;
    if prefix.is_some() && !has_env {
        mapping.warn("envPrefix", "it has no effect without injectAsEnvVars: true");
    }
    let prefix = prefix.filter(|prefix| !prefix.as_str().is_empty());
    let env = has_env.then(|| prefix.unwrap_or_else(|| defaults.env_prefix.clone()));

    let kubernetes_secret = match (own_kubernetes.unwrap_or(defaults.kubernetes), name) {
        (true, name) => match name.or_else(|| defaults.kubernetes_name.clone()) {
            Some(name) => Some(KubernetesSecretRequest {
                name,
                kind: kind.unwrap_or(defaults.kubernetes_kind),
                keys,
            }),
            // What is written there was complained about before.
            None if mapping.has("k8sSecretName") => None,
            None => {
                let problem = format!(
                    "the Secret has no name; write k8sSecretName here, or the annotation {K8S_SECRET_NAME}"
                );
                mapping.error("injectAsK8sSecret", problem);
                None
            }
        },
        (false, _) => {
            for key in ["k8sSecretName", "k8sSecretType", "k8sSecretKeys"] {
                if mapping.has(key) {
                    mapping.warn(key, "it has no effect without injectAsK8sSecret: true");
                }
            }
            None
        }
    };

    // Who asks for a variable or a Secret here, and for no path, wants no file.
    let is_elsewhere = own_env == Some(true) || own_kubernetes == Some(true);
    let path = match path {
        None if mapping.has("path") => None,
        None if is_elsewhere && !matches!(content, Content::Template(_)) => None,
        None => {
            let default = match &source {
                Source::Record { record, .. } => default_record(record),
                Source::Notation(notation) => default_record(&notation.record),
                Source::File { name, .. } => default_file(name),
            };
            mapping.findings.ok(Place(CONFIG, at), default)
        }
        path => path,
    };
    Some(Item {
        position: at,
        annotation: CONFIG.to_owned(),
        request: SecretRequest {
            origin: Place(CONFIG, at).to_string(),
            source,
            file: path.map(|path| FileRequest { path, content }),
            env,
            kubernetes_secret,
        },
    })
}

/// Record and fields, a notation, or a file.
fn wanted(mapping: &mut Mapping<'_, '_>) -> Option<Source> {
    let record = mapping.parsed("record", named);
    let notation = mapping.notation();
    let file = mapping.parsed("file", named);
    let file_name = mapping.parsed("fileName", named);
    let fields = mapping.fields();
    if let (Some(file), Some(file_name)) = (&file, &file_name)
        && file != file_name
    {
        mapping.error("fileName", "file and fileName mean the same; remove one");
        return None;
    }
    let file_key = if mapping.has("file") { "file" } else { "fileName" };
    let file = file.or(file_name);
    let has_file = mapping.has("file") || mapping.has("fileName");
    if mapping.has("notation") {
        for key in ["record", "fields", "file", "fileName"] {
            if mapping.has(key) {
                mapping.error(key, "a notation says everything; remove this, or the notation");
                return None;
            }
        }
        return notation.map(source);
    }
    if !mapping.has("record") {
        let problem = "the secret says nothing to fetch; write record (a title or UID) or notation";
        mapping.findings.error(Place(CONFIG, mapping.at), problem);
        return None;
    }
    if has_file {
        if mapping.has("fields") {
            mapping.error("fields", "a file has no fields; remove them, or the file");
            return None;
        }
        if mapping.has("template") {
            let problem = format!("a file is written as it is; remove the template, or {file_key}");
            mapping.error("template", problem);
            return None;
        }
        return Some(Source::File {
            record: record?,
            name: file?,
        });
    }
    Some(Source::Record {
        record: record?,
        fields: fields?,
    })
}

fn folder(mut mapping: Mapping<'_, '_>) -> Option<FolderRequest> {
    let said: Vec<&'static str> = ["uid", "path", "folderPath"]
        .into_iter()
        .filter(|key| mapping.has(key))
        .collect();
    let folder = match said.as_slice() {
        [key] => mapping.parsed(key, named),
        [] => {
            let problem = "the folder isn't said; write uid or path";
            mapping.findings.error(Place(CONFIG, mapping.at), problem);
            None
        }
        [_, second, ..] => {
            mapping.error(
                second,
                "uid, path and folderPath say which folder; write one of them",
            );
            None
        }
    };
    let directory = mapping.parsed("outputPath", |text| OutputDirectory::try_from(text));
    let is_secret = mapping.boolean("injectAsK8sSecret").unwrap_or(false);
    let prefix = mapping.parsed("k8sSecretNamePrefix", |text| {
        secret_prefix(text).map(|()| text.to_owned())
    });
    if prefix.is_some() && !is_secret {
        mapping.warn(
            "k8sSecretNamePrefix",
            "it has no effect without injectAsK8sSecret: true",
        );
    }
    Some(FolderRequest {
        origin: Place(CONFIG, mapping.at).to_string(),
        folder: folder?,
        directory: directory.unwrap_or_default(),
        kubernetes_secret_prefix: is_secret.then(|| prefix.unwrap_or_default()),
    })
}

/// A mapping of which every key is known.
struct Mapping<'t, 'f> {
    at: Option<Position>,
    entries: &'t [(Spanned<String>, Spanned<Node>)],
    findings: &'f mut Findings,
}

impl<'t, 'f> Mapping<'t, 'f> {
    fn of(
        node: &'t Spanned<Node>,
        what: &str,
        known: &[&'static str],
        findings: &'f mut Findings,
    ) -> Option<Self> {
        let at = position(node);
        let Node::Map(entries) = &node.value else {
            let problem = format!(
                "{what} is a mapping, and this is {}; write {}: …",
                node.value.what(),
                known[0]
            );
            findings.error(Place(CONFIG, at), problem);
            return None;
        };
        for (key, _) in entries
            .iter()
            .filter(|(key, _)| !known.contains(&key.value.as_str()))
        {
            let remedy = match nearest(&key.value, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", known.join(", ")),
            };
            let problem = format!("{what} has no key {}; {remedy}", quote(&key.value));
            findings.error(Place(CONFIG, position(key)), problem);
        }
        Some(Self {
            at,
            entries,
            findings,
        })
    }

    fn get(&self, key: &str) -> Option<&'t Spanned<Node>> {
        let entry = self.entries.iter().find(|(name, _)| name.value == key);
        entry
            .map(|(_, node)| node)
            .filter(|node| !matches!(node.value, Node::Null))
    }

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn place(&self, key: &str) -> Place<'static> {
        Place(CONFIG, self.get(key).map_or(self.at, position))
    }

    fn error(&mut self, key: &str, problem: impl Into<String>) {
        let place = self.place(key);
        self.findings.error(place, problem);
    }

    fn warn(&mut self, key: &str, problem: &str) {
        let place = self.place(key);
        self.findings.warn(place, format!("{key}: {problem}"));
    }

    fn wrong(&mut self, key: &str, expected: &str) {
        let what = self.get(key).map_or("nothing", |node| node.value.what());
        self.error(
            key,
            format!("{key} is {expected}, and this is {what}; write {expected}"),
        );
    }

    /// A list; nothing is an empty one.
    fn list(&mut self, key: &str) -> &'t [Spanned<Node>] {
        match self.get(key).map(|node| &node.value) {
            None => &[],
            Some(Node::List(items)) => items,
            Some(_) => {
                self.wrong(key, "a list");
                &[]
            }
        }
    }

    fn text(&mut self, key: &str) -> Option<&'t str> {
        match &self.get(key)?.value {
            Node::Text(text) => Some(text),
            Node::Number | Node::Bool(_) => {
                self.wrong(key, "text (in quotes)");
                None
            }
            _ => {
                self.wrong(key, "text");
                None
            }
        }
    }

    fn parsed<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key)?;
        let place = self.place(key);
        self.findings
            .ok(place, parse(text).map_err(|problem| format!("{key}: {problem}")))
    }

    fn boolean(&mut self, key: &str) -> Option<bool> {
        match &self.get(key)?.value {
            Node::Bool(value) => Some(*value),
            _ => self.parsed(key, boolean),
        }
    }

    /// A notation, with the place in it if it is wrong.
    fn notation(&mut self) -> Option<Notation> {
        self.parsed("notation", |text| {
            text.trim().parse::<Notation>().map_err(|error| error.to_string())
        })
    }

    fn format(&mut self) -> Option<Format> {
        self.parsed("format", |text| {
            let found = Format::ALL
                .into_iter()
                .find(|format| format.name().eq_ignore_ascii_case(text));
            found.ok_or_else(|| {
                let known = Format::ALL.map(Format::name).join(", ");
                format!("{} is no format; write one of {known}", quote(text))
            })
        })
    }

    fn template(&mut self) -> Option<Template> {
        let source = self.text("template")?.to_owned();
        let Some(Position::Line { line, column }) = self.get("template").and_then(position) else {
            return Some(Template {
                source,
                line: 1,
                column: 1,
            });
        };
        Some(Template { source, line, column })
    }

    /// Fields' names; `None` if one is wrong.
    fn fields(&mut self) -> Option<Vec<String>> {
        let mut fields: Vec<String> = Vec::new();
        let before = self.findings.errors.len();
        for node in self.list("fields") {
            let at = position(node);
            let problem = match &node.value {
                Node::Text(text) if text.trim().is_empty() => {
                    "a field's name is empty; write its label or type".to_owned()
                }
                Node::Text(text) if fields.contains(text) => {
                    format!("the field {} is there twice; remove one", quote(text))
                }
                Node::Text(text) => {
                    fields.push(text.clone());
                    continue;
                }
                other => format!(
                    "a field's name is text, and this is {}; put it into quotes",
                    other.what()
                ),
            };
            self.findings.error(Place(CONFIG, at), problem);
        }
        (self.findings.errors.len() == before).then_some(fields)
    }

    /// Keys of a Kubernetes Secret by fields' names.
    fn keys(&mut self) -> BTreeMap<String, DataKey> {
        let mut keys = BTreeMap::new();
        let entries = match self.get("k8sSecretKeys").map(|node| &node.value) {
            None => return keys,
            Some(Node::Map(entries)) => entries,
            Some(_) => {
                self.wrong("k8sSecretKeys", "a mapping from fields to keys");
                return keys;
            }
        };
        for (field, key) in entries {
            let place = || Place(CONFIG, position(key));
            let Node::Text(text) = &key.value else {
                let problem = format!(
                    "a key is text, and this is {}; put it into quotes",
                    key.value.what()
                );
                self.findings.error(place(), problem);
                continue;
            };
            let Some(key) = self.findings.ok(place(), DataKey::try_from(text.as_str())) else {
                continue;
            };
            if keys.values().any(|there| *there == key) {
                let problem = format!("the key {} is there twice; choose another", quote(text));
                self.findings.error(place(), problem);
                continue;
            }
            keys.insert(field.value.clone(), key);
        }
        keys
    }
}

fn named(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty; write a name".to_owned()),
        text if text.contains(char::is_control) => Err(format!(
            "{} has a control character in it; remove it",
            quote(text)
        )),
        text => Ok(text.to_owned()),
    }
}

/// A Secret's type, of those that may be asked for.
pub(super) fn secret_kind(text: &str) -> Result<SecretKind, String> {
    if let Some(kind) = SecretKind::ALL.into_iter().find(|kind| kind.name() == text) {
        return Ok(kind);
    }
    let known = SecretKind::ALL.map(SecretKind::name).join(", ");
    let lower = text.to_ascii_lowercase();
    if lower.contains("service-account-token") || lower.contains("bootstrap") {
        return Err(format!(
            "{} would make a credential for the cluster itself, which is never allowed; write one of {known}",
            quote(text)
        ));
    }
    Err(format!(
        "{} is no type that can be asked for; write one of {known}",
        quote(text)
    ))
}
