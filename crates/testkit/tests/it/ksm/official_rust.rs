//! The official Rust crate, unmodified, against the server. `tests/official-rust` has its side, and says why it is apart.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mk8s_testkit::{
    Ran, command,
    ksm::{Behaviour, Damage, Endpoint, Fault, Field, NewRecord, Served},
};
use serde_json::{Value, json};

use super::served;

/// The first build takes minutes; later ones find it made.
const BUILD: Duration = Duration::from_secs(540);
const LIMIT: Duration = Duration::from_secs(60);
const PASSWORD: &str = "made up for this test";

fn program() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official-rust/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("keeper-official-rust");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target);
    command::run_with(&mut cargo, b"", BUILD).ok();
    target.join("debug/keeper-official-rust")
}

/// Runs a scenario with a new client, which must go well.
#[track_caller]
fn run(server: &Served, scenario: &str, mut given: Value) -> Ran {
    given["config"] = server.app_config().base64().into();
    given["host"] = server.host_port().into();
    given["ca"] = server.ca_pem().into();
    given["key_id"] = server.server_key_id().into();
    given["key"] = json!(server.server_keys()[&server.server_key_id()]);
    let mut program = Command::new(program());
    program.arg(scenario).env_clear();
    command::run_with(&mut program, given.to_string().as_bytes(), LIMIT).ok()
}

/// A server with one record.
fn with_record() -> (Served, String) {
    let server = served();
    let uid = server.vault().add(NewRecord::login("database", "app", PASSWORD));
    (server, uid)
}

#[test]
fn a_one_time_token_binds_one_client() {
    let (server, uid) = with_record();
    run(
        &server,
        "bind",
        json!({"uid": uid, "token": server.one_time_token()}),
    );
    assert_eq!(server.requests(Endpoint::GetSecret), 4);
}

#[test]
fn records_are_read_by_uid_and_notation() {
    let server = served();
    let vault = server.vault();
    let folder = vault.add_folder("shared");
    let subfolder = vault.add_subfolder(&folder, "inner");
    let direct = NewRecord::login("database", "app", PASSWORD)
        .custom(Field::new("text", "5432").labelled("port"))
        .file("key.bin", b"bytes");
    let direct = vault.add(direct);
    vault.add_to(&folder, NewRecord::login("shared", "b", PASSWORD));
    let in_subfolder = vault.add_to(&subfolder, NewRecord::new("deep", "encryptedNotes"));
    let given = json!({
        "direct": direct, "in_subfolder": in_subfolder, "folder": folder, "subfolder": subfolder,
        "password": PASSWORD,
    });
    run(&server, "read", given);
}

#[test]
fn a_damaged_record_is_skipped_and_the_others_read() {
    let (server, good) = with_record();
    for damage in [Damage::Key, Damage::Data, Damage::NotBase64] {
        let bad = server.vault().add(NewRecord::login("bad", "a", PASSWORD));
        server.vault().damage(&bad, damage);
    }
    run(&server, "damaged", json!({"good": good}));
}

#[test]
fn records_are_changed_created_and_deleted() {
    let (server, uid) = with_record();
    let vault = server.vault();
    let folder = vault.add_folder("shared");
    let subfolder = vault.add_subfolder(&folder, "inner");
    let doomed = vault.add_to(&folder, NewRecord::login("doomed", "app", PASSWORD));
    let given = json!({"uid": uid, "doomed": doomed, "subfolder": subfolder});
    let made = run(&server, "write", given).json();
    assert_eq!(
        vault.record(&uid).unwrap()["fields"][1]["value"],
        json!(["changed"])
    );
    assert_eq!(vault.record(&doomed), None);
    let created = made["created"].as_str().unwrap();
    assert_eq!(vault.folder_of(created), Some(subfolder));
}

#[test]
fn folders_are_listed_created_and_deleted() {
    let server = served();
    let top = server.vault().add_folder("top");
    server.vault().add_subfolder(&top, "inner");
    run(&server, "folders", json!({"top": top}));
    assert_eq!(server.vault().folders().len(), 2);
}

#[test]
fn being_asked_for_the_key_or_throttled_once_is_no_failure() {
    for fault in [
        Fault::OtherKey(10),
        Fault::Throttled(Some(1)),
        Fault::Throttled(None),
    ] {
        let (server, _) = with_record();
        server.behave(Behaviour::once(fault));
        run(&server, "asked_again", json!({}));
        assert_eq!(server.requests(Endpoint::GetSecret), 2, "{fault:?}");
    }
}

#[test]
fn each_failure_of_the_server_surfaces() {
    let (server, _) = with_record();
    for (fault, error) in [
        (Fault::AccessDenied, "access_denied"),
        (Fault::Status(http::StatusCode::BAD_GATEWAY), "oh dear"),
        (Fault::Truncated, ""),
        (Fault::Garbled, ""),
    ] {
        server.behave(Behaviour::once(fault));
        run(&server, "refused", json!({"error": error}));
    }
}

/// Whoever uses the crate must catch these.
#[test]
fn some_replies_make_the_crate_panic() {
    for fault in [Fault::WithoutRecords, Fault::WithoutFolders] {
        let (server, _) = with_record();
        server.behave(Behaviour::once(fault));
        run(&server, "panics", json!({}));
    }
    let (server, uid) = with_record();
    server.vault().damage(&uid, Damage::NotJson);
    run(&server, "panics", json!({}));
}

/// Nor can they follow a change of the server's key, if their configuration names the key.
#[test]
fn a_new_server_key_makes_the_crate_ask_for_ever() {
    let (server, _) = with_record();
    let old = server.app_config_json();
    server.rotate_server_key();
    run(&server, "asks_for_ever", json!({"old": old}));
    assert_eq!(server.requests(Endpoint::GetSecret), 20);
}
