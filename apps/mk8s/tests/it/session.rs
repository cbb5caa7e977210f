//! Tokens: renewed in time, by one process at a time, whatever the clocks say.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

use http::StatusCode;
use serde_json::Value;

use crate::{
    fake_central::FakeCentral,
    sandbox::{Run, Sandbox},
};

/// A user whose token has run out.
fn with_an_old_token() -> (FakeCentral, Sandbox) {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    sandbox.age_session(3_700);
    (central, sandbox)
}

fn credential(sandbox: &Sandbox) -> Value {
    let run = sandbox.run(&["credential"]).succeeds();
    serde_json::from_str(&run.stdout).expect("JSON")
}

#[test]
fn the_credential_plugin_speaks_v1() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    let credential = credential(&sandbox);
    assert_eq!(credential["apiVersion"], "client.authentication.k8s.io/v1");
    assert_eq!(credential["kind"], "ExecCredential");
    assert_eq!(credential["status"]["token"], "token-1-secret");
    assert_eq!(
        central.count("POST /auth/refresh"),
        0,
        "a fresh token is given without the network"
    );
}

#[test]
fn many_processes_at_once_refresh_once() {
    let (central, sandbox) = with_an_old_token();
    let spawn = || {
        sandbox
            .command(&["credential"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let children: Vec<_> = (0..20).map(|_| spawn().expect("it runs")).collect();
    for child in children {
        let run = Run::from(child.wait_with_output().expect("it ends")).succeeds();
        assert!(run.stdout.contains("token-2-secret"), "{run:?}");
    }
    assert_eq!(central.count("POST /auth/refresh"), 1);
}

#[test]
fn a_session_that_has_ended_says_so() {
    let (central, sandbox) = with_an_old_token();
    central.state().revoke_session();
    for arguments in [&["credential"][..], &["status"], &["clusters", "list"]] {
        let run = sandbox.run(arguments).fails(1);
        assert_eq!(run.stderr, "error: session expired: run `mk8s login`\n");
    }
}

#[test]
fn a_token_that_central_forgot_is_replaced_once() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    central.state().revoke_tokens();
    sandbox.run(&["clusters", "list"]).succeeds();
    assert_eq!(central.count("POST /auth/refresh"), 1);
    central.state().revoke_session();
    sandbox
        .run(&["clusters", "list"])
        .fails(1)
        .says("session expired");
    assert_eq!(central.count("POST /auth/refresh"), 2);
}

#[test]
fn clocks_ten_minutes_apart_do_no_harm() {
    for skew in [-600, 600] {
        let central = FakeCentral::start();
        central.state().clock_skew = skew;
        central.state().expires_in = 300;
        let sandbox = Sandbox::logged_in(&central);
        let credential = credential(&sandbox);
        sandbox.run(&["clusters", "list"]).succeeds();
        assert_eq!(central.count("POST /auth/refresh"), 0, "skew {skew}");
        // client-go compares it with our clock: it must be ahead, and before the token is due for renewal.
        let expires = credential["status"]["expirationTimestamp"]
            .as_str()
            .expect("a time");
        let ahead = expires.parse::<jiff::Timestamp>().expect("RFC 3339").as_second()
            - jiff::Timestamp::now().as_second();
        assert!((200..=240).contains(&ahead), "skew {skew}: {ahead} s ahead");
    }
}

#[test]
fn a_token_is_renewed_in_the_last_fifth_of_its_life() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    sandbox.age_session(2_800);
    assert_eq!(credential(&sandbox)["status"]["token"], "token-1-secret");
    sandbox.age_session(80);
    assert_eq!(credential(&sandbox)["status"]["token"], "token-2-secret");
}

#[test]
fn a_token_that_is_due_but_good_bridges_an_outage() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    central.state().refresh_status = Some(StatusCode::SERVICE_UNAVAILABLE);
    sandbox.age_session(3_000);
    assert_eq!(credential(&sandbox)["status"]["token"], "token-1-secret");
    assert_eq!(central.count("POST /auth/refresh"), 1);
    sandbox.age_session(600);
    sandbox.run(&["credential"]).fails(1).says("no refresh today");
}

#[test]
fn a_refusal_is_no_outage() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    central.state().refresh_status = Some(StatusCode::FORBIDDEN);
    sandbox.age_session(3_000);
    sandbox.run(&["credential"]).fails(1).says("no refresh today");
}

#[test]
fn an_unreachable_central_is_one_line() {
    let (central, sandbox) = with_an_old_token();
    let url = central.url();
    drop(central);
    sandbox
        .run(&["clusters", "list"])
        .fails(1)
        .says(&format!("can't reach {url}: connection refused"));
}

#[test]
fn credentials_that_others_can_read_are_refused() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    let path = sandbox.dot().join("credentials.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
    sandbox
        .run(&["credential"])
        .fails(1)
        .says(&format!("hint: chmod 600 {}", path.display()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
    fs::set_permissions(sandbox.dot(), fs::Permissions::from_mode(0o777)).expect("changed");
    sandbox
        .run(&["credential"])
        .fails(1)
        .says(&format!("hint: chmod 700 {}", sandbox.dot().display()));
}

#[test]
fn damaged_credentials_are_replaced_by_a_login() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    let path = sandbox.dot().join("credentials.json");
    fs::write(&path, "{\"version\":1,\"sessions\":{\"x\":\"token-9-secret\"}}").expect("written");
    let run = sandbox
        .run(&["credential"])
        .fails(1)
        .says("can't be read: line 1, column");
    assert!(!run.stderr.contains("secret"), "{run:?}");
    sandbox.login(&central).succeeds();
    credential(&sandbox);
}

#[test]
fn an_answer_of_another_server_is_not_believed() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    for (status, content_type, body, expected) in [
        (
            StatusCode::OK,
            "text/html",
            "<html>".to_owned(),
            "isn't mk8s-central's",
        ),
        (
            StatusCode::OK,
            "application/json",
            "x".repeat(5 * 1024 * 1024),
            "larger than 4 MiB",
        ),
        (StatusCode::FOUND, "text/html", String::new(), "a redirection"),
        (
            StatusCode::BAD_GATEWAY,
            "text/html",
            "<html>".to_owned(),
            "502 Bad Gateway",
        ),
        (
            StatusCode::FORBIDDEN,
            "application/problem+json",
            "{\"detail\":\"no\\u001b[31m\\nway\"}".to_owned(),
            "error: no [31m way",
        ),
        (
            StatusCode::OK,
            "application/json",
            "{\"clusters\":[{\"name\":\"../x\",\"status\":\"connected\"}]}".to_owned(),
            "isn't mk8s-central's",
        ),
    ] {
        central.state().clusters_answer = Some((status, content_type, body));
        sandbox.run(&["clusters", "list"]).fails(1).says(expected);
    }
}
