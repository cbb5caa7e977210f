//! Starting, being ready, restarting, stopping, and a token that changes on the way.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use mk8s_testkit::{Cluster, Sidecar, command, eventually, workspace};

use super::{ALL, prepared_with, sidecar_with};

#[test]
fn it_is_ready_from_when_it_serves_until_it_stops() {
    let (_namespace, mut sidecar) = prepared_with(ALL);
    let before = sidecar.ready().failed();
    assert!(before.stderr.contains("not ready"), "{}", before.stderr);
    sidecar.start_again();
    sidecar.ready().ok();
    sidecar.stop();
    sidecar.ready().failed();
    // What a sidecar that was killed leaves behind says nothing.
    sidecar.start_again();
    sidecar.program().kill();
    sidecar.ready().failed();
}

#[test]
fn a_restart_breaks_no_client() {
    let (namespace, mut sidecar) = sidecar_with(ALL);
    let (ca, token) = (sidecar.read("shared/ca.crt"), sidecar.placeholder());
    let kubectl = sidecar.kubectl();
    kubectl.run(["create", "configmap", "before"]).ok();
    sidecar.program().kill();
    // The emptyDir that containers see goes with the pod, not with the container; but even if it went:
    std::fs::remove_file(sidecar.path("shared/token")).expect("removed");
    sidecar.start_again();
    assert_eq!(
        (sidecar.read("shared/ca.crt"), sidecar.placeholder()),
        (ca, token)
    );
    kubectl.run(["get", "configmap", "before"]).ok();
    assert_eq!(sidecar.read("shared/namespace"), namespace.name());
}

#[test]
fn a_token_that_the_kubelet_replaced_is_used_at_the_next_refusal() {
    let (namespace, sidecar) = prepared_with(ALL);
    let mut sidecar = sidecar;
    let good = sidecar.read("real/token");
    sidecar.write("real/token", "a.token.that-has-expired");
    sidecar.start_again();
    let path = format!("/api/v1/namespaces/{}/configmaps", namespace.name());
    let refused = sidecar.request("GET", &path, &[], b"");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(
        refused.text().contains("credentials") && refused.text().contains("local"),
        "{}",
        refused.text()
    );
    sidecar.write("real/token", &good);
    // At once: the 401 itself makes it read the file.
    assert_eq!(sidecar.request("GET", &path, &[], b"").status, 200);
}

#[test]
fn a_watch_goes_on_while_the_token_is_replaced() {
    let (namespace, sidecar) = sidecar_with(ALL);
    let kubectl = sidecar.kubectl();
    let mut watch = kubectl.command(["get", "configmaps", "--watch", "-o", "name"]);
    let log = sidecar.path("watch");
    let mut watch = mk8s_testkit::Program::start("kubectl --watch", watch.env("A", "b"), &log);
    let sees = |what: &str| {
        let line = format!("configmap/{what}");
        eventually(&line, || sidecar.read("watch").contains(&line).then_some(()));
    };
    sees("kube-root-ca.crt");
    sidecar.write(
        "real/token",
        &Cluster::shared().service_account_token(namespace.name(), "app"),
    );
    kubectl.run(["create", "configmap", "after"]).ok();
    sees("after");
    assert!(watch.is_running());
}

#[test]
fn sigterm_lets_running_requests_end_and_then_cuts() {
    let (_namespace, mut sidecar) = prepared_with(ALL);
    sidecar.set_variable("MCA_DRAIN_SECONDS", "1");
    sidecar.start_again();
    let kubectl = sidecar.kubectl();
    let mut watch = kubectl.command(["get", "configmaps", "--watch", "-o", "name"]);
    let log = sidecar.path("watch");
    let _watch = mk8s_testkit::Program::start("kubectl --watch", watch.env("A", "b"), &log);
    eventually("the watch", || {
        sidecar.read("watch").contains("kube-root-ca").then_some(())
    });
    let asked = Instant::now();
    sidecar.stop();
    assert!(
        asked.elapsed() >= Duration::from_millis(900),
        "the watch had its second"
    );
    assert!(
        sidecar.read("log").contains("were cut"),
        "{}",
        sidecar.read("log")
    );
}

#[test]
fn a_port_that_is_taken_is_said_and_nothing_is_written() {
    let (namespace, first) = sidecar_with(ALL);
    let mut second = Sidecar::prepare(Cluster::shared(), namespace.name(), "app");
    second.set_variable("MCA_LISTEN", &format!("127.0.0.1:{}", first.port()));
    let ran = command::run(&mut second.command()).failed();
    assert!(
        ran.stderr.contains("another program has this port"),
        "{}",
        ran.stderr
    );
    assert!(!second.path("shared/token").exists());
}

#[test]
fn what_is_missing_is_one_line_with_a_remedy() {
    let (_namespace, sidecar) = prepared_with(ALL);
    let run = |change: &dyn Fn(&mut Command)| {
        let mut command = sidecar.command();
        change(&mut command);
        let ran = command::run(&mut command).failed();
        let last = ran.stderr.lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("error: "), "{}", ran.stderr);
        last
    };
    let error = run(&|command| {
        command.env_remove("KUBERNETES_SERVICE_HOST");
    });
    assert!(
        error.contains("KUBERNETES_SERVICE_HOST") && error.contains("run in a pod"),
        "{error}"
    );
    let error = run(&|command| {
        command.env("MCA_SERVICE_ACCOUNT_DIR", "/nowhere");
    });
    assert!(error.contains("/nowhere/token"), "{error}");
    let error = run(&|command| {
        command.env("MCA_SHARED_DIR", "/proc/nowhere");
    });
    assert!(error.contains("MCA_SHARED_DIR"), "{error}");
}

#[test]
fn development_writes_below_one_directory_and_its_kubeconfig_works() {
    let cluster = Cluster::shared();
    let directory = tempfile::tempdir().expect("a directory");
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|l| l.local_addr())
        .expect("a port")
        .port();
    let mut command = Command::new(workspace::program("mca-proxy"));
    command
        .args(["run", "--dev", "--listen", &format!("127.0.0.1:{port}")])
        .current_dir(directory.path())
        .env("KUBECONFIG", cluster.kubeconfig());
    let log = directory.path().join("log");
    let _program = mk8s_testkit::Program::start("mca-proxy --dev", &command, &log);
    let kubeconfig = directory.path().join("tmp/kubeconfig");
    eventually("the kubeconfig", || kubeconfig.exists().then_some(()));
    let kubectl = mk8s_testkit::Kubectl::new(&kubeconfig);
    eventually("the sidecar", || {
        (kubectl.run(["get", "namespaces"]).code == Some(0)).then_some(())
    });
    let mut there: Vec<_> = std::fs::read_dir(directory.path())
        .expect("readable")
        .flatten()
        .map(|entry| entry.file_name().into_string().expect("a name"))
        .collect();
    there.sort();
    assert_eq!(there, ["log", "tmp"], "no side effects elsewhere");
    let mut command = Command::new(workspace::program("mca-proxy"));
    command
        .args(["run", "--dev", "--listen", "127.0.0.1:0", "--context", "nowhere"])
        .current_dir(directory.path())
        .env("KUBECONFIG", cluster.kubeconfig());
    let ran = command::run(&mut command).failed();
    assert!(ran.stderr.contains("no context \"nowhere\""), "{}", ran.stderr);
}
