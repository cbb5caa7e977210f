//! What the vault holds, in the clear, and how a client of the application is shown it.

use serde_json::{Value, json};

use super::crypto::{self, Key, Recipient};

/// Everything that is shared with one application.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) app_key: Key,
    pub(super) owner: Recipient,
    pub(super) folders: Vec<Folder>,
    pub(super) records: Vec<Record>,
    pub(super) warnings: Vec<String>,
}

/// A shared folder, or one below it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) uid: String,
    pub(super) key: Key,
    pub(super) name: String,
    /// None: a shared folder, whose key the application's wraps.
    pub(super) parent: Option<String>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) uid: String,
    pub(super) key: Key,
    /// The JSON document, byte by byte as its author wrote it.
    pub(super) data: Vec<u8>,
    pub(super) revision: i64,
    pub(super) editable: bool,
    /// The innermost one. None: shared with the application itself.
    pub(super) folder: Option<String>,
    pub(super) files: Vec<File>,
    pub(super) damage: Option<Damage>,
    /// What it was before an update that awaits its end.
    pub(super) before: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct File {
    pub(super) uid: String,
    pub(super) key: Key,
    /// The JSON document.
    pub(super) data: Vec<u8>,
    /// None: announced, and not uploaded yet.
    pub(super) content: Option<Vec<u8>>,
    /// Stands in its URLs, which need nothing else.
    pub(super) ticket: String,
}

/// What is wrong with a record as clients get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Its key isn't wrapped by the key that it should be.
    Key,
    /// Its data isn't encrypted with its key.
    Data,
    /// Its data decrypts to something that isn't JSON.
    NotJson,
    /// Its data isn't base64.
    NotBase64,
}

/// What a client asks for. Empty filters let all through.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) records: Vec<String>,
    pub(super) folders: Vec<String>,
}

impl Contents {
    pub(super) fn new() -> Self {
        Self {
            app_key: crypto::random(),
            owner: Recipient::generate(),
            folders: Vec::new(),
            records: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn folder(&self, uid: &str) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.uid == uid)
    }

    pub(super) fn record(&self, uid: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.uid == uid)
    }

    pub(super) fn record_mut(&mut self, uid: &str) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.uid == uid)
    }

    pub(super) fn file_mut(&mut self, ticket: &str) -> Option<&mut File> {
        let mut files = self.records.iter_mut().flat_map(|record| &mut record.files);
        files.find(|file| file.ticket == ticket)
    }

    /// The shared folder that a folder is in; itself, if it is one.
    pub(super) fn shared_folder(&self, uid: &str) -> Option<&Folder> {
        let folder = self.folder(uid)?;
        match &folder.parent {
            Some(parent) => self.shared_folder(parent),
            None => Some(folder),
        }
    }

    /// Whether one folder is another, or below it.
    pub(super) fn is_within(&self, uid: &str, ancestor: &str) -> bool {
        uid == ancestor
            || self
                .folder(uid)
                .and_then(|folder| folder.parent.as_ref())
                .is_some_and(|parent| self.is_within(parent, ancestor))
    }

    /// Takes a folder away, with all that is in it.
    pub(super) fn remove_folder(&mut self, uid: &str) {
        let within: Vec<String> = self
            .folders
            .iter()
            .map(|folder| folder.uid.clone())
            .filter(|folder| self.is_within(folder, uid))
            .collect();
        self.folders.retain(|folder| !within.contains(&folder.uid));
        self.records.retain(|record| {
            record
                .folder
                .as_ref()
                .is_none_or(|folder| !within.contains(folder))
        });
    }

    /// The reply to `get_secret`. `origin` is what URLs of files begin with: `https://host:port`.
    pub(super) fn secrets(&self, query: &Query, origin: &str) -> Value {
        let wanted: Vec<&Record> = self
            .records
            .iter()
            .filter(|record| self.is_wanted(record, query))
            .collect();
        let shown = |record: &&Record, key: &Key| {
            let mut shown = record.shown(key, origin);
            // Where in the shared folder it is, unless at its top.
            let folder = record.folder.as_ref().and_then(|folder| self.folder(folder));
            if let Some(inner) = folder.filter(|folder| folder.parent.is_some()) {
                shown["innerFolderUid"] = inner.uid.as_str().into();
            }
            shown
        };
        let records: Vec<Value> = wanted
            .iter()
            .filter(|record| record.folder.is_none())
            .map(|record| shown(record, &self.app_key))
            .collect();
        let mut folders = Vec::new();
        for folder in self.folders.iter().filter(|folder| folder.parent.is_none()) {
            let inside: Vec<Value> = wanted
                .iter()
                .filter(|record| self.is_in(record, &folder.uid))
                .map(|record| shown(record, &folder.key))
                .collect();
            // An empty folder is shown too, or nobody could make a record in it.
            if !inside.is_empty() || query.is_everything() {
                folders.push(json!({
                    "folderUid": folder.uid,
                    "folderKey": crypto::encode(&crypto::encrypt(&self.app_key, &folder.key)),
                    "records": inside,
                }));
            }
        }
        let app = json!({"title": "mk8s tests", "type": "app"}).to_string();
        let mut reply = json!({
            "records": records,
            "folders": folders,
            "appData": crypto::encode_url(&crypto::encrypt(&self.app_key, app.as_bytes())),
            "expiresOn": 0,
        });
        if !self.warnings.is_empty() {
            reply["warnings"] = json!(self.warnings);
        }
        reply
    }

    /// The reply to `get_folders`: parents stand before their children.
    pub(super) fn folder_tree(&self) -> Value {
        let folders: Vec<Value> = self
            .folders
            .iter()
            .map(|folder| self.shown_folder(folder))
            .collect();
        json!({"folders": folders})
    }

    fn shown_folder(&self, folder: &Folder) -> Value {
        let name = json!({"name": folder.name}).to_string();
        let data = crypto::encode(&crypto::encrypt_cbc(&folder.key, name.as_bytes()));
        match &folder.parent {
            None => json!({
                "folderUid": folder.uid,
                "folderKey": crypto::encode(&crypto::encrypt(&self.app_key, &folder.key)),
                "data": data,
            }),
            Some(parent) => {
                let shared = self.shared_folder(parent).expect("a folder's parent is there");
                json!({
                    "folderUid": folder.uid,
                    "folderKey": crypto::encode(&crypto::encrypt_cbc(&shared.key, &folder.key)),
                    "data": data,
                    "parent": parent,
                })
            }
        }
    }

    fn is_wanted(&self, record: &Record, query: &Query) -> bool {
        let by_uid = query.records.is_empty() || query.records.contains(&record.uid);
        let by_folder = query.folders.is_empty() || query.folders.iter().any(|uid| self.is_in(record, uid));
        by_uid && by_folder
    }

    fn is_in(&self, record: &Record, folder: &str) -> bool {
        record
            .folder
            .as_ref()
            .is_some_and(|inner| self.is_within(inner, folder))
    }
}

impl Query {
    fn is_everything(&self) -> bool {
        self.records.is_empty() && self.folders.is_empty()
    }
}

impl Record {
    /// The document; null if a client wrote something else.
    pub(super) fn document(&self) -> Value {
        serde_json::from_slice(&self.data).unwrap_or_default()
    }

    /// Takes over a new document.
    pub(super) fn write(&mut self, data: Vec<u8>) {
        self.data = data;
        self.revision += 1;
    }

    fn shown(&self, wrapping: &Key, origin: &str) -> Value {
        let key = match self.damage {
            Some(Damage::Key) => crypto::random::<60>().to_vec(),
            _ => crypto::encrypt(wrapping, &self.key),
        };
        let data = match self.damage {
            Some(Damage::Data) => crypto::encode(&crypto::random::<200>()),
            Some(Damage::NotJson) => crypto::encode(&crypto::encrypt(&self.key, b"{\"title\": oh")),
            Some(Damage::NotBase64) => "%%%".to_owned(),
            _ => crypto::encode(&crypto::encrypt(&self.key, &self.data)),
        };
        let files: Vec<Value> = self
            .files
            .iter()
            .filter(|file| file.content.is_some())
            .map(|file| file.shown(&self.key, origin))
            .collect();
        json!({
            "recordUid": self.uid,
            "recordKey": crypto::encode(&key),
            "data": data,
            "revision": self.revision,
            "isEditable": self.editable,
            "files": files,
        })
    }
}

impl File {
    fn shown(&self, record_key: &Key, origin: &str) -> Value {
        json!({
            "fileUid": self.uid,
            "fileKey": crypto::encode(&crypto::encrypt(record_key, &self.key)),
            "data": crypto::encode(&crypto::encrypt(&self.key, &self.data)),
            "url": format!("{origin}/files/{}", self.ticket),
            "thumbnailUrl": null,
        })
    }
}
