//! What tests put into the vault, and look up in it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    contents::{Contents, Damage, File, Folder, Record},
    crypto,
    server::Shared,
};

/// A record to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRecord {
    /// Its title. Several records may have the same.
    pub title: String,
    /// Its type: `login`, `databaseCredentials`, `file`, …
    #[serde(rename = "type", default = "login")]
    pub kind: String,
    /// The fields of its type.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// Fields that its author has added.
    #[serde(default)]
    pub custom: Vec<Field>,
    /// Free text.
    #[serde(default)]
    pub notes: Option<String>,
    /// What is attached to it.
    #[serde(default)]
    pub files: Vec<NewFile>,
    /// What it is to be called: 22 characters of URL-safe base64. None: anything new.
    #[serde(default)]
    pub uid: Option<String>,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its type: `login`, `password`, `url`, `host`, `text`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// What people call it, beside the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its values: text, or objects for types such as `host`.
    pub value: Vec<Value>,
}

/// A file to be attached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFile {
    /// Its name.
    pub name: String,
    /// Its bytes; in a vault file, text.
    #[serde(with = "text")]
    pub content: Vec<u8>,
    /// Its title. None: its name.
    #[serde(default)]
    pub title: Option<String>,
    /// Its media type. None: `application/octet-stream`.
    #[serde(default)]
    pub media_type: Option<String>,
}

/// The vault of a server, as its owner sees it. Changes are there with the next request.
///
/// Methods panic on a UID that isn't there: the test is wrong then.
#[derive(Clone, Debug)]
pub struct Vault {
    pub(super) shared: Arc<Shared>,
}

impl NewRecord {
    /// A record of type `login` with both fields.
    pub fn login(title: &str, login: &str, password: &str) -> Self {
        Self {
            fields: vec![Field::new("login", login), Field::new("password", password)],
            ..Self::new(title, "login")
        }
    }

    /// A record without fields.
    pub fn new(title: &str, kind: &str) -> Self {
        Self {
            title: title.to_owned(),
            kind: kind.to_owned(),
            ..Self::default()
        }
    }

    /// With a custom field.
    #[must_use]
    pub fn custom(mut self, field: Field) -> Self {
        self.custom.push(field);
        self
    }

    /// With a field of its type.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// With a file.
    #[must_use]
    pub fn file(mut self, name: &str, content: &[u8]) -> Self {
        self.files.push(NewFile {
            name: name.to_owned(),
            content: content.to_owned(),
            ..NewFile::default()
        });
        self
    }
}

impl Field {
    /// A field with one value.
    pub fn new(kind: &str, value: impl Into<Value>) -> Self {
        Self {
            kind: kind.to_owned(),
            label: None,
            value: vec![value.into()],
        }
    }

    /// With a label.
    #[must_use]
    pub fn labelled(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }
}

impl Vault {
    /// Shares a new record with the application itself, and returns its UID.
    pub fn add(&self, record: NewRecord) -> String {
        self.insert(record, None)
    }

    /// Makes a record in a folder, and returns its UID.
    pub fn add_to(&self, folder: &str, record: NewRecord) -> String {
        self.insert(record, Some(folder))
    }

    /// Gives a record other contents and a new revision. Its place and key stay; its files are these.
    pub fn replace(&self, uid: &str, record: NewRecord) {
        self.edit(uid, |old| {
            let (data, files) = made(record);
            old.write(data);
            old.files = files;
        });
    }

    /// Sets the only value of a field, found by its label or else its type, among the custom ones last.
    pub fn set_field(&self, uid: &str, field: &str, value: impl Into<Value>) {
        let value = value.into();
        self.edit(uid, |record| {
            let mut document = record.document();
            *field_of(&mut document, field) = json!([value]);
            record.write(document.to_string().into_bytes());
        });
    }

    /// Takes a record away.
    pub fn remove(&self, uid: &str) {
        self.edit(uid, |_| ());
        self.with(|contents| contents.records.retain(|record| record.uid != uid));
    }

    /// Sends a record damaged, until [`Vault::repair`].
    pub fn damage(&self, uid: &str, damage: Damage) {
        self.edit(uid, |record| record.damage = Some(damage));
    }

    /// Sends a record as it is.
    pub fn repair(&self, uid: &str) {
        self.edit(uid, |record| record.damage = None);
    }

    /// Lets clients change a record, or not.
    pub fn set_editable(&self, uid: &str, editable: bool) {
        self.edit(uid, |record| record.editable = editable);
    }

    /// A record's document (`title`, `type`, `fields`, `custom`, `notes`), whoever wrote it last. None: there is none.
    pub fn record(&self, uid: &str) -> Option<Value> {
        self.with(|contents| contents.record(uid).map(Record::document))
    }

    /// The UIDs of all records, oldest first.
    pub fn records(&self) -> Vec<String> {
        self.with(|contents| contents.records.iter().map(|record| record.uid.clone()).collect())
    }

    /// The bytes of a record's file. None: it has none of this name, or they haven't been uploaded.
    pub fn file(&self, uid: &str, name: &str) -> Option<Vec<u8>> {
        self.with(|contents| {
            let mut files = contents.record(uid)?.files.iter();
            let file = files.find(|file| {
                let document: Value = serde_json::from_slice(&file.data).unwrap_or_default();
                document["name"] == name
            })?;
            file.content.clone()
        })
    }

    /// A shared folder; returns its UID.
    pub fn add_folder(&self, name: &str) -> String {
        self.insert_folder(name, None)
    }

    /// A folder in a folder; returns its UID.
    pub fn add_subfolder(&self, parent: &str, name: &str) -> String {
        self.insert_folder(name, Some(parent))
    }

    /// Takes a folder away, with all that is in it.
    pub fn remove_folder(&self, uid: &str) {
        self.with(|contents| {
            assert!(contents.folder(uid).is_some(), "there is no folder {uid}");
            contents.remove_folder(uid);
        });
    }

    /// All folders, parents first: UID, name, and the parent's UID.
    pub fn folders(&self) -> Vec<(String, String, Option<String>)> {
        let one = |folder: &Folder| (folder.uid.clone(), folder.name.clone(), folder.parent.clone());
        self.with(|contents| contents.folders.iter().map(one).collect())
    }

    /// The folder that a record is in. None: it is shared with the application itself.
    pub fn folder_of(&self, uid: &str) -> Option<String> {
        let mut folder = None;
        self.edit(uid, |record| folder.clone_from(&record.folder));
        folder
    }

    /// Warnings that stand in every reply.
    pub fn set_warnings(&self, warnings: &[&str]) {
        self.with(|contents| contents.warnings = warnings.iter().map(|&text| text.to_owned()).collect());
    }

    fn insert(&self, mut record: NewRecord, folder: Option<&str>) -> String {
        let uid = record.uid.take().unwrap_or_else(crypto::uid);
        let (data, files) = made(record);
        self.with(|contents| {
            assert!(contents.record(&uid).is_none(), "there is a record {uid} already");
            assert!(
                folder.is_none_or(|folder| contents.folder(folder).is_some()),
                "there is no folder {folder:?}"
            );
            contents.records.push(Record {
                uid: uid.clone(),
                key: crypto::random(),
                data,
                revision: 1,
                editable: true,
                folder: folder.map(str::to_owned),
                files,
                damage: None,
                before: None,
            });
        });
        uid
    }

    fn insert_folder(&self, name: &str, parent: Option<&str>) -> String {
        let uid = crypto::uid();
        self.with(|contents| {
            assert!(
                parent.is_none_or(|parent| contents.folder(parent).is_some()),
                "there is no folder {parent:?}"
            );
            contents.folders.push(Folder {
                uid: uid.clone(),
                key: crypto::random(),
                name: name.to_owned(),
                parent: parent.map(str::to_owned),
            });
        });
        uid
    }

    fn edit(&self, uid: &str, change: impl FnOnce(&mut Record)) {
        self.with(|contents| match contents.record_mut(uid) {
            Some(record) => change(record),
            None => panic!("there is no record {uid}"),
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut Contents) -> T) -> T {
        look(&mut self.shared.lock().contents)
    }
}

/// The document of a record, with a field that refers to its files, and the files.
fn made(record: NewRecord) -> (Vec<u8>, Vec<File>) {
    let files: Vec<File> = record.files.into_iter().map(made_file).collect();
    let mut fields = json!(record.fields);
    if let (Some(fields), false) = (fields.as_array_mut(), files.is_empty()) {
        let uids: Vec<&str> = files.iter().map(|file| file.uid.as_str()).collect();
        fields.push(json!({"type": "fileRef", "value": uids}));
    }
    let mut document = json!({
        "title": record.title,
        "type": record.kind,
        "fields": fields,
        "custom": record.custom,
    });
    if let Some(notes) = record.notes {
        document["notes"] = notes.into();
    }
    (document.to_string().into_bytes(), files)
}

fn made_file(file: NewFile) -> File {
    let data = json!({
        "title": file.title.as_ref().unwrap_or(&file.name),
        "name": file.name,
        "type": file.media_type.as_deref().unwrap_or("application/octet-stream"),
        "size": file.content.len(),
        "lastModified": jiff::Timestamp::now().as_millisecond(),
    });
    File {
        uid: crypto::uid(),
        key: crypto::random(),
        data: data.to_string().into_bytes(),
        content: Some(file.content),
        ticket: crypto::uid(),
    }
}

fn field_of<'d>(document: &'d mut Value, name: &str) -> &'d mut Value {
    let place = ["label", "type"]
        .iter()
        .flat_map(|by| ["fields", "custom"].map(|list| (*by, list)))
        .find_map(|(by, list)| {
            let at = document[list]
                .as_array()?
                .iter()
                .position(|field| field[by] == name)?;
            Some((list, at))
        });
    match place {
        Some((list, at)) => &mut document[list][at]["value"],
        None => panic!("the record has no field {name}"),
    }
}

fn login() -> String {
    "login".to_owned()
}

/// Bytes that stand in a vault file as text.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        String::deserialize(from).map(String::into_bytes)
    }
}
