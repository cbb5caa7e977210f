//! Secrets out of objects of the API, of any kind and however they stand in each other.

use base64::Engine as _;
use serde_json::{Map, Value};

use super::{REDACTED, names, scrub};
use crate::render::{EnvPolicy, clean};

/// Deeper than this nobody reads, and nobody's stack should follow.
const DEEPEST: usize = 64;
/// How often JSON within JSON's strings is opened.
const ENCODINGS: u8 = 3;
/// The whole object as somebody applied it, Secrets' values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// A Secret's value of more than this is said to be large; nothing else is told of its length.
const LARGE: usize = 4096;

/// Redacts objects in place, and counts what it hid.
///
/// What it leaves is clean text (see `render::clean`) without secrets, and no deeper than a bound.
#[derive(Debug)]
pub struct Redactor {
    env: EnvPolicy,
    /// How many encodings were opened to come here.
    encodings: u8,
    hits: u32,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    depth: usize,
    /// Among the items of a list of Secrets, which have no kind of their own.
    secrets: bool,
    /// Among the properties of a schema, whose names promise nothing.
    schema: bool,
}

impl Place {
    fn below(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..Self::default()
        }
    }
}

impl Redactor {
    /// Redacts with this policy for environment variables.
    pub fn new(env: EnvPolicy) -> Self {
        Self {
            env,
            encodings: 0,
            hits: 0,
        }
    }

    pub(super) fn nested(env: EnvPolicy, encodings: u8) -> Self {
        Self {
            env,
            encodings,
            hits: 0,
        }
    }

    /// How many secrets were hidden until now.
    pub fn hits(&self) -> u32 {
        self.hits
    }

    /// Redacts an object, or a list of them, a Table, a watch event.
    pub fn object(&mut self, value: &mut Value) {
        self.value(value, Place::default());
    }

    /// Redacts text: clean, without secrets.
    pub fn text(&mut self, text: &str) -> String {
        let mut value = Value::String(text.to_owned());
        self.string(&mut value);
        match value {
            Value::String(text) => text,
            _ => REDACTED.to_owned(),
        }
    }

    fn value(&mut self, value: &mut Value, place: Place) {
        if place.depth > DEEPEST && (value.is_array() || value.is_object()) {
            dismantle(std::mem::replace(
                value,
                Value::String("(left out: nested too deep)".to_owned()),
            ));
            return;
        }
        match value {
            Value::Object(map) => {
                if is_kubeconfig(map) {
                    *value = Value::String("<redacted: a kubeconfig>".to_owned());
                    self.hits += 1;
                    return;
                }
                self.map(map, place);
            }
            Value::Array(items) => {
                self.strings(items);
                for item in items {
                    self.value(
                        item,
                        Place {
                            depth: place.depth + 1,
                            ..place
                        },
                    );
                }
            }
            Value::String(_) => self.string(value),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn map(&mut self, map: &mut Map<String, Value>, place: Place) {
        self.keys(map);
        if map.remove(LAST_APPLIED).is_some() {
            self.hits += 1;
        }
        let is_secret = is_secret(map, place);
        let is_list = map
            .get("kind")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("SecretList"));
        let is_schema = map.get("type").is_some_and(Value::is_string) && place.schema;
        if is_secret {
            self.secret(map);
        }
        let telling = ["name", "key"]
            .iter()
            .find_map(|key| map.get(*key))
            .and_then(Value::as_str)
            .filter(|name| names::sensitive(name));
        let telling = telling.map(str::to_owned);
        for (key, value) in map.iter_mut() {
            let below = place.below();
            match key.as_str() {
                "stringData" if value.is_object() => self.hide(value),
                "data" if is_secret => {}
                "items" | "object" if is_list || place.secrets => self.value(
                    value,
                    Place {
                        secrets: true,
                        ..below
                    },
                ),
                "items" | "rows" | "object" => self.value(value, below),
                "properties" => self.value(
                    value,
                    Place {
                        schema: true,
                        ..below
                    },
                ),
                "default" | "example" if is_schema && !value.is_object() => self.value(value, below),
                "value" if telling.is_some() => {
                    let password = telling.as_deref().is_some_and(names::password);
                    self.under(value, password, below);
                }
                "caBundle" | "certificate-authority-data" => self.bundle(value, below),
                _ if is_environment(key) => self.environment(value, below),
                _ if names::sensitive(key) && !(place.schema && value.is_object()) => {
                    self.under(value, names::password(key), below);
                }
                _ => self.value(value, below),
            }
        }
    }

    /// Hides what a Secret has; its keys stay.
    fn secret(&mut self, map: &mut Map<String, Value>) {
        for key in ["data", "stringData"] {
            if let Some(value) = map.get_mut(key) {
                self.hide(value);
            }
        }
        let token = map.get("type").and_then(Value::as_str) == Some("kubernetes.io/service-account-token");
        let annotations = map
            .get_mut("metadata")
            .and_then(|metadata| metadata.get_mut("annotations"))
            .and_then(Value::as_object_mut);
        if let Some(annotations) = annotations.filter(|_| token)
            && let Some(uid) = annotations.get_mut("kubernetes.io/service-account.uid")
        {
            self.hide(uid);
        }
    }

    /// Keys that are secrets themselves, or have what can't be seen.
    fn keys(&mut self, map: &mut Map<String, Value>) {
        let changed: Vec<(String, String)> = map
            .keys()
            .filter_map(|key| {
                let cleaned = clean::clean(key);
                let (text, hits) = scrub::text(&cleaned, self.env, self.encodings);
                self.hits += hits;
                let new = text.unwrap_or_else(|| cleaned.into_owned());
                (new != *key).then(|| (key.clone(), new))
            })
            .collect();
        for (count, (old, new)) in changed.into_iter().enumerate() {
            if let Some(value) = map.remove(&old) {
                let new = if map.contains_key(&new) {
                    format!("{new} ({})", count + 2)
                } else {
                    new
                };
                map.insert(new, value);
            }
        }
    }

    /// What stands under a secret's name.
    fn under(&mut self, value: &mut Value, password: bool, place: Place) {
        match value {
            Value::String(text) if names::harmless(text, password) => self.string(value),
            Value::Number(_) if !password => {}
            Value::String(_) | Value::Number(_) => self.hide(value),
            Value::Array(items) => {
                for item in items.iter_mut() {
                    match item {
                        Value::String(_) => self.hide(item),
                        _ => self.value(item, place.below()),
                    }
                }
            }
            Value::Object(_) => {
                // What it is must be seen before a part of that is hidden.
                self.value(value, place);
                // A reference to a secret has strings, too.
                for (key, value) in value.as_object_mut().into_iter().flatten() {
                    if value.is_string() && !names::reference(key) {
                        self.hide(value);
                    }
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// The values of environment variables: a list of pairs, or a map.
    fn environment(&mut self, value: &mut Value, place: Place) {
        // What it is must be seen before a part of that is hidden.
        self.value(value, place);
        match value {
            Value::Array(items) => {
                for item in items.iter_mut() {
                    if let Value::Object(pair) = item
                        && let Some(name) = pair
                            .get("name")
                            .or_else(|| pair.get("key"))
                            .and_then(Value::as_str)
                            .map(str::to_owned)
                        && let Some(value) = pair.get_mut("value")
                    {
                        self.variable(&name, value, place);
                    } else if let Value::String(text) = item
                        && let Some((name, literal)) = text
                            .split_once('=')
                            .map(|(name, literal)| (name.to_owned(), literal.to_owned()))
                    {
                        // As Docker has them: one string each.
                        let mut value = Value::String(literal);
                        self.variable(&name, &mut value, place);
                        *item = Value::String(format!("{name}={}", value.as_str().unwrap_or_default()));
                    }
                }
            }
            Value::Object(map) => {
                let names: Vec<String> = map.keys().cloned().collect();
                for name in names {
                    if let Some(value) = map
                        .get_mut(&name)
                        .filter(|value| value.is_string() || value.is_number())
                    {
                        self.variable(&name, value, place);
                    }
                }
            }
            _ => {}
        }
    }

    fn variable(&mut self, name: &str, value: &mut Value, place: Place) {
        if value.is_object() || value.is_array() {
            return self.value(value, place);
        }
        let literal = match &*value {
            Value::String(text) => text.clone(),
            Value::Null => return,
            other => other.to_string(),
        };
        let secret = names::sensitive(name);
        let stays = literal.is_empty()
            || literal.starts_with("<redacted")
            || match self.env {
                EnvPolicy::Hidden => false,
                EnvPolicy::Harmless => {
                    is_plain(&literal) && (!secret || matches!(literal.as_str(), "true" | "false"))
                }
                EnvPolicy::Shown => !secret || names::harmless(&literal, names::password(name)),
            };
        if !stays {
            self.hide(value);
        }
    }

    /// Certificates of authorities are public, and long.
    fn bundle(&mut self, value: &mut Value, place: Place) {
        let Value::String(text) = &*value else {
            return self.value(value, place);
        };
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap_or_default();
        let only_certificates = String::from_utf8(bytes)
            .is_ok_and(|pem| pem.contains("BEGIN CERTIFICATE") && !pem.contains("PRIVATE"));
        if only_certificates {
            *value = Value::String("(a bundle of certificates)".to_owned());
        } else {
            self.string(value);
        }
    }

    /// Lists of strings: a command's flags, a key's lines, a token in parts.
    fn strings(&mut self, items: &mut [Value]) {
        if items.len() < 2 || !items.iter().all(Value::is_string) {
            return;
        }
        let mut expected = false;
        for item in items.iter_mut() {
            let Value::String(text) = &*item else { continue };
            let is_flag = text.starts_with('-');
            let hides = expected && !is_flag && !names::harmless(text, true);
            expected = is_flag
                && !text.contains('=')
                && !text.contains(char::is_whitespace)
                && names::sensitive(text);
            if hides {
                self.hide(item);
            }
        }
        let mut scrub = scrub::Scrub::new(self.env, false, self.encodings);
        let mut out = Vec::new();
        for (tag, item) in items.iter().enumerate() {
            let Value::String(text) = item else { continue };
            for line in clean::clean(text).split('\n') {
                scrub.line(line, tag, &mut out);
            }
        }
        scrub.finish(&mut out);
        if scrub.hits() == 0 {
            return;
        }
        self.hits += scrub.hits();
        let mut texts: Vec<Vec<String>> = vec![Vec::new(); items.len()];
        for (tag, line) in out {
            if let (Some(lines), Some(line)) = (texts.get_mut(tag), line) {
                lines.push(line);
            }
        }
        for (item, lines) in items.iter_mut().zip(texts) {
            *item = Value::String(lines.join("\n"));
        }
    }

    fn string(&mut self, value: &mut Value) {
        let Value::String(text) = &*value else { return };
        let cleaned = clean::clean(text);
        let mut new = None;
        if let Some((json, hits)) = self.json(&cleaned) {
            self.hits += hits;
            new = Some(json);
        }
        let (scrubbed, hits) = scrub::text(new.as_deref().unwrap_or(&cleaned), self.env, self.encodings);
        self.hits += hits;
        let new = scrubbed.or(new);
        match (new, cleaned) {
            (Some(new), _) => *value = Value::String(new),
            (None, std::borrow::Cow::Owned(cleaned)) => *value = Value::String(cleaned),
            (None, std::borrow::Cow::Borrowed(_)) => {}
        }
    }

    /// JSON within a string, if something of it was hidden.
    fn json(&self, text: &str) -> Option<(String, u32)> {
        let trimmed = text.trim();
        if self.encodings >= ENCODINGS || !trimmed.starts_with(['{', '[']) {
            return None;
        }
        let mut inner: Value = serde_json::from_str(trimmed).ok()?;
        let mut redactor = Self::nested(self.env, self.encodings + 1);
        redactor.object(&mut inner);
        if redactor.hits == 0 {
            return None;
        }
        let written = if trimmed.contains('\n') {
            serde_json::to_string_pretty(&inner)
        } else {
            serde_json::to_string(&inner)
        };
        Some((written.unwrap_or_else(|_| REDACTED.to_owned()), redactor.hits))
    }

    /// Hides every value below; keys stay, lengths don't.
    fn hide(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for value in map.values_mut() {
                    if value.is_object() || value.is_array() {
                        // No Secret has such; whatever it is, nothing of it is told.
                        dismantle(std::mem::take(value));
                    }
                    self.hide(value);
                }
            }
            Value::String(text) if text.is_empty() || text.starts_with("<redacted") || text == "<empty>" => {
                if text.is_empty() {
                    *value = Value::String("<empty>".to_owned());
                }
            }
            Value::String(text) if text.len() > LARGE => {
                *value = Value::String("<redacted, large>".to_owned());
                self.hits += 1;
            }
            _ => {
                dismantle(std::mem::replace(value, Value::String(REDACTED.to_owned())));
                self.hits += 1;
            }
        }
    }
}

/// Whether text that is JSON has a secret by its structure.
pub(super) fn json_holds_secret(text: &str, encodings: u8) -> bool {
    Redactor::nested(EnvPolicy::Shown, encodings).json(text).is_some()
}

/// Whether this is a Secret, or could be one for all that is known: without a kind, values under `data` are taken for secrets.
fn is_secret(map: &Map<String, Value>, place: Place) -> bool {
    match map.get("kind").and_then(Value::as_str) {
        Some(kind) => kind.eq_ignore_ascii_case("secret"),
        None if place.secrets => true,
        None => {
            let object = map.contains_key("metadata")
                || map
                    .get("type")
                    .and_then(Value::as_str)
                    .is_some_and(|kind| kind == "Opaque" || kind.contains(".io/"));
            object && map.get("data").is_some_and(Value::is_object)
        }
    }
}

fn is_kubeconfig(map: &Map<String, Value>) -> bool {
    let config = map
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("config"));
    config
        && ["users", "clusters", "contexts"]
            .iter()
            .any(|key| map.get(*key).is_some_and(Value::is_array))
}

/// Keys under which there are environment variables, in pods and in what makes pods.
fn is_environment(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    lower == "env"
        || lower == "environment"
        || lower.ends_with("envvars")
        || lower.ends_with("extraenv")
        || lower == "envs"
        || lower == "environmentvariables"
}

/// What plainly can't be a secret.
fn is_plain(literal: &str) -> bool {
    let lower = literal.to_ascii_lowercase();
    let word = matches!(
        lower.as_str(),
        "true"
            | "false"
            | "yes"
            | "no"
            | "on"
            | "off"
            | "trace"
            | "debug"
            | "info"
            | "notice"
            | "warn"
            | "warning"
            | "error"
            | "fatal"
            | "panic"
            | "critical"
    );
    let digits = literal.strip_prefix('-').unwrap_or(literal);
    word || (!digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Drops a value without descending: a hostile one could be deeper than the stack.
pub(crate) fn dismantle(value: Value) {
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(map) => rest.extend(map.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
}
