//! `mk8s kubectl`, with a kubectl that notes how it was called.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::MetadataExt as _, process::ExitStatusExt as _},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    fake_central::FakeCentral,
    sandbox::{MK8S, Sandbox},
};

fn user() -> (FakeCentral, Sandbox) {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "staging");
    sandbox.stub_kubectl("");
    (central, sandbox)
}

/// Waits until the stub has made a file `ready`, and gives its process id.
fn started(sandbox: &Sandbox) -> i32 {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if sandbox.bin().join("ready").exists() {
            return sandbox.noted("pid").trim().parse().expect("a process id");
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the stub didn't start");
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid")
}

#[test]
fn a_disconnected_cluster_is_one_line_before_kubectl_starts() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "dev");
    sandbox.stub_kubectl("");
    sandbox
        .run(&["kubectl", "get", "pods"])
        .fails(1)
        .says("cluster dev is disconnected");
    assert!(!sandbox.bin().join("pid").exists(), "kubectl was not started");
}

#[test]
fn arguments_pass_untouched() {
    let (_central, sandbox) = user();
    for arguments in [
        &["get", "pods", "-n", "web", "-o", "yaml"][..],
        &["exec", "-it", "web-0", "--", "sh", "-c", "echo --token \"$HOME\""],
        &["--", "x"],
        &["--help"],
        &["get", "pods", "-l", "a=b", ""],
        &["logs", "-f", "--tail=1", "é\n"],
        &[],
    ] {
        sandbox.run(&[&["kubectl"], arguments].concat()).succeeds();
        let expected: String = arguments.iter().map(|argument| format!("{argument}\n")).collect();
        assert_eq!(sandbox.noted("arguments"), expected);
    }
}

#[test]
fn the_kubeconfig_leads_through_central_and_holds_no_secret() {
    let (central, sandbox) = user();
    sandbox
        .run(&["clusters", "use", "staging", "--namespace", "web"])
        .succeeds();
    sandbox.run(&["k", "get", "pods"]).succeeds();
    let kubeconfig = sandbox.noted("kubeconfig");
    assert!(!kubeconfig.contains("secret") && !sandbox.noted("environment").contains("secret"));
    insta::with_settings!({filters => vec![
        (r"certificate-authority-data: \S+", "certificate-authority-data: [PEM]"),
    ]}, {
        let text = kubeconfig
            .replace(&central.url(), "https://central")
            .replace(&format!("localhost:{}", central.port), "central")
            .replace(MK8S, "/bin/mk8s")
            .replace(sandbox.dot().to_str().expect("UTF-8"), "/home/me/.mk8s");
        insta::assert_snapshot!(text);
    });
    let path = sandbox.noted("kubeconfig-path");
    assert!(
        path.starts_with(sandbox.dot().join("run").to_str().expect("UTF-8")),
        "{path}"
    );
    assert_eq!(fs::metadata(&path).expect("kept").mode() & 0o777, 0o600);
    // The same again is the same file; one that was tampered with is made anew.
    fs::write(&path, "changed").expect("written");
    sandbox.run(&["k", "get", "pods"]).succeeds();
    assert_eq!(
        (sandbox.noted("kubeconfig-path"), sandbox.noted("kubeconfig")),
        (path, kubeconfig)
    );
    assert_eq!(
        fs::read_dir(sandbox.dot().join("run")).expect("listed").count(),
        1
    );
}

#[test]
fn the_exit_code_is_kubectls() {
    let (_central, sandbox) = user();
    sandbox.stub_kubectl("echo out; echo err >&2; exit 42");
    let run = sandbox.run(&["k", "get", "pods"]);
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (Some(42), "out\n", "err\n")
    );
}

#[test]
fn signals_reach_kubectl_and_its_end_is_seen() {
    let (_central, sandbox) = user();
    sandbox.stub_kubectl("trap 'exit 43' INT TERM; touch \"$here/ready\"; while :; do sleep 0.05; done");
    for signal in [Signal::INT, Signal::TERM] {
        let _ = fs::remove_file(sandbox.bin().join("ready"));
        let mut child = sandbox
            .command(&["k", "get", "-w", "pods"])
            .spawn()
            .expect("it runs");
        assert_eq!(
            started(&sandbox),
            pid(&child).as_raw_nonzero().get(),
            "kubectl takes our place"
        );
        kill_process(pid(&child), signal).expect("sent");
        assert_eq!(child.wait().expect("it ends").code(), Some(43));
    }
    sandbox.stub_kubectl("kill -PIPE $$; exit 0");
    let status = sandbox.command(&["k", "get", "pods"]).status().expect("it runs");
    assert_eq!(status.signal(), Some(13), "SIGPIPE isn't left ignored");
}

#[test]
fn standard_input_is_kubectls() {
    let (_central, sandbox) = user();
    sandbox.stub_kubectl("wc -c");
    let mut child = sandbox
        .command(&["k", "apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    let writer = thread::spawn(move || stdin.write_all(&vec![b'x'; 1_000_000]).expect("written"));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("written");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1000000");
}

#[test]
fn the_terminal_is_kubectls() {
    let (_central, sandbox) = user();
    sandbox.stub_kubectl("test -t 0 && test -t 1 && echo a terminal");
    sandbox.write_config(&format!(
        "{}kubectl: {}\n",
        sandbox.config(),
        sandbox.bin().join("kubectl").display()
    ));
    let (shown, code) = sandbox.on_a_terminal("kubectl exec -it web-0 -- sh", "");
    assert_eq!((shown.trim(), code), ("a terminal", 0));
}

#[test]
fn flags_that_lead_around_central_are_refused() {
    let (_central, sandbox) = user();
    for (arguments, said) in [
        (
            &["get", "pods", "--kubeconfig=/x"][..],
            "--kubeconfig would lead around central",
        ),
        (
            &["get", "pods", "-s", "https://x"],
            "--server would lead around central",
        ),
        (
            &["--token", "t", "get", "pods"],
            "--token would lead around central",
        ),
        (
            &["--context=x", "get", "pods"],
            "hint: another cluster, this once: mk8s --cluster NAME kubectl",
        ),
        (
            &["--cluster", "x", "get", "pods"],
            "hint: another cluster, this once: mk8s --cluster NAME kubectl",
        ),
        (
            &["get", "pods", "--client-key=x"],
            "--client-key would lead around central",
        ),
        (&["config", "use-context", "x"], "hint: mk8s clusters use NAME"),
    ] {
        sandbox.run(&[&["k"], arguments].concat()).fails(2).says(said);
    }
    assert_eq!(sandbox.noted("pid"), "", "kubectl wasn't started");
}

#[test]
fn what_is_missing_is_one_line_with_a_remedy() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::new();
    sandbox.stub_kubectl("");
    let get = || sandbox.run(&["k", "get", "pods"]);
    get().fails(1).says("hint: mk8s login --central");
    sandbox.login(&central).succeeds();
    get().fails(1).says("no cluster is chosen");
    sandbox
        .run(&["--cluster", "prod", "k", "get"])
        .fails(1)
        .says("there is no cluster prod");
    sandbox.run(&["clusters", "use", "staging"]).succeeds();
    sandbox.run(&["logout"]).succeeds();
    get().fails(1).says("hint: mk8s login");
    sandbox.login(&central).succeeds();
    drop(central);
    get().fails(1).says("can't reach");
    assert_eq!(sandbox.noted("pid"), "", "kubectl wasn't started");
    // What needs no cluster works all the same, and finds nobody else's.
    sandbox.run(&["k", "--help"]).succeeds();
    assert_eq!(sandbox.noted("kubeconfig-path"), "/dev/null");
}

#[test]
fn central_is_not_asked_for_each_command() {
    let (central, sandbox) = user();
    for _ in 0..5 {
        sandbox.run(&["k", "get", "pods"]).succeeds();
    }
    assert_eq!(central.count("GET /clusters"), 1, "by `clusters use`");
}

#[test]
fn the_token_is_renewed_before_kubectl_starts() {
    let (central, sandbox) = user();
    sandbox.age_session(3_700);
    sandbox.run(&["k", "get", "pods"]).succeeds();
    assert_eq!(central.count("POST /auth/refresh"), 1);
    sandbox.run(&["credential"]).succeeds();
    assert_eq!(central.count("POST /auth/refresh"), 1);
}

#[test]
fn another_program_may_be_named() {
    let (_central, sandbox) = user();
    let before = sandbox.config();
    sandbox.stub("kubecolor", "exit 7");
    for name in [
        "kubecolor".to_owned(),
        sandbox.bin().join("kubecolor").display().to_string(),
        "~/bin/kubecolor".to_owned(),
    ] {
        sandbox.write_config(&format!("{before}kubectl: {name}\n"));
        assert_eq!(sandbox.run(&["k", "get"]).code, Some(7), "{name}");
    }
    sandbox.write_config(&format!("{before}kubectl: /no/such\n"));
    sandbox
        .run(&["k", "get"])
        .fails(1)
        .says("/no/such isn't a program");
}

#[test]
fn without_kubectl_it_is_said_how_to_get_one() {
    let (_central, sandbox) = user();
    let output = sandbox
        .command(&["k", "get"])
        .env("PATH", "/nowhere")
        .output()
        .expect("it runs");
    crate::sandbox::Run::from(output)
        .fails(1)
        .says("hint: install kubectl");
}

#[test]
fn a_kubectl_that_is_ourselves_does_not_loop() {
    let (_central, sandbox) = user();
    sandbox.stub_kubectl(&format!("exec {MK8S} kubectl \"$@\""));
    sandbox
        .run(&["k", "get", "pods"])
        .fails(1)
        .says("mk8s kubectl started itself");
    let kubectl = sandbox.bin().join("kubectl");
    fs::remove_file(&kubectl).expect("removed");
    std::os::unix::fs::symlink(MK8S, &kubectl).expect("linked");
    let output = sandbox
        .command(&["k", "get"])
        .env("PATH", sandbox.bin())
        .output()
        .expect("it runs");
    crate::sandbox::Run::from(output)
        .fails(1)
        .says("there is no kubectl on the PATH");
}
