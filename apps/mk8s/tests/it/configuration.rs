//! `~/.mk8s/config.yaml` and the environment.

use std::fs;

use crate::{
    fake_central::FakeCentral,
    sandbox::{Run, Sandbox},
};

#[test]
fn a_wrong_configuration_names_file_line_and_key() {
    let sandbox = Sandbox::new();
    let path = sandbox.dot().join("config.yaml");
    for (text, line, key) in [
        ("central_url: https://a\ncurent_cluster: x\n", 2, "curent_cluster"),
        ("central_url:\n  - https://a\n", 2, "central_url"),
        ("current_cluster: A/B\n", 1, "current_cluster"),
        ("central_url: https://a\nnamespace: \"unclosed\n", 2, "namespace"),
    ] {
        sandbox.write_config(text);
        let run = sandbox.run(&["status"]).fails(1).says(key);
        let prefix = format!("error: {}:{line}", path.display());
        assert!(run.stderr.starts_with(&prefix), "{prefix} {run:?}");
    }
    fs::write(&path, [0xff, 0xfe]).expect("written");
    sandbox.run(&["status"]).fails(1).says("isn't UTF-8");
}

#[test]
fn a_wrong_central_is_mended_by_a_login() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::new();
    sandbox.write_config("central_url: http://central\n");
    sandbox
        .run(&["status"])
        .fails(1)
        .says("config.yaml: central_url: central's URL http://central is http");
    sandbox.login(&central).succeeds();
    assert_eq!(sandbox.config(), format!("central_url: {}\n", central.url()));
}

#[test]
fn nothing_configured_says_where_to_begin() {
    Sandbox::new()
        .run(&["status"])
        .fails(1)
        .says("hint: mk8s login --central https://HOST:PORT");
}

#[test]
fn a_choice_keeps_the_users_comments() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    sandbox.write_config(&format!(
        "# work\ncentral_url: {} # the big one\nkubectl: kubecolor\n",
        central.url()
    ));
    sandbox.run(&["clusters", "use", "dev"]).succeeds();
    let expected = format!(
        "# work\ncentral_url: {} # the big one\nkubectl: kubecolor\ncurrent_cluster: dev\n",
        central.url()
    );
    assert_eq!(sandbox.config(), expected);
}

#[test]
fn another_directory_may_hold_it_all() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    fs::rename(sandbox.dot(), sandbox.root().join("elsewhere")).expect("moved");
    let run = |home: &str| {
        Run::from(
            sandbox
                .command(&["clusters", "list"])
                .env("MK8S_HOME", home)
                .output()
                .expect("it runs"),
        )
    };
    run("elsewhere").succeeds();
    run("nowhere").fails(1).says("no central is configured");
    assert!(
        !sandbox.dot().exists() && !sandbox.root().join("nowhere").exists(),
        "reading makes no directory"
    );
}

#[test]
fn the_environment_goes_before_the_configuration() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "staging");
    sandbox.stub_kubectl("");
    let server = |arguments: &[&str], cluster: &str| {
        let mut command = sandbox.command(arguments);
        Run::from(command.env("MK8S_CLUSTER", cluster).output().expect("it runs")).succeeds();
        sandbox
            .noted("kubeconfig")
            .lines()
            .find(|line| line.contains("server:"))
            .expect("a server")
            .trim()
            .to_owned()
    };
    let expected = |cluster| format!("server: {}/k8s/clusters/{cluster}", central.url());
    central.state().clusters = vec![
        ("production-us-east", "connected"),
        ("staging", "connected"),
        ("dev", "connected"),
    ];
    assert_eq!(server(&["k", "get", "pods"], "dev"), expected("dev"));
    assert_eq!(
        server(&["--cluster", "production-us-east", "k", "get"], "dev"),
        expected("production-us-east")
    );
    assert_eq!(server(&["k", "get", "pods"], ""), expected("staging"));
    let run = sandbox
        .command(&["k", "get"])
        .env("MK8S_CLUSTER", "../x")
        .output()
        .expect("it runs");
    Run::from(run).fails(2).says("MK8S_CLUSTER");
    let run = sandbox
        .command(&["k", "get"])
        .env("MK8S_CENTRAL", "http://x")
        .output()
        .expect("it runs");
    Run::from(run).fails(2).says("https");
}
