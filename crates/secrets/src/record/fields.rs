//! A record's fields by name, and single values of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Field, Record, Value};
use crate::{
    hidden::Hidden,
    notation::{Index, Notation, Section, Selector},
};

/// Fields by their name, in alphabetical order: what formats write and templates see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(pub BTreeMap<String, Value>);

/// A value that a record doesn't have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingField {
    /// No such field.
    #[error("record {record:?} has no field {field:?}; it has {}", list(.there))]
    Absent {
        /// The record's title.
        record: String,
        /// The field's name.
        field: String,
        /// The names that there are.
        there: Vec<String>,
    },
    /// Nobody filled it in, or not that far.
    #[error("record {record:?}: {field} has no value; fill it in, or ask for another")]
    Empty {
        /// The record's title.
        record: String,
        /// The field as it was asked for.
        field: String,
    },
}

impl Record {
    /// All fields with values. The name is the label, else the type; a single value is unwrapped; a custom field replaces a
    /// standard one of its name. References to attached files are left out: the files are asked for themselves. The second
    /// part are warnings.
    #[must_use]
    pub fn named(&self) -> (Fields, Vec<String>) {
        let mut fields = BTreeMap::new();
        let mut warnings = Vec::new();
        for section in [&self.fields, &self.custom] {
            let mut own: BTreeMap<&str, Value> = BTreeMap::new();
            for field in section {
                let Some(value) = field.value() else { continue };
                if own.contains_key(field.name()) {
                    warnings.push(format!(
                        "record {:?} has several fields {:?}; the first is taken, so give them labels",
                        self.title,
                        field.name()
                    ));
                } else {
                    own.insert(field.name(), value);
                }
            }
            fields.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        (Fields(fields), warnings)
    }

    /// Only these fields, by name; else by type. They are named as they were asked for.
    ///
    /// # Errors
    /// The first that is absent or empty.
    pub fn only(&self, names: &[String]) -> Result<Fields, MissingField> {
        let (all, _) = self.named();
        let one = |name: &String| {
            let value = all.0.get(name).cloned();
            let value = value.or_else(|| {
                let mut of_type = self.custom.iter().chain(&self.fields);
                of_type.find_map(|field| field.value().filter(|_| field.kind == *name))
            });
            let is_named = |field: &Field| field.is(name);
            match value {
                Some(value) => Ok((name.clone(), value)),
                None if self.fields.iter().chain(&self.custom).any(is_named) => Err(self.empty(name)),
                None => Err(self.absent(name, self.fields.iter().chain(&self.custom))),
            }
        };
        names.iter().map(one).collect::<Result<_, _>>().map(Fields)
    }

    /// The value that a notation names, unless that is a file: then `None`.
    ///
    /// # Errors
    /// If there is none.
    pub fn value(&self, notation: &Notation) -> Result<Option<Value>, MissingField> {
        Ok(Some(match &notation.selector {
            Selector::File(_) => return Ok(None),
            Selector::Type => Value::from(self.kind.as_str()),
            Selector::Title => Value::from(self.title.as_str()),
            Selector::Notes => {
                let notes = self.notes.as_ref().and_then(Hidden::expose_text);
                Value::from(notes.ok_or_else(|| self.empty("notes"))?)
            }
            Selector::Field {
                section,
                name,
                index,
                property,
            } => {
                let fields = match section {
                    Section::Standard => &self.fields,
                    Section::Custom => &self.custom,
                };
                let field = fields.iter().find(|field| field.label == *name);
                let field = field
                    .or_else(|| fields.iter().find(|field| field.kind == *name))
                    .ok_or_else(|| self.absent(name, fields.iter()))?;
                let none = || self.empty(&notation.to_string());
                let property_of = |value: &Value| match property {
                    Some(property) => value.property(property),
                    None => Some(value.clone()),
                };
                match index {
                    Index::First | Index::At(_) => {
                        let at = if let Index::At(at) = index { *at } else { 0 };
                        let value = field.values.get(at).and_then(property_of);
                        value.filter(|value| !value.is_empty()).ok_or_else(none)?
                    }
                    Index::All => {
                        let values: Vec<Value> = field.values.iter().filter_map(property_of).collect();
                        if values.is_empty() {
                            return Err(none());
                        }
                        Value::all(&values)
                    }
                }
            }
        }))
    }

    fn absent<'a>(&self, name: &str, there: impl Iterator<Item = &'a Field>) -> MissingField {
        MissingField::Absent {
            record: self.title.clone(),
            field: name.to_owned(),
            there: there.map(|field| field.name().to_owned()).collect(),
        }
    }

    fn empty(&self, field: &str) -> MissingField {
        MissingField::Empty {
            record: self.title.clone(),
            field: field.to_owned(),
        }
    }
}

impl Field {
    /// Label, else type.
    fn name(&self) -> &str {
        match (self.label.trim(), self.kind.as_str()) {
            ("", "") => "field",
            ("", kind) => kind,
            (label, _) => label,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name() == name || self.kind == name
    }

    /// The value, or an array of several; `None` if there is none, or it is of no use outside the vault.
    fn value(&self) -> Option<Value> {
        let is_reference = self.kind == "fileRef";
        match self.values.as_slice() {
            _ if is_reference => None,
            [] => None,
            [one] => Some(one.clone()).filter(|value| !value.is_empty()),
            several => Some(Value::all(several)),
        }
    }
}

impl Fields {
    /// The only field's value as text; `None` unless there is exactly one.
    #[must_use]
    pub fn single(&self) -> Option<Zeroizing<String>> {
        match self.0.values().collect::<Vec<_>>().as_slice() {
            [value] => Some(value.text()),
            _ => None,
        }
    }
}

/// Labels are free text, and an error is one line.
fn list(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown: Vec<String> = names
        .iter()
        .take(MOST)
        .map(|name| name.escape_debug().to_string())
        .collect();
    match names.len() {
        0 => "none".to_owned(),
        all if all > MOST => format!("{} and {} more", shown.join(", "), all - MOST),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Record {
        let data = json!({"title": "DB", "type": "databaseCredentials", "fields": [
            {"type": "login", "label": "Username", "value": ["admin"]},
            {"type": "password", "value": ["standard"]},
            {"type": "url", "value": []},
            {"type": "fileRef", "value": ["someUid"]},
            {"type": "host", "value": [{"hostName": "db", "port": "5432"}]},
            {"type": "phone", "value": [{"number": "1"}, {"number": "2"}]}],
            "custom": [{"type": "text", "label": "password", "value": ["custom"]}], "notes": "n"});
        Record::read("uid", data.to_string().as_bytes()).unwrap()
    }

    fn value(notation: &str) -> Result<Value, MissingField> {
        Ok(record().value(&notation.parse().unwrap())?.unwrap())
    }

    #[test]
    fn fields_have_their_label_or_type_as_a_name_and_custom_ones_win() {
        let (fields, warnings) = record().named();
        let expected = json!({"Username": "admin", "password": "custom", "host": {"hostName": "db", "port": "5432"},
            "phone": [{"number": "1"}, {"number": "2"}]});
        assert_eq!(serde_json::to_value(&fields).unwrap(), expected);
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn of_two_fields_with_one_name_the_first_is_taken_and_it_is_said() {
        let mut record = record();
        let mut second = record.fields[1].clone();
        second.values = vec![Value::from("second")];
        record.fields.push(second);
        record.custom.clear();
        let (fields, warnings) = record.named();
        assert_eq!(fields.0["password"], Value::from("standard"));
        assert!(
            warnings[0].contains("several fields \"password\""),
            "{warnings:?}"
        );
    }

    #[test]
    fn chosen_fields_are_found_by_label_and_by_type() {
        let names = ["login".to_owned(), "Username".to_owned()];
        let fields = record().only(&names).unwrap();
        assert_eq!(
            serde_json::to_value(&fields).unwrap(),
            json!({"login": "admin", "Username": "admin"})
        );
    }

    #[test]
    fn a_lost_field_is_an_error_with_names_and_without_values() {
        let error = record().only(&["pasword".to_owned()]).unwrap_err().to_string();
        assert_eq!(
            error,
            "record \"DB\" has no field \"pasword\"; it has Username, password, url, fileRef, host, phone, password"
        );
        let error = record().only(&["url".to_owned()]).unwrap_err().to_string();
        assert_eq!(
            error,
            "record \"DB\": url has no value; fill it in, or ask for another"
        );
    }

    #[test]
    fn a_notation_names_one_value() {
        for (notation, expected) in [
            ("keeper://uid/field/password", json!("standard")),
            ("keeper://uid/custom_field/password", json!("custom")),
            ("keeper://uid/field/login", json!("admin")),
            ("keeper://uid/field/host[hostName]", json!("db")),
            ("keeper://uid/field/phone[1][number]", json!("2")),
            ("keeper://uid/field/phone[][number]", json!(["1", "2"])),
            ("keeper://uid/title", json!("DB")),
            ("keeper://uid/type", json!("databaseCredentials")),
            ("keeper://uid/notes", json!("n")),
        ] {
            assert_eq!(value(notation), Ok(Value::new(expected)), "{notation}");
        }
        for notation in [
            "keeper://uid/field/url",
            "keeper://uid/field/phone[2]",
            "keeper://uid/field/host[user]",
            "keeper://uid/custom_field/login",
        ] {
            assert!(value(notation).is_err(), "{notation}");
        }
    }
}
