use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;

fn key(byte: u8) -> Key {
    Key::from_slice(&[byte; 32]).unwrap()
}

fn sealed(with: &Key, plain: &[u8]) -> String {
    base64::encode(&with.seal(plain).unwrap())
}

fn sealed_cbc(with: &Key, plain: &[u8]) -> String {
    base64::encode(&with.seal_cbc(plain))
}

const APP: u8 = 1;
const FOLDER: u8 = 2;
const RECORD: u8 = 3;
const FILE: u8 = 4;
const INNER: u8 = 5;

/// A record whose key the given one wraps.
fn record(uid: &str, wrapping: u8) -> Value {
    json!({
        "recordUid": uid,
        "recordKey": sealed(&key(wrapping), key(RECORD).bytes()),
        "data": sealed(&key(RECORD), br#"{"title": "t"}"#),
        "revision": 7,
        "files": [],
    })
}

fn with(mut document: Value, name: &str, value: Value) -> Value {
    document[name] = value;
    document
}

fn file() -> Value {
    json!({
        "fileUid": "file",
        "fileKey": sealed(&key(RECORD), key(FILE).bytes()),
        "data": sealed(&key(FILE), br#"{"name": "n", "title": "t", "type": "a/b", "size": 5}"#),
        "url": "https://Files.example:1/x?signature=y",
    })
}

fn shared_folder(records: &[Value]) -> Value {
    json!({
        "folderUid": "folder",
        "folderKey": sealed(&key(APP), key(FOLDER).bytes()),
        "records": records,
    })
}

fn read(records: &[Value], folders: &[Value]) -> Vault {
    let reply = json!({"records": records, "folders": folders});
    read_secrets(reply.to_string().as_bytes(), &key(APP)).unwrap()
}

fn read_tree(folders: &[Value]) -> Vault {
    let mut vault = Vault::default();
    let reply = json!({"folders": folders}).to_string();
    read_folders(reply.as_bytes(), &key(APP), &mut vault).unwrap();
    vault
}

fn folder_of(uid: &str, parent: Option<&str>) -> Value {
    match parent {
        None => json!({
            "folderUid": uid,
            "folderKey": sealed(&key(APP), key(FOLDER).bytes()),
            "data": sealed_cbc(&key(FOLDER), br#"{"name": "top"}"#),
        }),
        Some(parent) => json!({
            "folderUid": uid,
            "parent": parent,
            "folderKey": sealed_cbc(&key(FOLDER), key(INNER).bytes()),
            "data": sealed_cbc(&key(INNER), br#"{"name": "inner"}"#),
        }),
    }
}

fn uids(vault: &Vault) -> Vec<&str> {
    vault.records.iter().map(|record| record.uid.as_str()).collect()
}

#[test]
fn a_record_in_two_places_comes_once() {
    let inner = with(record("a", FOLDER), "innerFolderUid", json!("below"));
    let vault = read(
        &[record("a", APP)],
        &[shared_folder(&[inner, record("b", FOLDER)])],
    );
    assert_eq!(uids(&vault), ["a", "b"]);
    assert!(vault.damaged.is_empty());
    let place = |inner: Option<&str>| Place {
        shared_folder: "folder".to_owned(),
        inner_folder: inner.map(str::to_owned),
    };
    assert_eq!(vault.records[0].places, [place(Some("below"))]);
    assert_eq!(vault.records[1].places, [place(None)]);
    assert!(vault.records[0].is_in("below") && !vault.records[0].is_in("folder"));
    assert!(vault.records[1].is_in("folder"));
    assert_eq!(vault.records[0].revision, 7);
}

#[test]
fn a_record_that_is_damaged_in_one_place_is_read_in_another() {
    let vault = read(&[record("a", FILE)], &[shared_folder(&[record("a", FOLDER)])]);
    assert_eq!(uids(&vault), ["a"]);
    assert_eq!(vault.damaged.len(), 1);
}

#[test]
fn a_record_without_its_own_key_is_encrypted_with_the_one_above() {
    for none in [Value::Null, json!("")] {
        let shown = with(record("a", APP), "recordKey", none);
        let shown = with(shown, "data", json!(sealed(&key(APP), b"{}")));
        assert_eq!(uids(&read(&[shown], &[])), ["a"]);
    }
}

#[test]
fn each_way_to_be_damaged_is_told_and_costs_no_other() {
    let whole = || record("a", APP);
    for (shown, uid, why) in [
        (json!(7), "", Why::Missing("recordUid")),
        (Value::Null, "", Why::Missing("recordUid")),
        (
            with(whole(), "recordUid", json!("../x")),
            "",
            Why::Missing("recordUid"),
        ),
        (
            with(whole(), "recordUid", json!("x".repeat(65))),
            "",
            Why::Missing("recordUid"),
        ),
        (
            with(whole(), "innerFolderUid", json!("a/b")),
            "a",
            Why::Missing("innerFolderUid"),
        ),
        (
            with(whole(), "recordKey", json!(5)),
            "a",
            Why::Missing("recordKey"),
        ),
        (
            with(whole(), "recordKey", json!("%")),
            "a",
            Why::NotBase64("recordKey"),
        ),
        (with(whole(), "recordKey", json!("AAAA")), "a", Why::Key),
        (record("a", FILE), "a", Why::Key),
        (with(whole(), "data", Value::Null), "a", Why::Missing("data")),
        (with(whole(), "data", json!("%")), "a", Why::NotBase64("data")),
        (with(whole(), "data", json!("AAAA")), "a", Why::Data),
        (
            with(whole(), "data", json!(sealed(&key(RECORD), b"[]"))),
            "a",
            Why::NotJson,
        ),
        (
            with(whole(), "data", json!(sealed(&key(RECORD), b"{\"a\""))),
            "a",
            Why::NotJson,
        ),
        (
            with(whole(), "data", json!(sealed(&key(RECORD), b"\xff"))),
            "a",
            Why::NotJson,
        ),
    ] {
        let vault = read(&[record("before", APP), shown.clone(), record("after", APP)], &[]);
        assert_eq!(uids(&vault), ["before", "after"], "{shown}");
        let part = Part::Record;
        let uid = uid.to_owned();
        assert_eq!(vault.damaged, [Damaged { part, uid, why }], "{shown}");
    }
}

#[test]
fn a_damaged_file_costs_neither_its_record_nor_other_files() {
    for (shown, why) in [
        (with(file(), "fileKey", json!("AAAA")), Why::Key),
        (with(file(), "data", json!("AAAA")), Why::Data),
        (
            with(file(), "data", json!(sealed(&key(FILE), b"1"))),
            Why::NotJson,
        ),
        (with(file(), "url", Value::Null), Why::Missing("url")),
        (with(file(), "url", json!("http://files.example/x")), Why::Url),
        (with(file(), "url", json!("https://a@files.example/x")), Why::Url),
        (with(file(), "url", json!("file:///etc/passwd")), Why::Url),
        (with(file(), "url", json!("/x")), Why::Url),
    ] {
        let files = json!([shown, with(file(), "fileUid", json!("other"))]);
        let vault = read(&[with(record("a", APP), "files", files)], &[]);
        assert_eq!(vault.damaged[0].why, why);
        assert_eq!(vault.damaged[0].part, Part::File("a".to_owned()));
        let [file] = &vault.records[0].files[..] else {
            panic!("one file");
        };
        assert_eq!((file.uid.as_str(), file.host()), ("other", "files.example"));
        assert_eq!((file.name.as_str(), file.title.as_str()), ("n", "t"));
        assert_eq!((file.media_type.as_str(), file.size), ("a/b", 5));
    }
}

#[test]
fn a_shared_folder_that_cant_be_read_is_told_with_its_records() {
    let damaged = with(shared_folder(&[record("b", FOLDER)]), "folderKey", json!("AAAA"));
    let vault = read(&[record("a", APP)], &[damaged]);
    assert_eq!(uids(&vault), ["a"]);
    let said: Vec<String> = vault.damaged.iter().map(Damaged::to_string).collect();
    assert_eq!(
        said,
        [
            "folder folder has a key that can't be decrypted",
            "record b is in a folder that can't be read"
        ]
    );
    let vault = read(&[], &[with(shared_folder(&[]), "records", json!(7))]);
    assert_eq!(vault.damaged[0].why, Why::Missing("records"));
}

#[test]
fn lists_may_be_null_but_must_be_there() {
    let read =
        |reply: Value| read_secrets(reply.to_string().as_bytes(), &key(APP)).map(|vault| vault.records.len());
    assert_eq!(read(json!({"records": null, "folders": null})), Ok(0));
    assert_eq!(read(json!({"folders": []})), Err(Malformed::WithoutRecords));
    assert_eq!(
        read(json!({"records": {}, "folders": []})),
        Err(Malformed::WithoutRecords)
    );
    assert_eq!(read(json!({"records": []})), Err(Malformed::WithoutFolders));
    for other in [json!([]), json!(null), json!("a")] {
        assert_eq!(read(other), Err(Malformed::NotJson));
    }
    let deep = "[".repeat(100_000);
    assert_eq!(
        read_secrets(deep.as_bytes(), &key(APP)).err(),
        Some(Malformed::NotJson)
    );
}

#[test]
fn folders_are_read_in_any_order() {
    let vault = read_tree(&[
        folder_of("c", Some("b")),
        folder_of("b", Some("a")),
        folder_of("a", None),
    ]);
    assert!(vault.damaged.is_empty(), "{:?}", vault.damaged);
    let found: Vec<(&str, Option<&str>, &str)> = vault
        .folders
        .iter()
        .map(|folder| {
            (
                folder.uid.as_str(),
                folder.parent.as_deref(),
                folder.name.as_str(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("c", Some("b"), "inner"),
            ("b", Some("a"), "inner"),
            ("a", None, "top")
        ]
    );
}

#[test]
fn folders_that_lead_nowhere_are_told() {
    let below = |uid: &str, parent: &str| folder_of(uid, Some(parent));
    let mut deep = vec![folder_of("f0", None)];
    deep.extend((1..=DEEPEST).map(|level| below(&format!("f{level}"), &format!("f{}", level - 1))));
    for (folders, uid, why) in [
        (vec![below("a", "a")], "a", Why::NoSharedFolder),
        (vec![below("a", "gone")], "a", Why::NoSharedFolder),
        (deep, "f100", Why::NoSharedFolder),
        (
            vec![with(folder_of("a", None), "folderKey", json!("AAAA"))],
            "a",
            Why::Key,
        ),
        (
            vec![with(folder_of("a", None), "data", json!("AAAA"))],
            "a",
            Why::Data,
        ),
        (
            vec![with(
                folder_of("a", None),
                "data",
                json!(sealed_cbc(&key(FOLDER), b"1")),
            )],
            "a",
            Why::NotJson,
        ),
        (
            vec![with(folder_of("a", None), "folderUid", json!("/"))],
            "",
            Why::Missing("folderUid"),
        ),
    ] {
        let vault = read_tree(&folders);
        let uid = uid.to_owned();
        let part = Part::Folder;
        assert_eq!(vault.damaged, [Damaged { part, uid, why }]);
        assert_eq!(vault.folders.len(), folders.len() - 1);
    }
    let vault = read_tree(&[
        with(folder_of("a", None), "folderKey", json!("AAAA")),
        below("b", "a"),
    ]);
    assert_eq!(vault.damaged[1].why, Why::Folder);
}

#[test]
fn a_folder_may_have_no_name() {
    let vault = read_tree(&[with(folder_of("a", None), "data", Value::Null)]);
    assert_eq!(vault.folders[0].name, "");
}

#[test]
fn a_folder_that_was_told_of_once_isnt_told_of_again() {
    let shown = json!({"folderUid": "folder", "folderKey": "AAAA", "records": []});
    let mut vault = read(&[], std::slice::from_ref(&shown));
    let reply = json!({"folders": [shown]}).to_string();
    read_folders(reply.as_bytes(), &key(APP), &mut vault).unwrap();
    assert_eq!(vault.damaged.len(), 1);
}

#[test]
fn warnings_are_cleaned_and_few() {
    let read = |warnings: Value| {
        let reply = json!({"records": [], "folders": [], "warnings": warnings});
        read_secrets(reply.to_string().as_bytes(), &key(APP))
            .unwrap()
            .warnings
    };
    assert_eq!(read(json!(["a\nb", 7, "", "c"])), ["a b", "c"]);
    assert_eq!(read(json!("a")), ["a"]);
    assert_eq!(read(json!(vec!["a"; 1000])).len(), MOST_WARNINGS);
    assert!(read(Value::Null).is_empty());
}

/// Values of every kind; texts are often proper ciphertext of something.
fn anything() -> impl Strategy<Value = Value> {
    let sealed_by = |byte: u8| {
        prop_oneof![vec(any::<u8>(), 0..80), Just(key(RECORD).bytes().to_vec())]
            .prop_map(move |plain| json!(sealed(&key(byte), &plain)))
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,30}".prop_map(Value::from),
        "[A-Za-z0-9+/_-]{0,60}".prop_map(Value::from),
        vec(any::<u8>(), 0..80).prop_map(|plain| json!(sealed_cbc(&key(FOLDER), &plain))),
        (1u8..6).prop_flat_map(sealed_by),
        "https://[a-z:/@]{0,20}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("records"),
        Just("folders"),
        Just("recordUid"),
        Just("recordKey"),
        Just("folderUid"),
        Just("innerFolderUid"),
        Just("folderKey"),
        Just("data"),
        Just("files"),
        Just("fileUid"),
        Just("fileKey"),
        Just("url"),
        Just("parent"),
        Just("revision"),
        Just("warnings"),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((name.clone(), inner), 0..8).prop_map(|members| {
                Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_reply_makes_it_panic(records in vec(anything(), 0..4), folders in vec(anything(), 0..4), whole in anything()) {
        let mut vault = Vault::default();
        for reply in [json!({"records": records, "folders": folders}), json!({"folders": records}), whole] {
            let text = reply.to_string();
            let _ = read_secrets(text.as_bytes(), &key(APP));
            let _ = read_folders(text.as_bytes(), &key(APP), &mut vault);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = read_secrets(&bytes, &key(APP));
        let _ = read_folders(&bytes, &key(APP), &mut Vault::default());
    }

    #[test]
    fn what_is_whole_is_read_whatever_stands_beside_it(odd in vec(anything(), 0..5)) {
        let mut records = odd;
        records.push(record("whole", APP));
        let vault = read(&records, &[]);
        prop_assert!(uids(&vault).contains(&"whole"));
        prop_assert_eq!(vault.records.len() + vault.damaged.iter().filter(|d| d.part == Part::Record).count(), records.len());
    }
}
