//! Replies, decrypted already, and what is in them: keys wrapped in keys. Each part is read for itself, so that a damaged one costs
//! no other.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use http::Uri;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    Damaged, FileRef, Folder, Malformed, Part, Place, Record, Vault, Why, base64, config::host_of,
    crypto::Key, text::plain,
};

/// The longest UID that is believed; real ones have 22 characters.
const LONGEST_UID: usize = 64;
/// How deep folders may lie in each other.
const DEEPEST: usize = 100;
const MOST_WARNINGS: usize = 20;

/// Reads the reply to `get_secret`.
pub(crate) fn read_secrets(plain: &[u8], app_key: &Key) -> Result<Vault, Malformed> {
    let reply = object(plain)?;
    let records = list(&reply, "records").ok_or(Malformed::WithoutRecords)?;
    let folders = list(&reply, "folders").ok_or(Malformed::WithoutFolders)?;
    let mut reader = Reader::default();
    for shown in records {
        reader.record(shown, app_key, None);
    }
    for shown in folders {
        reader.shared_folder(shown, app_key);
    }
    reader.vault.warnings = warnings(reply.get("warnings"));
    Ok(reader.vault)
}

/// Reads the reply to `get_folders`, and adds it to the vault.
pub(crate) fn read_folders(plain: &[u8], app_key: &Key, vault: &mut Vault) -> Result<(), Malformed> {
    let reply = object(plain)?;
    let shown = list(&reply, "folders").ok_or(Malformed::WithoutFolders)?;
    let parents: HashMap<&str, Option<&str>> = shown
        .iter()
        .filter_map(|shown| Some((uid(shown, "folderUid").ok()?, parent(shown))))
        .collect();
    let shared: HashMap<&str, Result<Key, Why>> = shown
        .iter()
        .filter(|shown| parent(shown).is_none())
        .filter_map(|shown| Some((uid(shown, "folderUid").ok()?, shared_key(shown, app_key))))
        .collect();
    let known: HashSet<String> = vault
        .damaged
        .iter()
        .filter(|damaged| damaged.part == Part::Folder)
        .map(|damaged| damaged.uid.clone())
        .collect();
    for shown in shown {
        match folder(shown, &parents, &shared) {
            Ok(folder) => vault.folders.push(folder),
            Err(why) => {
                let uid = uid(shown, "folderUid").unwrap_or_default().to_owned();
                if !known.contains(&uid) {
                    let part = Part::Folder;
                    vault.damaged.push(Damaged { part, uid, why });
                }
            }
        }
    }
    Ok(())
}

/// A vault in the making.
#[derive(Default)]
struct Reader {
    vault: Vault,
    /// Where in the vault a record is that may be shown again, in another folder.
    known: HashMap<String, usize>,
}

impl Reader {
    fn shared_folder(&mut self, shown: &Value, app_key: &Key) {
        let key = uid(shown, "folderUid").and_then(|uid| Ok((uid, shared_key(shown, app_key)?)));
        let records = list_of(shown, "records");
        match key {
            Ok((uid, key)) => {
                for record in records.unwrap_or_default() {
                    self.record(record, &key, Some(uid));
                }
                if records.is_none() {
                    self.damaged(Part::Folder, uid, Why::Missing("records"));
                }
            }
            Err(why) => {
                self.damaged(Part::Folder, uid(shown, "folderUid").unwrap_or_default(), why);
                for record in records.unwrap_or_default() {
                    let uid = uid(record, "recordUid").unwrap_or_default();
                    self.damaged(Part::Record, uid, Why::Folder);
                }
            }
        }
    }

    fn record(&mut self, shown: &Value, wrapping: &Key, shared_folder: Option<&str>) {
        if let Err(why) = self.try_record(shown, wrapping, shared_folder) {
            self.damaged(Part::Record, uid(shown, "recordUid").unwrap_or_default(), why);
        }
    }

    fn try_record(&mut self, shown: &Value, wrapping: &Key, shared_folder: Option<&str>) -> Result<(), Why> {
        let uid = uid(shown, "recordUid")?;
        let place = place(shown, shared_folder)?;
        let known = match self.known.entry(uid.to_owned()) {
            Entry::Occupied(known) => {
                self.vault.records[*known.get()].places.extend(place);
                return Ok(());
            }
            Entry::Vacant(vacant) => vacant,
        };
        let key = record_key(shown, wrapping)?;
        let data = key.open(&bytes(shown, "data")?).map_err(|_| Why::Data)?;
        if !is_object(&data) {
            return Err(Why::NotJson);
        }
        let mut files = Vec::new();
        for shown in list_of(shown, "files").unwrap_or_default() {
            match file(shown, &key) {
                Ok(file) => files.push(file),
                Err(why) => self.vault.damaged.push(Damaged {
                    part: Part::File(uid.to_owned()),
                    uid: self::uid(shown, "fileUid").unwrap_or_default().to_owned(),
                    why,
                }),
            }
        }
        known.insert(self.vault.records.len());
        self.vault.records.push(Record {
            uid: uid.to_owned(),
            places: place.into_iter().collect(),
            revision: shown.get("revision").and_then(Value::as_i64).unwrap_or_default(),
            data,
            files,
        });
        Ok(())
    }

    fn damaged(&mut self, part: Part, uid: &str, why: Why) {
        let uid = uid.to_owned();
        self.vault.damaged.push(Damaged { part, uid, why });
    }
}

/// A record without a key of its own is encrypted with the one that would have wrapped it.
fn record_key(shown: &Value, wrapping: &Key) -> Result<Key, Why> {
    match shown.get("recordKey") {
        None | Some(Value::Null) => Ok(wrapping.clone()),
        Some(Value::String(none)) if none.is_empty() => Ok(wrapping.clone()),
        Some(_) => wrapping
            .open_key(&bytes(shown, "recordKey")?)
            .map_err(|_| Why::Key),
    }
}

fn place(shown: &Value, shared_folder: Option<&str>) -> Result<Option<Place>, Why> {
    let shared_folder = match text(shown, "folderUid") {
        Some(_) => Some(uid(shown, "folderUid")?),
        None => shared_folder,
    };
    let inner_folder = match text(shown, "innerFolderUid") {
        Some(_) => Some(uid(shown, "innerFolderUid")?.to_owned()),
        None => None,
    };
    Ok(shared_folder.map(|uid| Place {
        shared_folder: uid.to_owned(),
        inner_folder: inner_folder.filter(|inner| inner != uid),
    }))
}

fn file(shown: &Value, record_key: &Key) -> Result<FileRef, Why> {
    let uid = uid(shown, "fileUid")?;
    let key = record_key
        .open_key(&bytes(shown, "fileKey")?)
        .map_err(|_| Why::Key)?;
    let data = key.open(&bytes(shown, "data")?).map_err(|_| Why::Data)?;
    let about = object(&data).map_err(|_| Why::NotJson)?;
    let said = |name: &str| {
        let text = about.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let url = text(shown, "url").ok_or(Why::Missing("url"))?;
    Ok(FileRef {
        uid: uid.to_owned(),
        name: said("name"),
        title: said("title"),
        media_type: said("type"),
        size: about.get("size").and_then(Value::as_u64).unwrap_or_default(),
        host: https_host(url).ok_or(Why::Url)?,
        url: Zeroizing::new(url.to_owned()),
        key,
    })
}

fn https_host(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let is_plain = uri.scheme_str() == Some("https") && !authority.as_str().contains('@');
    is_plain.then(|| host_of(authority))
}

fn folder(
    shown: &Value,
    parents: &HashMap<&str, Option<&str>>,
    shared: &HashMap<&str, Result<Key, Why>>,
) -> Result<Folder, Why> {
    let uid = uid(shown, "folderUid")?;
    let above = match text(shown, "parent") {
        Some(_) => Some(self::uid(shown, "parent")?),
        None => None,
    };
    let root = root(uid, parents).ok_or(Why::NoSharedFolder)?;
    let root_key = match shared.get(root).ok_or(Why::NoSharedFolder)? {
        Ok(key) => key,
        Err(why) if above.is_none() => return Err(*why),
        Err(_) => return Err(Why::Folder),
    };
    let key = match above {
        None => root_key.clone(),
        Some(_) => root_key
            .open_key_cbc(&bytes(shown, "folderKey")?)
            .map_err(|_| Why::Key)?,
    };
    let name = match text(shown, "data") {
        None => String::new(),
        Some(_) => {
            let data = key.open_cbc(&bytes(shown, "data")?).map_err(|_| Why::Data)?;
            let about = object(&data).map_err(|_| Why::NotJson)?;
            let name = about.get("name").and_then(Value::as_str);
            name.unwrap_or_default().to_owned()
        }
    };
    Ok(Folder {
        uid: uid.to_owned(),
        parent: above.map(str::to_owned),
        name,
    })
}

/// The shared folder above, or the folder itself if it is one. None: they go in a circle, too deep, or to nowhere.
fn root<'r>(uid: &'r str, parents: &HashMap<&'r str, Option<&'r str>>) -> Option<&'r str> {
    let mut at = uid;
    for _ in 0..DEEPEST {
        match parents.get(at)? {
            Some(parent) => at = parent,
            None => return Some(at),
        }
    }
    None
}

fn shared_key(shown: &Value, app_key: &Key) -> Result<Key, Why> {
    app_key
        .open_key(&bytes(shown, "folderKey")?)
        .map_err(|_| Why::Key)
}

fn parent(shown: &Value) -> Option<&str> {
    text(shown, "parent")
}

fn object(plain: &[u8]) -> Result<Map<String, Value>, Malformed> {
    serde_json::from_slice(plain).map_err(|_| Malformed::NotJson)
}

/// Whether this is a JSON object, without a copy of what is in it.
fn is_object(plain: &[u8]) -> bool {
    serde_json::from_slice::<HashMap<String, serde::de::IgnoredAny>>(plain).is_ok()
}

/// Null is a list without anything. None: there is no list.
fn list<'r>(reply: &'r Map<String, Value>, name: &str) -> Option<&'r [Value]> {
    as_list(reply.get(name)?)
}

/// As [`list`], of a part that needn't have one.
fn list_of<'r>(shown: &'r Value, name: &str) -> Option<&'r [Value]> {
    shown.get(name).map_or(Some(&[]), as_list)
}

fn as_list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(list) => Some(list),
        Value::Null => Some(&[]),
        _ => None,
    }
}

/// A text that isn't empty.
fn text<'r>(shown: &'r Value, name: &str) -> Option<&'r str> {
    shown.get(name)?.as_str().filter(|text| !text.is_empty())
}

fn uid<'r>(shown: &'r Value, name: &'static str) -> Result<&'r str, Why> {
    let is_proper = |uid: &&str| {
        uid.len() <= LONGEST_UID
            && uid
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text(shown, name).filter(is_proper).ok_or(Why::Missing(name))
}

fn bytes(shown: &Value, name: &'static str) -> Result<Zeroizing<Vec<u8>>, Why> {
    let text = text(shown, name).ok_or(Why::Missing(name))?;
    base64::decode(text).ok_or(Why::NotBase64(name))
}

fn warnings(value: Option<&Value>) -> Vec<String> {
    let texts: Vec<&Value> = match value {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(value) => vec![value],
        None => Vec::new(),
    };
    let texts = texts.into_iter().filter_map(Value::as_str);
    texts
        .take(MOST_WARNINGS)
        .map(plain)
        .filter(|text| !text.is_empty())
        .collect()
}

#[cfg(test)]
mod tests;
