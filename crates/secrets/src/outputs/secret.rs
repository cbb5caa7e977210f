//! One record, value or file.

use std::collections::BTreeMap;

use super::{Fetched, FileToDownload, Made, Part, Problem, Templates};
use crate::{
    contract::{Content, KubernetesSecretRequest, Request, SecretRequest, Source, Template},
    hidden::Hidden,
    notation::{Notation, Selector},
    record::{self, Attachment, Fields, Found, MissingField, Record, SelectError},
    render::{kubernetes_data, render, variables},
};

pub(super) fn make(
    asked: &SecretRequest,
    request: &Request,
    fetched: &Fetched,
    templates: &dyn Templates,
) -> Result<Made, Problem> {
    let title = match &asked.source {
        Source::Record { record, .. } | Source::File { record, .. } => record,
        Source::Notation(notation) => &notation.record,
    };
    let Found { it: record, warning } = record::record(&fetched.records, title, request.strict_lookup)?;
    let mut made = Made {
        warnings: warning.into_iter().collect(),
        ..Made::default()
    };
    let of = Of {
        record,
        fetched,
        is_strict: request.strict_lookup,
    };
    match &asked.source {
        Source::File { name, .. } => {
            if let Some(bytes) = of.content(name, &mut made)? {
                of.file(asked, name, bytes, &mut made)?;
            }
        }
        Source::Record { fields, .. } => {
            let chosen = match fields.as_slice() {
                [] => {
                    let (all, warnings) = record.named();
                    made.warnings.extend(warnings);
                    all
                }
                names => record.only(names)?,
            };
            of.fields(asked, &chosen, templates, &mut made)?;
        }
        Source::Notation(notation) => {
            let value = record.value(notation)?.ok_or_else(|| MissingField::Empty {
                record: record.title.clone(),
                field: notation.to_string(),
            })?;
            let chosen = Fields(BTreeMap::from([(name_of(notation), value)]));
            of.fields(asked, &chosen, templates, &mut made)?;
        }
    }
    // A part that isn't there yet must be known, so that the Secret isn't written without it.
    if let (None, Some(kubernetes)) = (&made.kubernetes, &asked.kubernetes_secret) {
        made.kubernetes = Some(part(kubernetes, BTreeMap::new()));
    }
    Ok(made)
}

/// A record, and what else was fetched.
struct Of<'a> {
    record: &'a Record,
    fetched: &'a Fetched,
    is_strict: bool,
}

impl Of<'_> {
    fn fields(
        &self,
        asked: &SecretRequest,
        fields: &Fields,
        templates: &dyn Templates,
        made: &mut Made,
    ) -> Result<(), Problem> {
        if let Some(file) = &asked.file {
            let bytes = match &file.content {
                Content::Format(format) => render(fields, *format)?,
                Content::Template(template) => rendered(template, fields, templates)?,
            };
            made.file = Some((file.path.as_str().to_owned(), bytes));
        }
        if let Some(prefix) = &asked.env {
            made.env = variables(fields, prefix.as_str())?;
        }
        if let Some(kubernetes) = &asked.kubernetes_secret {
            let data = match kubernetes.keys.is_empty() {
                true => kubernetes_data(fields)?,
                false => self.mapped(kubernetes, fields, made)?,
            };
            made.kubernetes = Some(part(kubernetes, data));
        }
        Ok(())
    }

    /// Data under keys that were asked for: of fields, else of attached files.
    fn mapped(
        &self,
        kubernetes: &KubernetesSecretRequest,
        fields: &Fields,
        made: &mut Made,
    ) -> Result<BTreeMap<String, Hidden>, Problem> {
        let mut data = BTreeMap::new();
        for (name, key) in &kubernetes.keys {
            let value = match fields.0.get(name) {
                Some(value) => Some(Hidden::from(value.text().as_str())),
                None if self.record.files.iter().any(|file| is_called(file, name)) => {
                    self.content(name, made)?
                }
                None => {
                    let only = self.record.only(std::slice::from_ref(name))?;
                    only.single().map(|text| Hidden::from(text.as_str()))
                }
            };
            data.extend(value.map(|value| (key.as_str().to_owned(), value)));
        }
        Ok(data)
    }

    /// An attached file.
    fn file(&self, asked: &SecretRequest, name: &str, bytes: Hidden, made: &mut Made) -> Result<(), Problem> {
        if let Some(kubernetes) = &asked.kubernetes_secret {
            let data = if kubernetes.keys.is_empty() {
                let named = Fields(BTreeMap::from([(name.to_owned(), record::Value::from(""))]));
                let keys = kubernetes_data(&named)?.into_keys();
                keys.map(|key| (key, bytes.clone())).collect()
            } else {
                self.mapped(kubernetes, &Fields::default(), made)?
            };
            made.kubernetes = Some(part(kubernetes, data));
        }
        made.file = asked
            .file
            .as_ref()
            .map(|file| (file.path.as_str().to_owned(), bytes));
        Ok(())
    }

    /// A file's content; `None` if it must be fetched first.
    fn content(&self, name: &str, made: &mut Made) -> Result<Option<Hidden>, SelectError> {
        let called = self.record.files.iter().filter(|file| is_called(file, name));
        let wanted = format!("{} of {}", name, self.record.title);
        let Found { it: file, warning } = record::one(
            "file",
            &wanted,
            called,
            |file: &Attachment| &file.uid,
            self.is_strict,
        )?;
        made.warnings.extend(warning);
        let content = self.fetched.files.get(&file.uid).cloned();
        if content.is_none() {
            made.missing.push(FileToDownload {
                record: self.record.uid.clone(),
                file: file.clone(),
            });
        }
        Ok(content)
    }
}

fn is_called(file: &Attachment, name: &str) -> bool {
    file.name == name || file.title == name || file.uid == name
}

fn part(kubernetes: &KubernetesSecretRequest, data: BTreeMap<String, Hidden>) -> Part {
    Part {
        name: kubernetes.name.as_str().to_owned(),
        kind: kubernetes.kind,
        data,
    }
}

fn rendered(template: &Template, fields: &Fields, templates: &dyn Templates) -> Result<Hidden, Problem> {
    let failed = |reason: String| Problem::Template {
        line: template.line,
        reason,
    };
    let data = serde_json::to_value(fields).map_err(|_| failed("the fields are no JSON".to_owned()))?;
    // Taken over, so that it is overwritten afterwards.
    let data = record::Value::new(data);
    templates
        .render(&template.source, data.expose())
        .map(Hidden::from)
        .map_err(failed)
}

/// What a value of a notation is called as a variable or a key.
fn name_of(notation: &Notation) -> String {
    match &notation.selector {
        Selector::Type => "type".to_owned(),
        Selector::Title => "title".to_owned(),
        Selector::Notes => "notes".to_owned(),
        Selector::File(name) => name.clone(),
        Selector::Field {
            name,
            property: Some(property),
            ..
        } => format!("{name}_{property}"),
        Selector::Field { name, .. } => name.clone(),
    }
}
