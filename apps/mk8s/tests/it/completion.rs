//! `mk8s completion` and what its scripts ask.

use std::process::Command;

use crate::{
    fake_central::FakeCentral,
    sandbox::{MK8S, Run, Sandbox},
};

/// Sources the script into bash and completes `line` there, as readline would; gives the candidates.
fn in_bash(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let script = sandbox.run(&["completion", "bash"]).succeeds().stdout;
    let line = words.join(" ");
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let program = format!(
        "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\nCOMP_LINE='{line}'\nCOMP_POINT={}\n__mk8s_complete\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1,
        line.len()
    );
    let directory = std::path::Path::new(MK8S).parent().expect("a directory");
    let output = Command::new("bash")
        .args(["--norc", "-c", &program])
        .env_clear()
        .env("HOME", sandbox.root())
        .env(
            "PATH",
            format!(
                "{}:{}:/usr/bin:/bin",
                directory.display(),
                sandbox.bin().display()
            ),
        )
        .output()
        .expect("bash");
    let run = Run::from(output).succeeds();
    run.stdout
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_our_words_and_clusters() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    assert_eq!(in_bash(&sandbox, &["mk8s", "clu"]), ["clusters"]);
    assert_eq!(
        in_bash(&sandbox, &["mk8s", "clusters", "use", ""]),
        ["production-us-east", "staging", "dev"]
    );
    assert_eq!(in_bash(&sandbox, &["mk8s", "--cluster", "st"]), ["staging"]);
    // readline splits at `=`, and replaces only what follows it.
    assert_eq!(in_bash_split(&sandbox), ["staging"]);
    assert_eq!(
        central.count("GET /clusters"),
        1,
        "the list is remembered for a while"
    );
}

fn in_bash_split(sandbox: &Sandbox) -> Vec<String> {
    let script = sandbox.run(&["completion", "bash"]).succeeds().stdout;
    let program = format!(
        "{script}\nCOMP_WORDS=(mk8s --cluster = st)\nCOMP_CWORD=3\nCOMP_LINE='mk8s --cluster=st'\nCOMP_POINT=17\n__mk8s_complete\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let directory = std::path::Path::new(MK8S).parent().expect("a directory");
    let output = Command::new("bash")
        .args(["--norc", "-c", &program])
        .env_clear()
        .env("HOME", sandbox.root())
        .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
        .output()
        .expect("bash");
    Run::from(output)
        .succeeds()
        .stdout
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn after_kubectl_kubectl_is_asked() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "staging");
    sandbox.stub_kubectl("printf 'web-0\\tRunning\\nweb-1\\tRunning\\n:4\\n'");
    assert_eq!(
        in_bash(&sandbox, &["mk8s", "k", "logs", "web"]),
        ["web-0", "web-1"]
    );
    assert_eq!(sandbox.noted("arguments"), "__complete\nlogs\nweb\n");
    assert!(sandbox.noted("kubeconfig").contains("/k8s/clusters/staging"));
    in_bash(&sandbox, &["mk8s", "--cluster", "dev", "kubectl", "get", ""]);
    assert_eq!(sandbox.noted("arguments"), "__complete\nget\n\n");
    assert!(sandbox.noted("kubeconfig").contains("/k8s/clusters/dev"));
}

#[test]
fn tab_never_fails() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox
            .run(&["__complete", "--", "clusters", "use", ""])
            .succeeds()
            .stdout,
        ":4\n"
    );
    sandbox.write_config("nonsense: [");
    for words in [
        &["clusters", "use", ""][..],
        &["k", "get", ""],
        &["--cluster"],
        &[],
    ] {
        let run = sandbox.run(&[&["__complete", "--"], words].concat()).succeeds();
        assert!(run.stdout.ends_with(":4\n") && run.stderr.is_empty(), "{run:?}");
    }
}

#[test]
fn every_shell_has_a_script() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            sandbox
                .run(&["completion", shell])
                .succeeds()
                .stdout
                .contains("mk8s"),
            "{shell}"
        );
    }
}
