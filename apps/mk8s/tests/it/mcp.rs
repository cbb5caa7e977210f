//! `mk8s mcp`, with an mk8s-mcp that notes how it was called.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{
    fake_central::FakeCentral,
    sandbox::{MK8S, Run, Sandbox},
};

fn user() -> (FakeCentral, Sandbox) {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "staging");
    // Beside the program under test there may be a real one.
    let own = sandbox.bin().join("mk8s");
    fs::copy(MK8S, &own).expect("copied");
    sandbox.stub(
        "mk8s-mcp",
        "echo \"$2\" >\"$here/kubeconfig-path\"; cp \"$2\" \"$here/kubeconfig\"",
    );
    (central, sandbox)
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let like = sandbox.command(arguments);
    let mut command = Command::new(sandbox.bin().join("mk8s"));
    command
        .args(arguments)
        .env_clear()
        .envs(like.get_envs().filter_map(|(key, value)| Some((key, value?))))
        .current_dir(sandbox.root())
        .stdin(Stdio::null());
    command.output().expect("it runs").into()
}

#[test]
fn every_cluster_is_a_context_and_the_chosen_one_the_default() {
    let (_central, sandbox) = user();
    run(&sandbox, &["mcp", "--deny", "secrets"]).succeeds();
    let arguments = sandbox.noted("arguments");
    let arguments: Vec<&str> = arguments.lines().collect();
    assert_eq!(arguments[0], "--kubeconfig");
    assert_eq!(arguments[2..], ["--all-contexts", "--deny", "secrets"]);
    let kubeconfig = sandbox.noted("kubeconfig");
    assert!(
        kubeconfig.contains("current-context: staging") && kubeconfig.contains("credential"),
        "{kubeconfig}"
    );
    assert!(kubeconfig.contains("name: dev\n"), "{kubeconfig}");
    assert!(!kubeconfig.contains("token:"), "{kubeconfig}");
}

#[test]
fn one_cluster_may_be_named() {
    let (_central, sandbox) = user();
    run(&sandbox, &["--cluster", "dev", "mcp"]).succeeds();
    let arguments = sandbox.noted("arguments");
    assert!(arguments.ends_with("--context\ndev\n"), "{arguments}");
}

#[test]
fn without_the_program_it_says_so() {
    let (_central, sandbox) = user();
    fs::remove_file(sandbox.bin().join("mk8s-mcp")).expect("removed");
    run(&sandbox, &["mcp"]).fails(1).says("there is no mk8s-mcp");
}

#[test]
fn who_isnt_logged_in_is_told() {
    let (_central, sandbox) = user();
    sandbox.run(&["logout"]).succeeds();
    run(&sandbox, &["mcp"]).fails(1).says("mk8s login");
}
