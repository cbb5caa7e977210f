//! One value of a field.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use zeroize::{Zeroize, Zeroizing};

/// Text mostly; a number, or an object such as a host with its port. Never printed, overwritten when dropped (the keys of
/// objects aren't: they are names).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Value(Json);

impl Value {
    /// Takes the value over.
    #[must_use]
    pub fn new(value: Json) -> Self {
        Self(value)
    }

    /// The value, for whoever writes it where it belongs.
    #[must_use]
    pub fn expose(&self) -> &Json {
        &self.0
    }

    /// Text as it is; anything else as compact JSON, except that null is empty.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(match &self.0 {
            Json::Null => String::new(),
            Json::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// Whether nobody filled it in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Json::Null => true,
            Json::String(text) => text.is_empty(),
            Json::Array(items) => items.is_empty(),
            Json::Object(properties) => properties.is_empty(),
            Json::Bool(_) | Json::Number(_) => false,
        }
    }

    /// A property, if it is an object and has it.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<Self> {
        self.0.get(name).cloned().map(Self)
    }

    /// An array of values.
    #[must_use]
    pub fn all(values: &[Self]) -> Self {
        Self(values.iter().map(|value| value.0.clone()).collect())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(Json::from(text))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites all text in JSON.
fn wipe(value: &mut Json) {
    match value {
        Json::String(text) => text.zeroize(),
        Json::Array(items) => items.iter_mut().for_each(wipe),
        Json::Object(properties) => properties.values_mut().for_each(wipe),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_text_or_compact_json() {
        for (value, text) in [
            (json!("a b"), "a b"),
            (json!(5432), "5432"),
            (json!(true), "true"),
            (json!(null), ""),
            (json!({"hostName": "db"}), r#"{"hostName":"db"}"#),
            (json!(["a", "b"]), r#"["a","b"]"#),
        ] {
            assert_eq!(Value::new(value).text().as_str(), text);
        }
    }

    #[test]
    fn wiping_leaves_no_text() {
        let mut value = json!({"a": ["secret", {"b": "secret"}], "c": "secret"});
        wipe(&mut value);
        assert_eq!(value, json!({"a": ["", {"b": ""}], "c": ""}));
    }
}
