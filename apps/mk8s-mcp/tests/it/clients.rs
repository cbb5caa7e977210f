//! The official Python and TypeScript clients, in both revisions: every tool on a real cluster.

use std::{path::PathBuf, process::Command};

use mk8s_testkit::{Cluster, Ran, command, workspace};
use serde_json::{Value, json};

/// Where they are installed: at once, or by the first test that needs them.
fn installed() -> PathBuf {
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
