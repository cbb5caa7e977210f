//! Records and folders, as a vault hands them out.
//!
//! Values have no printable form and are overwritten when dropped. UIDs, titles, types and labels are names, and stand in
//! errors.

mod fields;
mod select;
mod value;

use serde::Deserialize;

pub use fields::{Fields, MissingField};
pub(crate) use select::one;
pub use select::{Found, SelectError, folder, record};
pub use value::Value;

use crate::hidden::Hidden;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// 22 base64url characters.
    pub uid: String,
    /// Its title; several records may have the same.
    pub title: String,
    /// Its type: `login`, `databaseCredentials`, …
    pub kind: String,
    /// UIDs of the folders it is in.
    pub folders: Vec<String>,
    /// The fields of its type.
    pub fields: Vec<Field>,
    /// Those that somebody added.
    pub custom: Vec<Field>,
    /// Free text.
    pub notes: Option<Hidden>,
    /// What is attached to it.
    pub files: Vec<Attachment>,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Field {
    /// Its type: `login`, `password`, `host`, …
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What people call it; may be empty.
    #[serde(default)]
    pub label: String,
    /// Its values, often one.
    #[serde(rename = "value", default)]
    pub values: Vec<Value>,
}

/// An attached file, without its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Attachment {
    /// Its UID.
    pub uid: String,
    /// The name it was uploaded with.
    pub name: String,
    /// What people call it.
    #[serde(default)]
    pub title: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// Its media type.
    #[serde(rename = "type", default)]
    pub mime: String,
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its UID.
    pub uid: String,
    /// The folder it is in; `None` for one that was shared.
    pub parent: Option<String>,
    /// Its name, in which case matters.
    pub name: String,
}

/// A record's decrypted data isn't the JSON of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "record {uid}: its data is no JSON object with title, type and fields; open and save it in the vault"
)]
pub struct InvalidRecord {
    /// The record's UID.
    pub uid: String,
}

impl Record {
    /// Reads a record's decrypted data: `{"title", "type", "fields": [{"type", "label", "value": []}], "custom", "notes"}`.
    /// Folders and files aren't in it.
    ///
    /// # Errors
    /// If it is anything else. The data isn't quoted.
    pub fn read(uid: &str, data: &[u8]) -> Result<Self, InvalidRecord> {
        let data: Data = serde_json::from_slice(data).map_err(|_| InvalidRecord { uid: uid.to_owned() })?;
        Ok(Self {
            uid: uid.to_owned(),
            title: data.title,
            kind: data.kind,
            folders: Vec::new(),
            fields: data.fields,
            custom: data.custom,
            notes: data.notes.filter(|notes| !notes.is_empty()).map(Hidden::from),
            files: Vec::new(),
        })
    }
}

#[derive(Deserialize)]
struct Data {
    title: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    fields: Vec<Field>,
    #[serde(default)]
    custom: Vec<Field>,
    #[serde(default)]
    notes: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = r#"{"title": "DB", "type": "login", "fields": [
        {"type": "login", "value": ["adminuser"]},
        {"type": "password", "label": "", "value": ["hunter-two"], "required": true}],
        "custom": [{"type": "text", "label": "Region", "value": ["eu-west"]}], "notes": "call-bob"}"#;

    #[test]
    fn reads_what_the_vault_keeps() {
        let record = Record::read("A", DATA.as_bytes()).unwrap();
        assert_eq!((record.title.as_str(), record.kind.as_str()), ("DB", "login"));
        assert_eq!(
            (record.fields.len(), record.custom[0].label.as_str()),
            (2, "Region")
        );
    }

    #[test]
    fn no_value_stands_in_debug_output_or_errors() {
        let record = Record::read("A", DATA.as_bytes()).unwrap();
        let broken = Record::read("A", &DATA.as_bytes()[..DATA.len() - 1]).unwrap_err();
        let printed = format!("{record:?} {record:#?} {:?} {broken} {broken:?}", record.named());
        for value in ["adminuser", "hunter-two", "eu-west", "call-bob"] {
            assert!(!printed.contains(value), "{value} in {printed}");
        }
    }
}
