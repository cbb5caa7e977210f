//! The official Keeper Secrets Manager crate, unmodified, against the test kit's server.
//!
//! usage: `keeper-official-rust SCENARIO < INPUT.json`
//!
//! Prints what the caller is to look up in the vault, as JSON. Panics if something isn't as it should be.

use std::{
    collections::BTreeSet,
    io, panic,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use keeper_secrets_manager_core::{
    ClientOptions, InMemoryKeyValueStorage, KSMRError, KvStoreType, SecretsManager,
    core::core::CustomPostFunction,
    dto::{
        CreateOptions, EncryptedPayload, KeeperField, KsmHttpResponse, TransmissionKey, dtos::RecordCreate,
    },
};
use reqwest::{Certificate, blocking::Client};
use serde_json::{Value, json};

fn main() {
    let given: Value = serde_json::from_reader(io::stdin()).expect("JSON on standard input");
    let scenario = std::env::args().nth(1).expect("a scenario");
    match scenario.as_str() {
        "bind" => bind(&given),
        "read" => read(&given),
        "damaged" => damaged(&given),
        "write" => write(&given),
        "folders" => folders(&given),
        "asked_again" => asked_again(&given),
        "refused" => refused(&given),
        "panics" => panics(&given),
        "asks_for_ever" => asks_for_ever(&given),
        other => panic!("there is no scenario {other}"),
    }
}

fn text<'g>(given: &'g Value, name: &str) -> &'g str {
    given[name].as_str().expect("text in the input")
}

/// Posts to the server's own port, believing its authority: what the crate's own way can't be told.
fn post(given: &Value) -> CustomPostFunction {
    let ca = Certificate::from_pem(text(given, "ca").as_bytes()).expect("a certificate");
    let client = Client::builder().tls_certs_only([ca]).build().expect("a client");
    let host_port = text(given, "host").to_owned();
    Arc::new(
        move |url: String, key: TransmissionKey, payload: EncryptedPayload| {
            let path = url.splitn(4, '/').nth(3).expect("a path");
            let base64 = keeper_secrets_manager_core::utils::bytes_to_base64;
            let failed = |error: reqwest::Error| KSMRError::HTTPError(error.to_string());
            let response = client
                .post(format!("https://{host_port}/{path}"))
                .header("PublicKeyId", &key.public_key_id)
                .header("TransmissionKey", base64(&key.encrypted_key))
                .header(
                    "Authorization",
                    format!("Signature {}", base64(payload.signature.as_bytes())),
                )
                .body(payload.encrypted_payload)
                .send()
                .map_err(failed)?;
            let status = response.status().as_u16();
            let body = response.bytes().map_err(failed)?;
            let text = String::from_utf8_lossy(&body).into_owned();
            Ok(KsmHttpResponse::new(status, body.to_vec(), text))
        },
    )
}

fn storage(config: Option<&str>) -> KvStoreType {
    InMemoryKeyValueStorage::new_config_storage(config.map(str::to_owned)).expect("a configuration")
}

fn manager(given: &Value, mut options: ClientOptions) -> SecretsManager {
    let post = post(given);
    options.set_custom_post_function(move |url, key, payload| post(url, key, payload));
    let mut manager = SecretsManager::new(options).expect("a manager");
    manager.set_custom_sleep_function(|_| ());
    manager
}

fn bound(given: &Value) -> SecretsManager {
    manager(
        given,
        ClientOptions::new_client_options(storage(Some(text(given, "config")))),
    )
}

fn with_token(given: &Value) -> SecretsManager {
    let mut options =
        ClientOptions::new_client_options_with_token(text(given, "token").to_owned(), storage(None));
    options.hostname = Some(text(given, "host").to_owned());
    options.set_server_public_key(text(given, "key"));
    options.set_server_public_key_id(text(given, "key_id"));
    manager(given, options)
}

fn bind(given: &Value) {
    let mut manager = with_token(given);
    for _ in 0..2 {
        let records = manager.get_secrets(Vec::new()).expect("records");
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].uid, text(given, "uid"));
    }
    let error = with_token(given).get_secrets(Vec::new()).unwrap_err().to_string();
    assert!(error.contains("access_denied"), "{error}");
}

fn read(given: &Value) {
    let mut manager = bound(given);
    let records = manager.get_secrets(Vec::new()).expect("records");
    assert_eq!(records.len(), 3);
    let uid = text(given, "direct");
    let one = manager
        .get_secrets(vec![uid.to_owned()])
        .expect("records")
        .remove(0);
    assert_eq!(
        (one.title.as_str(), one.record_type.as_str()),
        ("database", "login")
    );
    assert_eq!(one.revision, Some(1));
    assert_eq!(
        one.get_standard_field_value("password", true).expect("a value"),
        given["password"]
    );
    assert_eq!(one.get_custom_field_value("port", true).expect("a value"), "5432");
    let inner = manager
        .get_secrets(vec![text(given, "in_subfolder").to_owned()])
        .expect("records")
        .remove(0);
    assert_eq!(inner.folder_uid, text(given, "folder"));
    assert_eq!(inner.inner_folder_uid.as_deref(), Some(text(given, "subfolder")));
    let notation = format!("keeper://{uid}/field/password");
    assert_eq!(
        manager.get_notation(notation).expect("a value"),
        given["password"]
    );
    let file = one.files.first().expect("a file");
    assert_eq!((file.name.as_str(), file.title.as_str()), ("key.bin", "key.bin"));
}

fn damaged(given: &Value) {
    let records = bound(given).get_secrets(Vec::new()).expect("records");
    let uids: Vec<&str> = records.iter().map(|record| record.uid.as_str()).collect();
    assert_eq!(uids, [text(given, "good")]);
}

fn write(given: &Value) {
    let mut manager = bound(given);
    let uid = text(given, "uid").to_owned();
    let mut record = manager.get_secrets(vec![uid]).expect("records").remove(0);
    record
        .set_standard_field_value_mut("password", json!("changed"))
        .expect("a field");
    manager.update_secret(record.clone()).expect("an update");
    let error = manager.update_secret(record).unwrap_err().to_string();
    assert!(error.contains("out_of_sync"), "{error}");

    let mut new = RecordCreate::new("login", "made by a client", None);
    let mut login = KeeperField::new("login", None);
    login.value = json!(["me"]);
    new.fields = Some(vec![login]);
    let created = manager
        .create_secret(text(given, "subfolder"), new)
        .expect("a record");
    let deleted = manager
        .delete_secret(vec![text(given, "doomed").to_owned()])
        .expect("an answer");
    assert!(deleted.contains(text(given, "doomed")), "{deleted}");
    println!("{}", json!({"created": created}));
}

fn folders(given: &Value) {
    let mut manager = bound(given);
    let top = text(given, "top").to_owned();
    let made = manager
        .create_folder(CreateOptions::new(top, None), "made".to_owned(), Vec::new())
        .expect("a folder");
    let folders = manager.get_folders().expect("folders");
    let names: BTreeSet<&str> = folders.iter().map(|folder| folder.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["top", "inner", "made"]));
    manager.delete_folder(vec![made], false).expect("an answer");
}

fn asked_again(given: &Value) {
    assert_eq!(bound(given).get_secrets(Vec::new()).expect("records").len(), 1);
}

fn refused(given: &Value) {
    let error = bound(given).get_secrets(Vec::new()).unwrap_err().to_string();
    assert!(error.contains(text(given, "error")), "{error}");
}

/// Known to go wrong in this version. If it doesn't any more, those who guard themselves against it should know.
fn panics(given: &Value) {
    let mut manager = bound(given);
    let attempt = panic::AssertUnwindSafe(|| manager.get_secrets(Vec::new()).map(|records| records.len()));
    let result = panic::catch_unwind(attempt);
    assert!(result.is_err(), "no panic any more: {result:?}");
}

/// Known to go wrong, too: with a key of the server's in its configuration, the crate asks again with the same one.
fn asks_for_ever(given: &Value) {
    let post = post(given);
    let asked = Arc::new(AtomicU32::new(0));
    let mut options = ClientOptions::new_client_options(storage(Some(text(given, "old"))));
    options.set_custom_post_function(move |url, key, payload| {
        if asked.fetch_add(1, Ordering::Relaxed) == 20 {
            return Err(KSMRError::HTTPError("20 times are enough".to_owned()));
        }
        post(url, key, payload)
    });
    let mut manager = SecretsManager::new(options).expect("a manager");
    let error = manager.get_secrets(Vec::new()).unwrap_err().to_string();
    assert!(error.contains("20 times are enough"), "{error}");
}
