//! What people read before they type.

use crate::sandbox::Sandbox;

#[test]
fn every_command_teaches_itself() {
    let sandbox = Sandbox::new();
    for command in [
        "",
        "login",
        "logout",
        "status",
        "clusters",
        "clusters list",
        "clusters use",
        "kubeconfig",
        "credential",
        "inject",
        "uninject",
        "pki",
        "pki init",
        "pki issue",
        "pki issue user",
        "pki issue server",
        "pki revoke",
        "pki list",
        "pki crl",
        "pki secret",
        "doctor",
        "front-proxy",
        "front-proxy kubeconfig",
        "mcp",
        "completion",
        "version",
    ] {
        let mut arguments: Vec<&str> = command.split_ascii_whitespace().collect();
        arguments.push("--help");
        let help = sandbox.run(&arguments).succeeds().stdout;
        assert!(help.contains("Examples:"), "{command}: {help}");
        let name = if command.is_empty() {
            "mk8s".to_owned()
        } else {
            command.replace(' ', "-")
        };
        insta::assert_snapshot!(name, help);
    }
    // After `kubectl` it is kubectl's own help; ours is here.
    insta::assert_snapshot!("kubectl", sandbox.run(&["help", "kubectl"]).succeeds().stdout);
}

#[test]
fn usage_errors_exit_2() {
    let sandbox = Sandbox::new();
    for arguments in [
        &[][..],
        &["nothing"],
        &["status", "-o", "xml"],
        &["clusters"],
        &["clusters", "use"],
        &["login", "--central", "ftp://x"],
    ] {
        assert_eq!(sandbox.run(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn the_version_is_told() {
    let sandbox = Sandbox::new();
    let expected = concat!("mk8s ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(sandbox.run(&["version"]).succeeds().stdout, expected);
    assert_eq!(sandbox.run(&["--version"]).succeeds().stdout, expected);
}
