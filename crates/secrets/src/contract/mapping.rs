//! A mapping of the YAML in `config`, read key by key: each error stands where the value does.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use super::{
    finding::{Findings, Place, Position, quote},
    names::{CONFIG, nearest},
    request::Template,
    tree::{Node, position},
    values::{DataKey, boolean},
};
use crate::{notation::Notation, render::Format};

/// A mapping of which every key is known.
pub(super) struct Mapping<'t, 'f> {
    pub(super) at: Option<Position>,
    entries: &'t [(Spanned<String>, Spanned<Node>)],
    pub(super) findings: &'f mut Findings,
}

impl<'t, 'f> Mapping<'t, 'f> {
    pub(super) fn of(
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

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn place(&self, key: &str) -> Place<'static> {
        Place(CONFIG, self.get(key).map_or(self.at, position))
    }

    pub(super) fn error(&mut self, key: &str, problem: impl Into<String>) {
        let place = self.place(key);
        self.findings.error(place, problem);
    }

    pub(super) fn warn(&mut self, key: &str, problem: &str) {
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
    pub(super) fn list(&mut self, key: &str) -> &'t [Spanned<Node>] {
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

    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(key)?;
        let place = self.place(key);
        self.findings
            .ok(place, parse(text).map_err(|problem| format!("{key}: {problem}")))
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        match &self.get(key)?.value {
            Node::Bool(value) => Some(*value),
            _ => self.parsed(key, boolean),
        }
    }

    /// A notation, with the place in it if it is wrong.
    pub(super) fn notation(&mut self) -> Option<Notation> {
        self.parsed("notation", |text| {
            text.trim().parse::<Notation>().map_err(|error| error.to_string())
        })
    }

    pub(super) fn format(&mut self) -> Option<Format> {
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

    pub(super) fn template(&mut self) -> Option<Template> {
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
    pub(super) fn fields(&mut self) -> Option<Vec<String>> {
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
    pub(super) fn keys(&mut self) -> BTreeMap<String, DataKey> {
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
