//! What the API's endpoints do with a payload that was opened and found to be its sender's.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    behaviour::Endpoint,
    contents::{Contents, File, Folder, Query, Record},
    crypto::{self, Key},
    wire::{Refusal, payload},
};

/// What an endpoint replies; None: nothing.
type Reply = Result<Option<Value>, Refusal>;

/// Does it. `origin` is the server as this client calls it: `https://host:port`.
pub(super) fn act(contents: &mut Contents, endpoint: Endpoint, asked: &Value, origin: &str) -> Reply {
    match endpoint {
        Endpoint::GetSecret => {
            let asked: Get = payload(asked)?;
            let query = Query {
                records: asked.requested_records.unwrap_or_default(),
                folders: asked.requested_folders.unwrap_or_default(),
            };
            Ok(Some(contents.secrets(&query, origin)))
        }
        Endpoint::GetFolders => Ok(Some(contents.folder_tree())),
        Endpoint::CreateSecret => create_secret(contents, payload(asked)?),
        Endpoint::UpdateSecret => update_secret(contents, payload(asked)?),
        Endpoint::FinalizeSecretUpdate => end_update(contents, payload(asked)?, |_, _| ()),
        Endpoint::RollbackSecretUpdate => end_update(contents, payload(asked)?, Record::write),
        Endpoint::DeleteSecret => delete_secret(contents, payload(asked)?),
        Endpoint::AddFile => add_file(contents, payload(asked)?, origin),
        Endpoint::CreateFolder => create_folder(contents, payload(asked)?),
        Endpoint::UpdateFolder => update_folder(contents, payload(asked)?),
        Endpoint::DeleteFolder => delete_folder(contents, &payload(asked)?),
        Endpoint::Upload | Endpoint::Download => Err(Refusal::bad_request("files have URLs of their own")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Get {
    requested_records: Option<Vec<String>>,
    requested_folders: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateSecret {
    record_uid: String,
    record_key: String,
    folder_uid: String,
    folder_key: String,
    data: String,
    sub_folder_uid: Option<String>,
}

fn create_secret(contents: &mut Contents, asked: CreateSecret) -> Reply {
    new_uid(&asked.record_uid, contents.record(&asked.record_uid).is_some())?;
    let shared = shared_folder(contents, &asked.folder_uid)?;
    let key = unwrapped("folderKey", &asked.folder_key, |sealed| {
        crypto::decrypt_key(&shared.key, sealed)
    })?;
    for_owner(contents, "recordKey", &asked.record_key, &key)?;
    let data = document("data", &asked.data, &key)?;
    let folder = asked.sub_folder_uid.unwrap_or_else(|| asked.folder_uid.clone());
    if !contents.is_within(&folder, &asked.folder_uid) {
        return Err(Refusal::bad_request("subFolderUid isn't below folderUid"));
    }
    contents.records.push(Record {
        uid: asked.record_uid,
        key,
        data,
        revision: 1,
        editable: true,
        folder: Some(folder),
        files: Vec::new(),
        damage: None,
        before: None,
    });
    Ok(None)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateSecret {
    record_uid: String,
    data: String,
    revision: Option<i64>,
    transaction_type: Option<String>,
    links2_remove: Option<Vec<String>>,
}

fn update_secret(contents: &mut Contents, asked: UpdateSecret) -> Reply {
    let record = editable(contents, &asked.record_uid, asked.revision)?;
    let data = document("data", &asked.data, &record.key)?;
    match asked.transaction_type.as_deref() {
        None | Some("") => record.before = None,
        // Shown at once; what was before is kept until the client says how it ended.
        Some("general" | "rotation") => {
            record.before.get_or_insert_with(|| record.data.clone());
        }
        Some(other) => {
            return Err(Refusal::bad_request(&format!(
                "transactionType {other:?} is unknown"
            )));
        }
    }
    record.write(data);
    let gone = asked.links2_remove.unwrap_or_default();
    record.files.retain(|file| !gone.contains(&file.uid));
    Ok(None)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndUpdate {
    record_uid: String,
}

fn end_update(contents: &mut Contents, asked: EndUpdate, with: fn(&mut Record, Vec<u8>)) -> Reply {
    let record = contents
        .record_mut(&asked.record_uid)
        .ok_or_else(|| no_record(&asked.record_uid))?;
    match record.before.take() {
        Some(before) => with(record, before),
        None => {
            return Err(Refusal::bad_request(&format!(
                "record {} has no update that awaits its end",
                asked.record_uid
            )));
        }
    }
    Ok(None)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteSecret {
    record_uids: Vec<String>,
}

fn delete_secret(contents: &mut Contents, asked: DeleteSecret) -> Reply {
    let mut answers = Vec::new();
    for uid in asked.record_uids {
        let answer = match contents.record(&uid) {
            None => json!({"recordUid": uid, "responseCode": "not_found", "errorMessage": "no such record"}),
            Some(record) if !record.editable => {
                json!({"recordUid": uid, "responseCode": "access_denied", "errorMessage": "read only"})
            }
            Some(_) => {
                contents.records.retain(|record| record.uid != uid);
                json!({"recordUid": uid, "responseCode": "ok"})
            }
        };
        answers.push(answer);
    }
    Ok(Some(json!({"records": answers})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddFile {
    file_record_uid: String,
    file_record_key: String,
    file_record_data: String,
    owner_record_uid: String,
    owner_record_data: String,
    owner_record_revision: Option<i64>,
    link_key: String,
    file_size: u64,
}

fn add_file(contents: &mut Contents, asked: AddFile, origin: &str) -> Reply {
    let record = editable(contents, &asked.owner_record_uid, asked.owner_record_revision)?;
    let record_key = record.key;
    let key = unwrapped("linkKey", &asked.link_key, |sealed| {
        crypto::decrypt_key(&record_key, sealed)
    })?;
    for_owner(contents, "fileRecordKey", &asked.file_record_key, &key)?;
    let data = document("fileRecordData", &asked.file_record_data, &key)?;
    let owner = document("ownerRecordData", &asked.owner_record_data, &record_key)?;
    if asked.file_size < 28 {
        return Err(Refusal::bad_request(
            "fileSize is less than an encrypted file has",
        ));
    }
    let ticket = crypto::uid();
    let record = editable(contents, &asked.owner_record_uid, asked.owner_record_revision)?;
    record.write(owner);
    record.files.push(File {
        uid: asked.file_record_uid,
        key,
        data,
        content: None,
        ticket: ticket.clone(),
    });
    Ok(Some(json!({
        "url": format!("{origin}/files"),
        // Goes with the file, as the form of an object store does.
        "parameters": json!({"key": ticket}).to_string(),
        "successStatusCode": 204,
    })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateFolder {
    folder_uid: String,
    shared_folder_uid: String,
    shared_folder_key: String,
    data: String,
    parent_uid: Option<String>,
}

fn create_folder(contents: &mut Contents, asked: CreateFolder) -> Reply {
    new_uid(&asked.folder_uid, contents.folder(&asked.folder_uid).is_some())?;
    let shared = shared_folder(contents, &asked.shared_folder_uid)?;
    let key = unwrapped("sharedFolderKey", &asked.shared_folder_key, |sealed| {
        crypto::decrypt_key_cbc(&shared.key, sealed)
    })?;
    let parent = asked
        .parent_uid
        .filter(|uid| !uid.is_empty())
        .unwrap_or_else(|| asked.shared_folder_uid.clone());
    if !contents.is_within(&parent, &asked.shared_folder_uid) {
        return Err(Refusal::bad_request("parentUid isn't below sharedFolderUid"));
    }
    let name = folder_name(&asked.data, &key)?;
    contents.folders.push(Folder {
        uid: asked.folder_uid,
        key,
        name,
        parent: Some(parent),
    });
    Ok(None)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateFolder {
    folder_uid: String,
    data: String,
}

fn update_folder(contents: &mut Contents, asked: UpdateFolder) -> Reply {
    let folder = contents
        .folders
        .iter_mut()
        .find(|folder| folder.uid == asked.folder_uid)
        .ok_or_else(|| no_folder(&asked.folder_uid))?;
    folder.name = folder_name(&asked.data, &folder.key)?;
    Ok(None)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteFolder {
    folder_uids: Vec<String>,
    #[serde(default)]
    force_deletion: bool,
}

fn delete_folder(contents: &mut Contents, asked: &DeleteFolder) -> Reply {
    let mut answers = Vec::new();
    for uid in &asked.folder_uids {
        let inside = |folder: Option<&String>| folder == Some(uid);
        let is_empty = !contents
            .records
            .iter()
            .any(|record| inside(record.folder.as_ref()))
            && !contents
                .folders
                .iter()
                .any(|folder| inside(folder.parent.as_ref()));
        // What isn't there is gone, as its caller wants it.
        let code = if is_empty || asked.force_deletion {
            contents.remove_folder(uid);
            "ok"
        } else {
            "not_empty"
        };
        answers.push(json!({"folderUid": uid, "responseCode": code}));
    }
    Ok(Some(json!({"folders": answers})))
}

fn editable<'c>(
    contents: &'c mut Contents,
    uid: &str,
    revision: Option<i64>,
) -> Result<&'c mut Record, Refusal> {
    let record = contents.record_mut(uid).ok_or_else(|| no_record(uid))?;
    if !record.editable {
        return Err(Refusal::access_denied(&format!("record {uid} is read only")));
    }
    if revision.is_some_and(|revision| revision != record.revision) {
        return Err(Refusal::out_of_sync(uid));
    }
    Ok(record)
}

fn shared_folder<'c>(contents: &'c Contents, uid: &str) -> Result<&'c Folder, Refusal> {
    let folder = contents.folder(uid).ok_or_else(|| no_folder(uid))?;
    match folder.parent {
        None => Ok(folder),
        Some(_) => Err(Refusal::bad_request(&format!("{uid} isn't a shared folder"))),
    }
}

/// UIDs are 16 bytes that the client has chosen.
fn new_uid(uid: &str, exists: bool) -> Result<(), Refusal> {
    if exists {
        return Err(Refusal::bad_request(&format!("{uid} exists already")));
    }
    match crypto::decode(uid) {
        Some(bytes) if bytes.len() == 16 => Ok(()),
        _ => Err(Refusal::bad_request(&format!("{uid:?} isn't a UID"))),
    }
}

fn unwrapped(
    name: &str,
    text: &str,
    unwrap: impl FnOnce(&[u8]) -> Result<Key, crypto::Undecryptable>,
) -> Result<Key, Refusal> {
    crypto::decode(text)
        .and_then(|sealed| unwrap(&sealed).ok())
        .ok_or_else(|| Refusal::bad_request(&format!("{name} isn't a key wrapped by the right one")))
}

/// The owner must be able to read what a client makes, too.
fn for_owner(contents: &Contents, name: &str, text: &str, key: &Key) -> Result<(), Refusal> {
    let same = unwrapped(name, text, |sealed| contents.owner.decrypt_key(sealed))? == *key;
    if same {
        Ok(())
    } else {
        Err(Refusal::bad_request(&format!("{name} holds another key")))
    }
}

/// A JSON document, decrypted.
fn document(name: &str, text: &str, key: &Key) -> Result<Vec<u8>, Refusal> {
    let plain = crypto::decode(text)
        .and_then(|sealed| crypto::decrypt(key, &sealed).ok())
        .ok_or_else(|| Refusal::bad_request(&format!("{name} isn't encrypted with its key")))?;
    match serde_json::from_slice(&plain) {
        Ok(Value::Object(_)) => Ok(plain),
        _ => Err(Refusal::bad_request(&format!("{name} isn't a JSON object"))),
    }
}

fn folder_name(text: &str, key: &Key) -> Result<String, Refusal> {
    let plain = crypto::decode(text).and_then(|sealed| crypto::decrypt_cbc(key, &sealed).ok());
    let document: Option<Value> = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
    document
        .and_then(|document| document["name"].as_str().map(str::to_owned))
        .ok_or_else(|| Refusal::bad_request("data isn't a folder's, encrypted with its key"))
}

fn no_record(uid: &str) -> Refusal {
    Refusal::access_denied(&format!("there is no record {uid}"))
}

fn no_folder(uid: &str) -> Refusal {
    Refusal::access_denied(&format!("there is no folder {uid}"))
}
