//! `mk8s login` and `mk8s logout`.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use crate::{
    fake_central::{EMAIL, FakeCentral, PASSWORD},
    sandbox::Sandbox,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").mode() & 0o777
}

#[test]
fn a_login_is_kept_privately() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::new();
    let run = sandbox.login(&central).succeeds();
    assert_eq!(run.stdout, format!("Logged in to {} as {EMAIL}\n", central.url()));
    assert_eq!(sandbox.config(), format!("central_url: {}\n", central.url()));
    assert_eq!(mode(&sandbox.dot()), 0o700);
    assert_eq!(mode(&sandbox.dot().join("credentials.json")), 0o600);
    assert_eq!(mode(&sandbox.dot().join("ca")), 0o700);
    assert!(!run.stderr.contains("secret") && !sandbox.credentials().contains(PASSWORD));
    assert!(central.state().user_agent.starts_with("mk8s/"));
    // From now on nothing need be said twice.
    sandbox
        .run_with_input(&["login", "--email", EMAIL, "--password-stdin"], PASSWORD)
        .succeeds();
}

#[test]
fn a_wrong_password_is_one_line() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::new();
    let (url, fingerprint) = (central.url(), central.fingerprint().to_string());
    let arguments = [
        "login",
        "--central",
        &url,
        "--email",
        EMAIL,
        "--password-stdin",
        "--ca-fingerprint",
        &fingerprint,
    ];
    sandbox
        .run_with_input(&arguments, "wrong\n")
        .fails(1)
        .says("wrong e-mail or password");
    assert!(!sandbox.dot().join("credentials.json").exists());
    // The authority proved to be central's; it needn't be said again.
    let again = ["login", "--central", &url, "--email", EMAIL, "--password-stdin"];
    sandbox.run_with_input(&again, PASSWORD).succeeds();
}

#[test]
fn too_many_logins_say_when_to_try_again() {
    let central = FakeCentral::start();
    central.state().too_many_logins = Some(90);
    Sandbox::new()
        .login(&central)
        .fails(1)
        .says("error: too many logins for this account\nhint: wait a little (try again in 1m)");
}

#[test]
fn a_script_that_leaves_out_what_would_be_asked_is_told() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::new();
    sandbox.run(&["login"]).fails(1).says("no central is configured");
    sandbox.login(&central).succeeds();
    sandbox
        .run(&["login"])
        .fails(2)
        .says("no terminal to ask for the e-mail");
    sandbox
        .run(&["login", "--email", EMAIL])
        .fails(2)
        .says("--password-stdin");
    sandbox
        .run(&["login", "--email", EMAIL, "--password-stdin"])
        .fails(2)
        .says("the password is empty");
}

#[test]
fn plain_http_is_refused() {
    let run = Sandbox::new().run(&["login", "--central", "http://localhost:8080"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("only ever travel over https"), "{run:?}");
}

#[test]
fn a_person_is_shown_the_fingerprint_and_asked() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::new();
    let line = format!("login --central {}", central.url());
    let (shown, code) = sandbox.on_a_terminal(&line, "n\n");
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains(&central.fingerprint().to_string()), "{shown}");
    assert!(
        shown.contains("[y/N]") && shown.contains("was not accepted"),
        "{shown}"
    );
    assert_eq!(central.count("POST /auth/login"), 0);

    let (shown, code) = sandbox.on_a_terminal(&line, &format!("y\n{EMAIL}\n{PASSWORD}\n"));
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Logged in to"), "{shown}");
    let (shown, code) = sandbox.on_a_terminal("login", &format!("\n{PASSWORD}\n"));
    assert_eq!(code, 0, "{shown}");
    assert!(
        !shown.contains("[y/N]") && shown.contains(&format!("E-mail [{EMAIL}]")),
        "{shown}"
    );
}

#[test]
fn another_central_takes_nothing_over() {
    let (one, two) = (FakeCentral::start(), FakeCentral::start());
    let sandbox = Sandbox::using(&one, "staging");
    let run = sandbox.login(&two).succeeds();
    assert!(run.stderr.contains("staging"), "{run:?}");
    assert_eq!(sandbox.config(), format!("central_url: {}\n", two.url()));
    sandbox.run(&["kubectl", "get", "pods"]).fails(1);
    // The session at the first is still there, and its token goes to nobody else.
    let list = sandbox
        .command(&["clusters", "list"])
        .env("MK8S_CENTRAL", one.url())
        .output()
        .expect("it runs");
    assert!(list.status.success(), "{list:?}");
}

#[test]
fn logout_ends_the_session_and_forgets_it() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    assert!(sandbox.credentials().contains("token-1-secret"));
    sandbox.run(&["logout"]).succeeds();
    assert_eq!(central.count("POST /auth/logout"), 1);
    assert!(!sandbox.credentials().contains("secret"));
    sandbox
        .run(&["clusters", "list"])
        .fails(1)
        .says("not logged in to");
    sandbox.run(&["logout"]).succeeds();
    assert_eq!(central.count("POST /auth/logout"), 1);
}

#[test]
fn logout_forgets_even_when_central_is_gone() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    drop(central);
    let run = sandbox.run(&["logout"]).succeeds();
    assert!(run.stderr.starts_with("warning: "), "{run:?}");
    assert!(!sandbox.credentials().contains("secret"));
}
