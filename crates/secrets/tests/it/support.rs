//! Pods' annotations, and a small vault.

use std::collections::BTreeMap;

use mk8s_secrets::{
    contract::{self, ContractError, Reading, Request},
    outputs::{Fetched, Outcome, produce},
    record::{Attachment, Folder, Record},
};
use serde_json::{Value, json};

pub(crate) const NAMESPACE: &str = "team-a";

/// Reads annotations, given without their prefix.
pub(crate) fn read(annotations: &[(&str, &str)]) -> Result<Reading, ContractError> {
    let prefixed = annotations
        .iter()
        .map(|(name, value)| (format!("keeper.security/{name}"), (*value).to_owned()));
    contract::read(&prefixed.collect(), NAMESPACE)
}

/// The same with what every pod needs.
pub(crate) fn read_usual(more: &[(&str, &str)]) -> Result<Reading, ContractError> {
    let usual = [("inject", "true"), ("ksm-config", "keeper-auth")];
    read(&usual.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
}

pub(crate) fn request(more: &[(&str, &str)]) -> Request {
    let reading = read_usual(more).unwrap_or_else(|error| panic!("{more:?}: {error}"));
    reading.request.expect("a request")
}

pub(crate) fn errors(more: &[(&str, &str)]) -> Vec<String> {
    match read_usual(more) {
        Ok(reading) => panic!("{more:?} is taken: {reading:?}"),
        Err(ContractError(findings)) => findings.iter().map(ToString::to_string).collect(),
    }
}

pub(crate) fn warnings(more: &[(&str, &str)]) -> Vec<String> {
    let reading = read_usual(more).unwrap_or_else(|error| panic!("{more:?}: {error}"));
    reading.warnings.iter().map(ToString::to_string).collect()
}

/// Exactly one, which says so.
#[track_caller]
pub(crate) fn assert_one(found: &[String], begins: &str, about: &str) {
    assert!(
        found.len() == 1 && found[0].starts_with(begins) && found[0].contains(about),
        "expected {begins:?} … {about:?}, got {found:#?}"
    );
}

pub(crate) fn record(uid: &str, folders: &[&str], data: Value) -> Record {
    let mut record = Record::read(uid, data.to_string().as_bytes()).expect("a record");
    record.folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
    record
}

pub(crate) fn attachment(uid: &str, name: &str) -> Attachment {
    Attachment {
        uid: uid.to_owned(),
        name: name.to_owned(),
        title: String::new(),
        size: 1,
        mime: String::new(),
    }
}

/// Two records in a folder, one of them with files.
pub(crate) fn vault() -> Fetched {
    let field = |kind: &str, value: &str| json!({"type": kind, "value": [value]});
    let database = json!({"title": "My DB", "type": "databaseCredentials",
        "fields": [field("login", "admin"), field("password", "p'w $(id)")],
        "custom": [{"type": "text", "label": "region", "value": ["eu"]}]});
    let mut server = record(
        "server-uid",
        &["folder-b"],
        json!({"title": "Server", "type": "login",
        "fields": [field("login", "root"), field("password", "toor")]}),
    );
    server.files = vec![attachment("f-crt", "cert.pem"), attachment("f-key", "key.pem")];
    let folder = |uid: &str, parent: Option<&str>, name: &str| Folder {
        uid: uid.to_owned(),
        parent: parent.map(str::to_owned),
        name: name.to_owned(),
    };
    Fetched {
        records: vec![record("db-uid", &["folder-b"], database), server],
        folders: vec![
            folder("folder-a", None, "Production"),
            folder("folder-b", Some("folder-a"), "Databases"),
        ],
        files: BTreeMap::new(),
    }
}

/// A template engine that writes the data.
pub(crate) fn engine(source: &str, data: &Value) -> Result<String, String> {
    match source.contains("broken") {
        true => Err("unexpected end".to_owned()),
        false => Ok(format!("{source}|{data}")),
    }
}

pub(crate) fn make(request: &Request, fetched: &Fetched) -> Outcome {
    // What the program in the pod reads is what is carried out.
    let request = Request::from_json(&request.to_json()).expect("a request's JSON");
    produce(&request, fetched, &engine)
}

/// Paths and contents.
pub(crate) fn files(outcome: &Outcome) -> BTreeMap<&str, &str> {
    let text = |bytes: &'_ mk8s_secrets::Hidden| bytes.expose_text().is_some();
    assert!(
        outcome
            .files
            .iter()
            .all(|file| text(&file.bytes) && file.mode == 0o440)
    );
    let entries = outcome.files.iter();
    entries
        .map(|file| (file.path.as_str(), file.bytes.expose_text().unwrap_or_default()))
        .collect()
}

pub(crate) fn problems(outcome: &Outcome) -> Vec<String> {
    outcome.errors.iter().map(ToString::to_string).collect()
}
