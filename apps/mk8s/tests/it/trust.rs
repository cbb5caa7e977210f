//! Whom the program believes to be central.

use std::fs;

use crate::{
    fake_central::{EMAIL, FakeCentral, PASSWORD},
    sandbox::{Run, Sandbox},
};

fn login(sandbox: &Sandbox, central: &FakeCentral, more: &[&str]) -> Run {
    let url = central.url();
    let arguments = [
        &["login", "--central", &url, "--email", EMAIL, "--password-stdin"],
        more,
    ]
    .concat();
    sandbox.run_with_input(&arguments, PASSWORD)
}

#[test]
fn without_a_terminal_an_unknown_authority_is_refused() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::new();
    login(&sandbox, &central, &[])
        .fails(1)
        .says("hint: give --ca-fingerprint");
    assert!(central.state().requests.is_empty(), "nothing was sent");
}

#[test]
fn another_fingerprint_is_refused_loudly() {
    let (central, other) = (FakeCentral::start(), FakeCentral::start());
    let expected = other.fingerprint().to_string();
    let run = login(&Sandbox::new(), &central, &["--ca-fingerprint", &expected]).fails(1);
    let run = run.says("THE FINGERPRINT DOESN'T MATCH");
    assert!(
        run.stderr.contains(&expected) && run.stderr.contains(&central.fingerprint().to_string()),
        "{run:?}"
    );
    assert!(central.state().requests.is_empty(), "nothing was sent");
    let run = login(&Sandbox::new(), &central, &["--ca-fingerprint", "SHA256:abc"]).fails(2);
    run.says("64 hexadecimal digits");
}

#[test]
fn a_fingerprint_may_be_copied_as_openssl_prints_it() {
    let central = FakeCentral::start();
    let fingerprint = central
        .fingerprint()
        .to_string()
        .to_lowercase()
        .replace("sha256:", "sha256 Fingerprint=");
    login(&Sandbox::new(), &central, &["--ca-fingerprint", &fingerprint]).succeeds();
}

#[test]
fn a_file_names_the_authority() {
    let (central, other) = (FakeCentral::start(), FakeCentral::start());
    let sandbox = Sandbox::new();
    let file = sandbox.root().join("ca.pem");
    let path = file.to_str().expect("UTF-8");
    login(&sandbox, &central, &["--ca-file", path])
        .fails(1)
        .says("doesn't exist");
    fs::write(&file, "not PEM").expect("written");
    login(&sandbox, &central, &["--ca-file", path])
        .fails(1)
        .says("holds no certificate");

    fs::write(&file, other.authority.certificate_pem()).expect("written");
    login(&sandbox, &central, &["--ca-file", path])
        .fails(1)
        .says("HAS CHANGED: expected");
    assert!(
        !sandbox.dot().join("ca").exists(),
        "a wrong authority isn't remembered"
    );

    fs::write(&file, central.authority.certificate_pem()).expect("written");
    login(&sandbox, &central, &["--ca-file", path]).succeeds();
    fs::remove_file(&file).expect("removed");
    sandbox.run(&["clusters", "list"]).succeeds();
}

#[test]
fn the_configuration_may_name_the_file() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::new();
    sandbox.write_config(&format!(
        "central_url: {}\nca_file: central-ca.pem # ours\n",
        central.url()
    ));
    login(&sandbox, &central, &[]).fails(1).says("ca_file");
    fs::write(
        sandbox.dot().join("central-ca.pem"),
        central.authority.certificate_pem(),
    )
    .expect("written");
    login(&sandbox, &central, &[]).succeeds();
    assert!(
        sandbox.config().contains("ca_file: central-ca.pem # ours"),
        "{}",
        sandbox.config()
    );
}

#[test]
fn an_authority_of_the_system_needs_no_question() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::new();
    let file = sandbox.root().join("roots.pem");
    fs::write(&file, central.authority.certificate_pem()).expect("written");
    let url = central.url();
    let mut command = sandbox.command(&["login", "--central", &url, "--email", EMAIL, "--password-stdin"]);
    let input = sandbox.root().join("password");
    fs::write(&input, PASSWORD).expect("written");
    command
        .env("SSL_CERT_FILE", &file)
        .stdin(fs::File::open(&input).expect("opened"));
    Run::from(command.output().expect("it runs")).succeeds();
    assert!(!sandbox.dot().join("ca").exists());
    sandbox
        .run(&["clusters", "list"])
        .fails(1)
        .says("this machine doesn't trust the certificate");
}

#[test]
fn a_changed_authority_names_both_fingerprints() {
    let before = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&before);
    let (port, old) = (before.port, before.fingerprint().to_string());
    drop(before);
    let after = FakeCentral::start_on(port);
    let new = after.fingerprint().to_string();
    for arguments in [
        &["clusters", "list"][..],
        &["status"],
        &["login", "--email", EMAIL, "--password-stdin"],
    ] {
        let run = sandbox
            .run_with_input(arguments, PASSWORD)
            .fails(1)
            .says("HAS CHANGED");
        assert!(run.stderr.contains(&old) && run.stderr.contains(&new), "{run:?}");
    }
    assert!(
        after.state().requests.is_empty(),
        "no token and no password was sent"
    );
    login(&sandbox, &after, &["--ca-fingerprint", &new]).succeeds();
    sandbox.run(&["clusters", "list"]).succeeds();
}

#[test]
fn a_name_that_is_not_in_the_certificate_is_refused() {
    let central = FakeCentral::start();
    let url = format!("https://127.0.0.2:{}", central.port);
    let fingerprint = central.fingerprint().to_string();
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
    // 127.0.0.2 may not be listened on: then there is no connection to judge, and that is refused too.
    Sandbox::new().run_with_input(&arguments, PASSWORD).fails(1);
    assert!(central.state().requests.is_empty());
}
