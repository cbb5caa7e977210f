//! The program that runs the server for a demo.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mk8s_testkit::{Program, command, eventually};
use serde_json::{Value, json};

use super::official;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ksm-server");

/// Why it doesn't start.
#[track_caller]
fn refusal(arguments: &[&str], directory: &Path) -> String {
    let mut program = Command::new(PROGRAM);
    program.args(arguments).arg("--output").arg(directory);
    command::run(&mut program).failed().stderr
}

#[test]
fn help_teaches_what_a_vault_file_is() {
    let help = command::run(Command::new(PROGRAM).arg("--help")).ok();
    for part in [
        "--listen",
        "records:",
        "folders:",
        "REQUESTS_CA_BUNDLE",
        "kubectl create secret",
    ] {
        assert!(help.stdout.contains(part), "{help}");
    }
}

#[test]
fn a_vault_file_is_served_to_the_official_sdk() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(
        path("vault.yaml"),
        "folders:\n- name: team\n  folders:\n  - name: inner\n    records:\n    - title: database\n      \
         fields:\n      - {type: login, value: [app]}\n      files:\n      - {name: a.txt, content: text}\n",
    )
    .unwrap();
    let output = path("output");
    let mut command = Command::new(PROGRAM);
    command
        .args(["--listen", "127.0.0.1:0", "--limit-rate", "--vault"])
        .arg(path("vault.yaml"))
        .arg("--output")
        .arg(&output);
    let mut program = Program::start("ksm-server", &command, &path("log"));
    eventually("it says that it serves", || {
        program.log().contains("with 1 records").then_some(())
    });

    let config = fs::read_to_string(output.join("config.base64")).unwrap();
    let ca = fs::read_to_string(output.join("ca.pem")).unwrap();
    official::run_given("asked_again", &json!({"config": config}), &ca);
    let document: Value = serde_json::from_slice(&STANDARD.decode(&config).unwrap()).unwrap();
    assert_eq!(
        fs::read_to_string(output.join("config.json")).unwrap(),
        document.to_string()
    );
    for name in ["config.json", "config.base64", "token"] {
        let mode = fs::metadata(output.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    program.terminate();
    assert!(program.wait(Duration::from_secs(10)).success());
}

#[test]
fn a_vault_file_that_is_missing_or_wrong_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |text: Option<&str>| {
        let file = directory.path().join("vault.yaml");
        match text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => drop(fs::remove_file(&file)),
        }
        let vault = file.to_str().unwrap();
        refusal(
            &["--listen", "127.0.0.1:0", "--vault", vault],
            &directory.path().join("output"),
        )
    };
    assert!(refused(None).contains("can't read"));
    for text in [
        "records: 1",
        "recrods: []",
        "folders: [{}]",
        "records: [{title: a, fields: [{value: []}]}]",
    ] {
        let refusal = refused(Some(text));
        assert!(
            refusal.starts_with("error: ") && refusal.contains("isn't a vault file"),
            "{refusal}"
        );
    }
    let short = refused(Some("records: [{title: a, uid: short}]"));
    assert!(short.contains("must have 22 characters"), "{short}");
    let uid = "A".repeat(22);
    let twice = refused(Some(&format!(
        "records: [{{title: a, uid: {uid}}}, {{title: b, uid: {uid}}}]"
    )));
    assert!(twice.contains("two records"), "{twice}");
}

#[test]
fn an_address_that_is_taken_or_a_place_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = refusal(&["--listen", &address], directory.path());
    assert!(refused.contains("choose another address"), "{refused}");
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = refusal(&["--listen", "127.0.0.1:0"], &file);
    assert!(refused.contains("choose another --output"), "{refused}");
}
