//! What an application may see, decrypted.

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::Key;

/// All that an application may see, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct Vault {
    /// All records that can be read, each once, in the order of the reply.
    pub records: Vec<Record>,
    /// All folders that can be read; none unless they were asked for.
    pub folders: Vec<Folder>,
    /// What can't be read.
    pub damaged: Vec<Damaged>,
    /// What the service wants people to know, cleaned and cut.
    pub warnings: Vec<String>,
}

/// A record. UIDs here have nothing in them but letters, digits, `-` and `_`.
#[derive(Clone)]
pub struct Record {
    /// Its UID.
    pub uid: String,
    /// Where it is: none if it is shared with the application alone, several if it is in several shared folders.
    pub places: Vec<Place>,
    /// Counts its changes. 0: the service doesn't say.
    pub revision: i64,
    /// The JSON object that its author wrote: `title`, `type`, `fields`, `custom`, `notes`. Wiped when dropped.
    pub data: Zeroizing<Vec<u8>>,
    /// What is attached to it.
    pub files: Vec<FileRef>,
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The shared folder's UID.
    pub shared_folder: String,
    /// The folder below it. None: at its top.
    pub inner_folder: Option<String>,
}

/// A file, which [`crate::Client::download`] gets.
#[derive(Clone)]
pub struct FileRef {
    /// Its UID.
    pub uid: String,
    /// Its name as its author gave it: anything at all, such as `../x`.
    pub name: String,
    /// Its title, likewise.
    pub title: String,
    /// Its media type, likewise. Empty: unknown.
    pub media_type: String,
    /// How many bytes it should have. 0: unknown.
    pub size: u64,
    /// A secret: who knows it can get the file, if encrypted.
    pub(crate) url: Zeroizing<String>,
    pub(crate) host: String,
    pub(crate) key: Key,
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its UID.
    pub uid: String,
    /// The folder that it is in. None: a shared folder.
    pub parent: Option<String>,
    /// Its name as its author gave it: anything at all. Empty: it has none.
    pub name: String,
}

/// Something that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// What it is.
    pub part: Part,
    /// Its UID; empty if that is what is wrong.
    pub uid: String,
    /// What is wrong.
    pub why: Why,
}

/// What can be damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A record.
    Record,
    /// A file of the record with this UID, which itself can be read.
    File(String),
    /// A folder.
    Folder,
}

/// Why something can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A member isn't there, or isn't of its kind.
    #[error("has no proper {0}")]
    Missing(&'static str),
    /// A member isn't base64.
    #[error("has something else than base64 as {0}")]
    NotBase64(&'static str),
    /// Its key isn't wrapped with the key that should be.
    #[error("has a key that can't be decrypted")]
    Key,
    /// Its data isn't encrypted with its key.
    #[error("has data that can't be decrypted")]
    Data,
    /// Its data is something else than a JSON object.
    #[error("has data that isn't a JSON object")]
    NotJson,
    /// It is in a shared folder that can't be read.
    #[error("is in a folder that can't be read")]
    Folder,
    /// The folders above it don't lead to a shared one.
    #[error("isn't below any shared folder")]
    NoSharedFolder,
    /// It is a file whose URL isn't one of `https:`.
    #[error("has no https address")]
    Url,
}

impl Record {
    /// Whether it is in this folder itself, not in one below.
    pub fn is_in(&self, folder: &str) -> bool {
        self.places
            .iter()
            .any(|place| place.inner_folder.as_ref().unwrap_or(&place.shared_folder) == folder)
    }
}

impl FileRef {
    /// The host that it is downloaded from: often another than the service's own. In lower case, without a port or brackets.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("uid", &self.uid)
            .field("places", &self.places)
            .field("revision", &self.revision)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRef")
            .field("uid", &self.uid)
            .field("size", &self.size)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uid = if self.uid.is_empty() {
            "without a UID"
        } else {
            &self.uid
        };
        match &self.part {
            Part::Record => write!(f, "record {uid} {}", self.why),
            Part::File(record) => write!(f, "file {uid} of record {record} {}", self.why),
            Part::Folder => write!(f, "folder {uid} {}", self.why),
        }
    }
}
