//! The official Python and TypeScript clients, in both revisions: every tool on a real cluster.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use mk8s_testkit::{Cluster, Ran, command, workspace};
use serde_json::{Value, json};

use crate::entering;

/// Where they are installed: at once, or by the first test that needs them.
pub(crate) fn installed() -> PathBuf {
    let ran = command::run_with(
        &mut Command::new(workspace::root().join("tools/test-mcp-clients.sh")),
        b"",
        std::time::Duration::from_secs(300),
    );
    ran.ok().text().into()
}

pub(crate) fn run(client: &str, task: &Value, arguments: &[&str]) -> Ran {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(installed().join(client).join("client"));
    command
        .env("USER", "anna")
        .arg(env!("CARGO_BIN_EXE_mk8s-mcp"))
        .arg("--kubeconfig")
        .arg(Cluster::shared().kubeconfig())
        .arg("--audit-file")
        .arg(directory.path().join("audit.jsonl"))
        .args(arguments);
    command::run_with(
        &mut command,
        task.to_string().as_bytes(),
        std::time::Duration::from_secs(120),
    )
}

fn every_tool_answers(client: &str, mode: &str, version: &str) {
    let system = "kube-system";
    let pod = entering::pod();
    let namespace = pod.name();
    let made =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}, "data": {"a": "1"}});
    // Each tool, its arguments, what it says, and whether it fails: there is neither such a pod nor a metrics API.
    let calls = [
        ("clusters", json!({}), "ready", false),
        (
            "get",
            json!({"kind": "namespaces", "output": "names"}),
            system,
            false,
        ),
        (
            "describe",
            json!({"kind": "namespace", "name": system}),
            "Active",
            false,
        ),
        (
            "logs",
            json!({"pod": "nobody", "namespace": system}),
            "NotFound",
            true,
        ),
        ("events", json!({"namespace": system}), "events", false),
        ("top", json!({"of": "nodes"}), "metrics-server", true),
        (
            "diagnose",
            json!({"kind": "namespace", "name": system}),
            "it has no pods",
            false,
        ),
        ("can_i", json!({"verb": "get", "kind": "pods"}), "yes: get", false),
        ("api_resources", json!({"search": "pod"}), "Pod", false),
        (
            "change",
            json!({"operation": "create", "namespace": namespace, "manifest": made}),
            "made",
            false,
        ),
        ("change", json!({"plan": ""}), "done: create", false),
        (
            "exec",
            json!({"pod": "p", "namespace": namespace, "command": ["echo", "said"]}),
            "said",
            false,
        ),
        (
            "port_forward",
            json!({"action": "start", "pod": "p", "namespace": namespace, "port": 8080}),
            "127.0.0.1",
            false,
        ),
        ("port_forward", json!({"action": "list"}), "8080", false),
    ];
    let asked: Vec<_> = calls
        .iter()
        .map(|(name, arguments, ..)| json!({"name": name, "arguments": arguments}))
        .collect();
    let task = json!({"mode": mode, "says": "accept", "calls": asked});
    let said = run(client, &task, &["--mode", "full"]).ok().json();
    assert_eq!(said["protocolVersion"], version, "{said}");
    let mut names: Vec<_> = calls.iter().map(|(name, ..)| *name).collect();
    names.dedup();
    assert_eq!(said["tools"], json!(names), "each tool is called");
    let results = said["results"].as_array().expect("results");
    for ((name, _, expected, fails), result) in calls.iter().zip(results) {
        let text = result["text"].as_str().expect("text");
        assert!(text.contains(expected), "{name}: {text}");
        assert_eq!(result["isError"], *fails, "{name}: {text}");
    }
    // Of the change, the command and the port: each once.
    assert_eq!(said["questions"].as_array().map(Vec::len), Some(3), "{said}");
}

#[test]
fn pythons_client_uses_every_tool_in_the_newer_revision() {
    every_tool_answers("python", "2026-07-28", "2026-07-28");
}

#[test]
fn pythons_client_uses_every_tool_in_the_older_revision() {
    every_tool_answers("python", "legacy", "2025-11-25");
}

#[test]
fn typescripts_client_uses_every_tool_in_the_newer_revision() {
    every_tool_answers("node", "2026-07-28", "2026-07-28");
}

#[test]
fn typescripts_client_uses_every_tool_in_the_older_revision() {
    every_tool_answers("node", "legacy", "2025-11-25");
}

/// A client that subscribes to a ConfigMap hears of its change, and reads it.
fn a_change_is_heard_of(client: &str, mode: &str) {
    let namespace = Cluster::shared().namespace();
    namespace.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {a: before}\n");
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(installed().join(client).join("client"))
        .env("USER", "anna")
        .arg(env!("CARGO_BIN_EXE_mk8s-mcp"))
        .arg("--kubeconfig")
        .arg(Cluster::shared().kubeconfig())
        .arg("--audit-file")
        .arg(directory.path().join("audit.jsonl"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client");
    let uri = format!(
        "k8s://{}/api/v1/namespaces/{}/configmaps/notes",
        cluster(),
        namespace.name()
    );
    let task = json!({"mode": mode, "watch": {"uri": uri, "until": "after"}});
    let mut to = child.stdin.take().expect("its input");
    to.write_all(task.to_string().as_bytes()).expect("written");
    drop(to);
    let mut from = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    from.read_line(&mut line).expect("a line");
    assert_eq!(line.trim(), "subscribed");
    namespace.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {a: after}\n");
    let mut said = String::new();
    from.read_to_string(&mut said).expect("what it says");
    assert!(child.wait().expect("its end").success());
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let read = said["read"].as_array().expect("what it read");
    assert!(
        read.last()
            .expect("one")
            .as_str()
            .expect("text")
            .contains("after"),
        "{said}"
    );
    assert_eq!(said["resources"].as_array().map(Vec::len), Some(4), "{said}");
    assert_eq!(said["templates"].as_array().map(Vec::len), Some(9), "{said}");
}

/// What the test cluster's context is called.
fn cluster() -> String {
    crate::client::Client::start(Cluster::shared().kubeconfig(), &[]).cluster()
}

#[test]
fn pythons_client_hears_of_changes_in_the_newer_revision() {
    a_change_is_heard_of("python", "2026-07-28");
}

#[test]
fn pythons_client_hears_of_changes_in_the_older_revision() {
    a_change_is_heard_of("python", "legacy");
}
