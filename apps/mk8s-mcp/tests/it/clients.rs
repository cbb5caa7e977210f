//! The official Python and TypeScript clients, in both revisions: every tool on a real cluster.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use mk8s_testkit::{Cluster, Ran, command, workspace};
use serde_json::{Value, json};

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
    let calls = json!([
        {"name": "clusters", "arguments": {}},
        {"name": "get", "arguments": {"kind": "namespaces", "output": "names"}},
        {"name": "describe", "arguments": {"kind": "namespace", "name": system}},
        {"name": "logs", "arguments": {"pod": "nobody", "namespace": system}},
        {"name": "events", "arguments": {"namespace": system}},
        {"name": "top", "arguments": {"of": "nodes"}},
        {"name": "diagnose", "arguments": {"kind": "namespace", "name": system}},
        {"name": "can_i", "arguments": {"verb": "get", "kind": "pods"}},
        {"name": "api_resources", "arguments": {"search": "pod"}},
    ]);
    let said = run(client, &json!({"mode": mode, "calls": calls}), &[])
        .ok()
        .json();
    assert_eq!(said["protocolVersion"], version, "{said}");
    let asked: Vec<_> = calls
        .as_array()
        .expect("calls")
        .iter()
        .map(|call| call["name"].clone())
        .collect();
    assert_eq!(said["tools"], Value::from(asked), "each tool is called");
    let results = said["results"].as_array().expect("results");
    for (at, expected) in [
        "ready",
        system,
        "Active",
        "NotFound",
        "events",
        "metrics-server",
        "it has no pods",
        "yes: get",
        "Pod",
    ]
    .into_iter()
    .enumerate()
    {
        let text = results[at]["text"].as_str().expect("text");
        assert!(text.contains(expected), "{}: {text}", calls[at]["name"]);
        // There is neither such a pod nor a metrics API.
        assert_eq!(
            results[at]["isError"],
            ["logs", "top"].contains(&calls[at]["name"].as_str().expect("a name")),
            "{text}"
        );
    }
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
