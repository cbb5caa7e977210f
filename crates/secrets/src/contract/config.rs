//! The annotation `config`: secrets and folders in YAML, with all that short annotations can't say.

use super::{
    Item,
    finding::{Findings, Place, quote},
    mapping::Mapping,
    names::{CONFIG, K8S_SECRET_NAME},
    paths::{OutputDirectory, OutputPath},
    reference::{default_file, default_record, source},
    request::{
        Content, FileRequest, FolderRequest, KubernetesSecretRequest, SecretRequest, Source, secret_prefix,
    },
    tree,
    values::{EnvPrefix, ObjectName},
};
use crate::render::{Format, SecretKind};

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
