//! How it starts, or says why it doesn't.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use mk8s_testkit::Cluster;
use serde_json::json;

use crate::client::{Client, program};

fn fails(command: &mut Command) -> String {
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "standard output is the protocol's");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn what_cant_be_used_is_said_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let audit = directory.path().join("audit.jsonl");
    let with = |kubeconfig: &std::path::Path| {
        let mut command = program();
        command
            .arg("--audit-file")
            .arg(&audit)
            .arg("--kubeconfig")
            .arg(kubeconfig);
        command
    };
    let said = fails(&mut with(&directory.path().join("none")));
    assert!(said.contains("none") && said.starts_with("error: "), "{said}");
    let said = fails(&mut with(&file("empty", "{}")));
    assert!(said.contains("no current-context"), "{said}");
    let said = fails(&mut with(&file("broken", "contexts: [")));
    assert!(said.contains("broken"), "{said}");
    let one = file("one", "contexts: [{name: a, context: {}}]\ncurrent-context: a\n");
    let said = fails(with(&one).args(["--context", "b"]));
    assert!(said.contains("has no context \"b\", but a"), "{said}");
    let said = fails(with(&one).args(["--deny", "apps/deployments"]));
    assert!(
        said.contains("--deny") && said.contains("write its plural"),
        "{said}"
    );
    let settings = file("settings", "answerToken: 5\n");
    let said = fails(with(&one).arg("--config").arg(&settings));
    assert!(said.contains("unknown field `answerToken`"), "{said}");
    let settings = file("settings", "answerTokens: 5\n");
    let said = fails(with(&one).arg("--config").arg(&settings));
    assert!(said.contains("answerTokens is 5"), "{said}");
}

#[test]
fn a_context_that_cant_be_used_says_so_when_it_is_used_and_the_others_work() {
    let cluster = Cluster::shared();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("kubeconfig");
    let mut config = cluster
        .kubectl()
        .run(["config", "view", "--flatten", "--raw", "-o", "json"])
        .ok()
        .json();
    let good = config["current-context"].as_str().expect("a context").to_owned();
    let contexts = config["contexts"].as_array_mut().expect("contexts");
    contexts.push(json!({"name": "Person@Home", "context": {"cluster": "gone", "user": "gone"}}));
    fs::write(&path, config.to_string()).expect("written");
    let mut client = Client::start(&path, &["--all-contexts"]);
    let text = client.read("clusters", json!({}));
    assert!(
        text.contains("person-home") && text.contains("context Person@Home") && text.contains("ready"),
        "{text}"
    );
    let text = client.refused("get", json!({"kind": "pods", "cluster": "person-home"}));
    assert!(text.contains("names a cluster that isn't there"), "{text}");
    assert!(
        client.read("get", json!({"kind": "nodes"})).contains("node"),
        "{good} is the default"
    );
}

#[test]
fn a_plugin_is_asked_again_when_what_it_gave_isnt_taken() {
    let namespace = Cluster::shared().namespace();
    namespace
        .kubectl()
        .run(["create", "serviceaccount", "reader"])
        .ok();
    namespace
        .kubectl()
        .run([
            "create",
            "rolebinding",
            "reader",
            "--clusterrole=view",
            &format!("--serviceaccount={}:reader", namespace.name()),
        ])
        .ok();
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    fs::write(
        at("token"),
        Cluster::shared().service_account_token(namespace.name(), "reader"),
    )
    .expect("written");
    let script = "#!/bin/sh\ncd \"$(dirname \"$0\")\"; echo run >>runs\n\
        token=none; [ \"$(wc -l <runs)\" -gt 1 ] && token=$(cat token)\n\
        echo \"{\\\"apiVersion\\\":\\\"client.authentication.k8s.io/v1\\\",\\\"kind\\\":\\\"ExecCredential\\\",\
        \\\"status\\\":{\\\"token\\\":\\\"$token\\\"}}\"\n";
    fs::write(at("plugin"), script).expect("written");
    fs::set_permissions(at("plugin"), fs::Permissions::from_mode(0o755)).expect("changed");
    let mut config = Cluster::shared()
        .kubectl()
        .run(["config", "view", "--flatten", "--raw", "-o", "json"])
        .ok()
        .json();
    config["users"][0]["user"] = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin",
        "interactiveMode": "Never"}});
    fs::write(at("kubeconfig"), config.to_string()).expect("written");
    let mut client = Client::start(&at("kubeconfig"), &[]);
    let runs = || fs::read_to_string(at("runs")).map_or(0, |runs| runs.lines().count());
    assert_eq!(runs(), 0, "it isn't run before it is needed");
    client.read("get", json!({"kind": "pods", "namespace": namespace.name()}));
    client.read("get", json!({"kind": "pods", "namespace": namespace.name()}));
    assert_eq!(runs(), 2);
    // A plugin that gives nothing is said to, once.
    fs::write(at("plugin"), "#!/bin/sh\nexit 4\n").expect("written");
    let mut client = Client::start(&at("kubeconfig"), &[]);
    let text = client.refused("get", json!({"kind": "pods", "namespace": namespace.name()}));
    assert!(
        text.contains("credential plugin") && text.contains("exit status: 4"),
        "{text}"
    );
}

#[test]
fn it_ends_when_its_client_goes() {
    let client = Client::start(Cluster::shared().kubeconfig(), &[]);
    assert_eq!(client.end(), 0);
}

#[test]
fn help_teaches_how_a_client_starts_it() {
    let output = program().arg("--help").output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        text.contains("\"mcpServers\"") && text.contains("--all-contexts"),
        "{text}"
    );
}
