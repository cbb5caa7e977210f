//! What `mk8s pki` doesn't do.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use serde_json::Value;

use crate::{
    pki::{authority, index, pki},
    sandbox::Sandbox,
};

#[test]
fn an_authority_is_never_overwritten() {
    let sandbox = authority();
    let before = fs::read(pki(&sandbox).join("ca.key")).expect("a key");
    sandbox.run(&["pki", "init"]).fails(1).says("never overwritten");
    fs::remove_file(pki(&sandbox).join("index.json")).expect("removed");
    sandbox
        .run(&["pki", "init"])
        .fails(1)
        .says("ca.crt is there already");
    assert_eq!(fs::read(pki(&sandbox).join("ca.key")).expect("a key"), before);
}

#[test]
fn names_that_no_client_may_have_are_refused() {
    let sandbox = authority();
    let huge = "x".repeat(10 * 1024);
    for (bad, word) in [
        ("", "empty"),
        ("system:admin", "reserved"),
        ("System:masters", "reserved"),
        ("a\nb", "control character"),
        ("a\x1b[2J", "control character"),
        (" jane", "white space"),
        (huge.as_str(), "longer than"),
    ] {
        sandbox.run(&["pki", "issue", "user", bad]).fails(2).says(word);
        sandbox
            .run(&["pki", "issue", "user", "jane", "--group", bad])
            .fails(2)
            .says(word);
        sandbox
            .run(&["pki", "issue", "server", bad, "--dns", "a.example.com"])
            .fails(2)
            .says(word);
        sandbox
            .run(&["pki", "issue", "user", bad, "--cluster-csr"])
            .fails(2)
            .says(word);
    }
    assert_eq!(index(&sandbox)["certificates"], Value::Array(Vec::new()));
    assert!(
        !pki(&sandbox).join("issued").exists()
            || fs::read_dir(pki(&sandbox).join("issued")).expect("read").count() == 0
    );
}

#[test]
fn an_authority_needs_a_name_that_can_stand_in_a_certificate() {
    let sandbox = Sandbox::new();
    for bad in ["", "a\nb", " x"] {
        let run = sandbox.run(&["pki", "init", "--name", bad]).fails(2);
        assert!(run.stderr.starts_with("error: "), "{run:?}");
    }
    assert!(!pki(&sandbox).join("ca.key").exists());
    sandbox.run(&["pki", "init"]).succeeds();
}

#[test]
fn without_an_authority_every_command_says_how_to_make_one() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["pki", "issue", "user", "jane"][..],
        &["pki", "issue", "server", "a.example.com"],
        &["pki", "revoke", "jane"],
        &["pki", "list"],
        &["pki", "crl"],
        &["pki", "secret", "a", "--namespace", "b"],
    ] {
        sandbox.run(arguments).fails(1).says("mk8s pki init");
    }
    assert!(!pki(&sandbox).exists());
}

#[test]
fn a_damaged_index_stops_everything() {
    let sandbox = authority();
    sandbox.run(&["pki", "issue", "user", "jane"]).succeeds();
    let path = pki(&sandbox).join("index.json");
    let good = fs::read(&path).expect("an index");
    for bad in [&good[..good.len() / 2], b"", b"{}", b"null"] {
        fs::write(&path, bad).expect("written");
        for arguments in [
            &["pki", "list"][..],
            &["pki", "revoke", "jane"],
            &["pki", "issue", "user", "joe"],
            &["pki", "crl"],
        ] {
            sandbox.run(arguments).fails(1).says("index.json is damaged");
        }
        assert_eq!(fs::read(&path).expect("an index"), bad);
    }
    fs::remove_file(&path).expect("removed");
    sandbox
        .run(&["pki", "issue", "user", "joe"])
        .fails(1)
        .says("index.json is missing");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let sandbox = authority();
    let key = pki(&sandbox).join("ca.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("changed");
    sandbox
        .run(&["pki", "issue", "user", "jane"])
        .fails(1)
        .says("chmod 600");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("changed");
    sandbox.run(&["pki", "issue", "user", "jane"]).succeeds();
}

#[test]
fn what_is_not_known_cannot_be_revoked() {
    let sandbox = authority();
    for unknown in ["jane", "0123abcd", "", "a\x1b[2J"] {
        sandbox
            .run(&["pki", "revoke", unknown])
            .fails(1)
            .says("no certificate was issued");
    }
    assert_eq!(
        sandbox.run(&["pki", "revoke", "jane", "--reason", "lost"]).code,
        Some(2)
    );
}

#[test]
fn what_is_revoked_cannot_be_revoked_again() {
    let sandbox = authority();
    sandbox.run(&["pki", "issue", "user", "jane"]).succeeds();
    sandbox
        .run(&["pki", "revoke", "jane", "--reason", "superseded"])
        .succeeds();
    let serial = index(&sandbox)["certificates"][0]["serial"]
        .as_str()
        .expect("a serial")
        .to_owned();
    for again in ["jane", &serial] {
        sandbox
            .run(&["pki", "revoke", again])
            .fails(1)
            .says("revoked already");
    }
    let reason = &index(&sandbox)["certificates"][0]["revoked"]["reason"];
    assert_eq!(reason, "superseded");
}

#[test]
fn files_that_are_there_are_replaced_only_by_force() {
    let sandbox = authority();
    sandbox.run(&["pki", "issue", "user", "jane"]).succeeds();
    sandbox
        .run(&["pki", "issue", "user", "jane"])
        .fails(1)
        .says("--force");
    assert_eq!(index(&sandbox)["certificates"].as_array().map(Vec::len), Some(1));
    sandbox
        .run(&["pki", "issue", "user", "jane", "--force"])
        .succeeds();
    // The authority's own files aren't replaced by any force.
    let key = fs::read(pki(&sandbox).join("ca.key")).expect("a key");
    let own = pki(&sandbox).display().to_string();
    sandbox
        .run(&["pki", "issue", "user", "ca", "--force", "--out", &own])
        .fails(2)
        .says("authority's own files");
    assert_eq!(fs::read(pki(&sandbox).join("ca.key")).expect("a key"), key);
}

#[test]
fn servers_names_that_are_none_are_refused() {
    let sandbox = authority();
    for arguments in [
        &["x", "--dns", "a b"][..],
        &["x", "--dns", "a..b"],
        &["x", "--dns", ""],
        &["not a name"],
        &["x", "--service", "proxy"],
        &["x", "--service", "a.b.c"],
        &["x", "--ip", "10.0.0.300"],
        &["x", "--crl-url", "ftp://x"],
        &["x", "--ocsp-url", "nothing"],
        &["x", "--days", "0"],
    ] {
        let run = sandbox.run(&[&["pki", "issue", "server"], arguments].concat());
        assert_eq!(run.code, Some(2), "{run:?}");
    }
    assert_eq!(index(&sandbox)["certificates"], Value::Array(Vec::new()));
}

#[test]
fn a_request_that_is_none_is_refused() {
    let sandbox = authority();
    for bad in [
        "",
        "nothing",
        "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
    ] {
        fs::write(sandbox.root().join("x.csr"), bad).expect("written");
        sandbox
            .run(&["pki", "issue", "user", "jane", "--csr", "x.csr"])
            .fails(1)
            .says("certificate request");
    }
    sandbox
        .run(&["pki", "issue", "user", "jane", "--csr", "missing.csr"])
        .fails(1)
        .says("missing.csr");
}

#[test]
fn a_secret_is_made_of_a_valid_server_certificate_alone() {
    let sandbox = authority();
    let secret = |arguments: &[&str]| sandbox.run(&[&["pki", "secret"], arguments].concat());
    sandbox.run(&["pki", "issue", "user", "jane"]).succeeds();
    secret(&["jane", "-n", "mk8s"])
        .fails(1)
        .says("no valid server certificate");
    sandbox
        .run(&["pki", "issue", "server", "a.example.com"])
        .succeeds();
    for bad in ["", "A", "a.b", "a/b"] {
        secret(&["a.example.com", "-n", bad])
            .fails(2)
            .says("no namespace");
    }
    secret(&["a.example.com", "-n", "x", "--secret-name", "a_b"])
        .fails(2)
        .says("Secret's name");
    let key = pki(&sandbox).join("issued/a.example.com.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("changed");
    secret(&["a.example.com", "-n", "x"]).fails(1).says("chmod 600");
    fs::remove_file(&key).expect("removed");
    secret(&["a.example.com", "-n", "x"]).fails(1).says("is gone");
    sandbox.run(&["pki", "revoke", "a.example.com"]).succeeds();
    secret(&["a.example.com", "-n", "x"])
        .fails(1)
        .says("no valid server certificate");
}
