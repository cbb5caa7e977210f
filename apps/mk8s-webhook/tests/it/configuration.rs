//! Settings that can't be used are said in a line, with what to do.

use std::fs;

use crate::support::failing;

#[test]
fn a_malformed_file_is_named_with_line_and_key() {
    let directory = tempfile::tempdir().expect("a directory");
    for (yaml, says) in [
        ("tls:\n  mod: self\n", "mod"),
        ("injection:\n  imag: x\n", "imag"),
        ("a: [\n", "line"),
    ] {
        fs::write(directory.path().join("webhook.yaml"), yaml).expect("written");
        let said = failing(&["--config", "webhook.yaml"], directory.path());
        assert!(
            said.starts_with("error: webhook.yaml: ") && said.contains(says) && said.contains("line"),
            "{said}"
        );
    }
    let said = failing(&["--config", "nowhere.yaml"], directory.path());
    assert!(said.contains("nowhere.yaml"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let said = failing(&["--listen", &address, "--namespace", "n"], directory.path());
    assert!(
        said.contains(&address) && said.contains("another program has this port"),
        "{said}"
    );
}

#[test]
fn help_teaches() {
    let ran = mk8s_testkit::command::run(crate::support::command().arg("--help")).ok();
    for word in [
        "Examples:",
        "--tls-mode",
        "cert-manager",
        "/mutate",
        "deploy/webhook",
    ] {
        assert!(ran.stdout.contains(word), "{word} isn't in:\n{}", ran.stdout);
    }
}
