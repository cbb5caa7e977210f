//! `mk8s kubeconfig`.

use std::{fs, os::unix::fs::MetadataExt as _};

use crate::{
    fake_central::FakeCentral,
    sandbox::{Run, Sandbox},
};

#[test]
fn the_chosen_cluster_or_another() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "staging");
    let server = |cluster: &str| format!("server: {}/k8s/clusters/{cluster}\n", central.url());
    let text = sandbox.run(&["kubeconfig"]).succeeds().stdout;
    assert!(
        text.contains(&server("staging")) && text.contains("current-context: staging\n"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    for arguments in [
        &["kubeconfig", "--cluster", "dev"][..],
        &["--cluster", "dev", "kubeconfig"],
    ] {
        let text = sandbox.run(arguments).succeeds().stdout;
        assert!(
            text.contains(&server("dev")) && !text.contains("staging"),
            "{text}"
        );
    }
}

#[test]
fn all_clusters_are_contexts_of_one_user() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "staging");
    let text = sandbox.run(&["kubeconfig", "--all"]).succeeds().stdout;
    assert_eq!(
        (text.matches("server: ").count(), text.matches("exec:").count()),
        (3, 1),
        "{text}"
    );
    assert!(text.contains("current-context: staging\n"), "{text}");
}

#[test]
fn a_file_is_private() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "staging");
    sandbox.run(&["kubeconfig", "-o", "here.yaml"]).succeeds();
    assert_eq!(
        fs::metadata(sandbox.root().join("here.yaml"))
            .expect("written")
            .mode()
            & 0o777,
        0o600
    );
    sandbox
        .run(&["kubeconfig", "-o", "/proc/nothing/here"])
        .fails(1)
        .says("can't create");
}

#[test]
fn a_pipe_is_written_to_and_not_replaced() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "staging");
    let pipe = sandbox.root().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("a pipe");
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).expect("read")
    });
    sandbox.run(&["kubeconfig", "-o", "pipe"]).succeeds();
    assert!(reader.join().expect("read").starts_with("apiVersion: v1\n"));
    assert!(!fs::metadata(&pipe).expect("still there").is_file());
}

#[test]
fn its_plugin_gives_a_token_wherever_it_is_used() {
    let (central, other) = (FakeCentral::start(), FakeCentral::start());
    let sandbox = Sandbox::using(&central, "staging");
    // The plugin's command line, as client-go runs it: with another HOME, and after a login elsewhere.
    let text = sandbox.run(&["kubeconfig"]).succeeds().stdout;
    assert!(
        text.contains(&format!("- {}", central.url())) && text.contains("- credential"),
        "{text}"
    );
    sandbox.login(&other).succeeds();
    let plugin = |url: &str| {
        let mut command = sandbox.command(&["credential", "--central", url]);
        Run::from(
            command
                .env("HOME", "/")
                .env("MK8S_HOME", sandbox.dot())
                .output()
                .expect("it runs"),
        )
    };
    assert!(
        plugin(&central.url())
            .succeeds()
            .stdout
            .contains("token-1-secret")
    );
    plugin("https://localhost:1")
        .fails(1)
        .says("not logged in to https://localhost:1");
}
