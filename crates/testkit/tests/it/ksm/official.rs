//! The official Python SDK, unmodified, against the server. `official.py` has its side.

use std::{path::Path, process::Command, time::Duration};

use http::StatusCode;
use mk8s_testkit::{
    Ran, command,
    ksm::{Behaviour, Damage, Endpoint, Fault, Field, NewRecord, Served},
};
use serde_json::{Value, json};

use super::{served, venv};

const LIMIT: Duration = Duration::from_secs(60);
const PASSWORD: &str = "made up for this test";

/// Runs a scenario with a new client, which must go well.
#[track_caller]
fn run(server: &Served, scenario: &str, mut given: Value) -> Ran {
    given["config"] = server.app_config_json().into();
    given["host"] = server.host_port().into();
    given["key_id"] = server.server_key_id().into();
    given["key"] = json!(server.server_keys()[&server.server_key_id()]);
    run_given(scenario, &given, server.ca_pem())
}

/// Runs a scenario with a client that the caller gives it, which must go well.
#[track_caller]
pub(super) fn run_given(scenario: &str, given: &Value, ca_pem: &str) -> Ran {
    let directory = tempfile::tempdir().expect("a directory");
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, ca_pem).expect("a file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/ksm/official.py");
    let mut python = Command::new(venv::python());
    python
        .arg("-B")
        .arg(script)
        .arg(scenario)
        .current_dir(directory.path())
        .env_clear()
        .env("REQUESTS_CA_BUNDLE", &ca);
    command::run_with(&mut python, given.to_string().as_bytes(), LIMIT).ok()
}

#[test]
fn a_one_time_token_binds_one_client() {
    let server = served();
    let uid = server.vault().add(NewRecord::login("database", "app", PASSWORD));
    run(
        &server,
        "bind",
        json!({"uid": uid, "token": server.one_time_token()}),
    );
    // Two to bind, one more, and two that were refused.
    assert_eq!(server.requests(Endpoint::GetSecret), 5);
    let statuses: Vec<Option<u16>> = server.log().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 200, 200, 403, 403].map(Some));
}

#[test]
fn records_are_read_by_uid_title_folder_and_notation() {
    let server = served();
    let vault = server.vault();
    let folder = vault.add_folder("shared");
    let subfolder = vault.add_subfolder(&folder, "inner");
    let mut direct = NewRecord::login("database", "app", PASSWORD)
        .custom(Field::new("text", "5432").labelled("port"))
        .custom(Field::new("host", json!({"hostName": "a.example", "port": "1"})).labelled("Hosts"));
    direct.notes = Some("läßt grüßen\nzweite Zeile".to_owned());
    let direct = vault.add(direct);
    vault.add(NewRecord::login("twice", "a", PASSWORD));
    let in_folder = vault.add_to(&folder, NewRecord::login("twice", "b", PASSWORD));
    let in_subfolder = vault.add_to(&subfolder, NewRecord::new("deep", "encryptedNotes"));
    vault.set_warnings(&["this is a test"]);
    let given = json!({
        "direct": direct, "in_folder": in_folder, "in_subfolder": in_subfolder,
        "folder": folder, "subfolder": subfolder, "password": PASSWORD,
    });
    run(&server, "read", given);
}

#[test]
fn a_damaged_record_is_skipped_and_the_others_read() {
    let server = served();
    let vault = server.vault();
    let good = vault.add(NewRecord::login("good", "a", PASSWORD));
    let bad: Vec<String> = [Damage::Key, Damage::Data, Damage::NotJson, Damage::NotBase64]
        .into_iter()
        .map(|damage| {
            let uid = vault.add(NewRecord::login("bad", "a", PASSWORD));
            vault.damage(&uid, damage);
            uid
        })
        .collect();
    run(&server, "damaged", json!({"good": good, "bad": bad}));
    for uid in &bad {
        vault.repair(uid);
    }
    assert_eq!(vault.records().len(), 5, "nothing was really lost");
}

#[test]
fn files_are_downloaded_uploaded_and_taken_off() {
    let server = served();
    let content: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let uid = server
        .vault()
        .add(NewRecord::login("database", "app", PASSWORD).file("key.bin", &content));
    run(&server, "files", json!({"content": content}));
    let reversed: Vec<u8> = content.iter().rev().copied().collect();
    assert_eq!(server.vault().file(&uid, "up.bin"), Some(reversed));
    assert_eq!(server.vault().file(&uid, "key.bin"), None);
    assert_eq!(server.requests(Endpoint::AddFile), 1);
    assert_eq!(server.requests(Endpoint::Upload), 1);
    assert!(
        server
            .log()
            .iter()
            .all(|request| !request.path.contains("/files/") || request.path == "/files/…"),
        "a file's path is a secret"
    );
}

#[test]
fn records_are_changed_created_and_deleted() {
    let server = served();
    let vault = server.vault();
    let folder = vault.add_folder("shared");
    let subfolder = vault.add_subfolder(&folder, "inner");
    let uid = vault.add(NewRecord::login("database", "app", PASSWORD));
    let readonly = vault.add(NewRecord::login("fixed", "app", PASSWORD));
    vault.set_editable(&readonly, false);
    let doomed = vault.add_to(&folder, NewRecord::login("doomed", "app", PASSWORD));
    let given = json!({
        "uid": uid, "readonly": readonly, "doomed": doomed, "folder": folder, "subfolder": subfolder,
    });
    let made = run(&server, "write", given).json();

    let record = vault.record(&uid).unwrap();
    assert_eq!(record["fields"][1]["value"], json!(["rotated"]));
    assert_eq!(record["custom"][0]["label"], "new");
    let created = made["created"].as_str().unwrap();
    assert_eq!(vault.record(created).unwrap()["notes"], "note");
    assert_eq!(vault.folder_of(created), Some(folder));
    assert_eq!(vault.folder_of(made["inner"].as_str().unwrap()), Some(subfolder));
    assert_eq!(vault.record(&doomed), None);
}

#[test]
fn folders_are_listed_created_renamed_and_deleted() {
    let server = served();
    let vault = server.vault();
    let top = vault.add_folder("top");
    let middle = vault.add_subfolder(&top, "middle");
    let bottom = vault.add_subfolder(&middle, "bottom");
    vault.add_to(&bottom, NewRecord::login("goes with it", "app", PASSWORD));
    run(
        &server,
        "folders",
        json!({"top": top, "middle": middle, "bottom": bottom}),
    );
    assert_eq!(vault.folders(), [(top, "top".to_owned(), None)]);
    assert_eq!(vault.records(), [""; 0]);
}

#[test]
fn a_new_server_key_is_followed() {
    let server = served();
    server.vault().add(NewRecord::login("database", "app", PASSWORD));
    // The client begins with the old one.
    let old = server.app_config_json();
    assert_eq!(server.rotate_server_key(), "11");
    let given = json!({"keys": server.server_keys(), "old": old});
    run(&server, "rotated", given);
    assert_eq!(server.requests(Endpoint::GetSecret), 2);
}

#[test]
fn being_asked_for_the_key_or_throttled_once_is_no_failure() {
    for fault in [Fault::OtherKey(10), Fault::Throttled(Some(1))] {
        let server = served();
        server.vault().add(NewRecord::login("database", "app", PASSWORD));
        server.behave(Behaviour::once(fault));
        run(&server, "asked_again", json!({}));
        assert_eq!(server.requests(Endpoint::GetSecret), 2, "{fault:?}");
    }
}

#[test]
fn being_throttled_for_long_is_a_failure() {
    let server = served();
    server.behave(Behaviour::always(Fault::Throttled(Some(1))));
    run(&server, "throttled", json!({}));
    assert_eq!(server.requests(Endpoint::GetSecret), 6);
}

#[test]
fn a_foreign_signature_is_refused() {
    let server = served();
    run(&server, "foreign_signature", json!({}));
    assert_eq!(server.log()[0].status, Some(403));
}

#[test]
fn each_failure_of_the_server_surfaces() {
    let server = served();
    for (fault, error) in [
        (Fault::AccessDenied, "access_denied"),
        (Fault::Status(StatusCode::BAD_GATEWAY), "502"),
        (Fault::Status(StatusCode::INTERNAL_SERVER_ERROR), "oh dear"),
        (Fault::Truncated, "IncompleteRead"),
        (Fault::Garbled, ""),
    ] {
        server.behave(Behaviour::once(fault));
        run(&server, "broken", json!({"error": error}));
    }
    assert_eq!(server.requests(Endpoint::GetSecret), 5);
}

#[test]
fn a_client_that_does_not_know_the_authority_is_not_served() {
    let server = served();
    run(&server, "untrusted", json!({}));
    assert_eq!(server.log(), []);
}
