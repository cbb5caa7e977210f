//! What others made to judge MCP servers: the official conformance suite, and the inspector.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mk8s_testkit::{Cluster, command, workspace};
use serde_json::{Value, json};

use crate::{client::program, clients::installed, served::Served};

/// The suite's own fixtures, behind the door of `serve`.
struct Fixtures {
    child: Child,
    url: String,
}

impl Fixtures {
    fn start() -> Self {
        let mut child = program()
            .arg("conformance")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let mut url = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut url).expect("a line");
        assert!(
            url.starts_with("http"),
            "the fixtures aren't there: add --features mk8s-mcp/conformance"
        );
        Self {
            child,
            url: url.trim().to_owned(),
        }
    }
}

impl Drop for Fixtures {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What isn't done of the older revision, and why.
const EXPECTED: &str = "tests/clients/mcp/judges/expected-failures.yaml";

fn results(revision: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .with_file_name("mcp-conformance")
        .join(revision)
}

/// Runs the suite for a revision. What it found is left in `target/mcp-conformance/REVISION`.
fn conforms(revision: &str, more: &[&str]) {
    let fixtures = Fixtures::start();
    let results = results(revision);
    // Those of an earlier run.
    let _ = fs::remove_dir_all(&results);
    fs::create_dir_all(&results).expect("a directory");
    let ran = command::run_with(
        Command::new(judge("conformance"))
            .args(["server", "--url", &fixtures.url, "--requirements", revision])
            .arg("--output-dir")
            .arg(&results)
            .args(more)
            .current_dir(workspace::root()),
        b"",
        Duration::from_secs(300),
    );
    let said = ran.ok();
    assert!(said.text().contains("Total: "), "{said}");
    fs::write(results.join("summary.txt"), said.text()).expect("written");
}

fn judge(name: &str) -> PathBuf {
    installed().join("judges").join(name)
}

#[test]
fn the_conformance_suite_finds_nothing_wrong_by_the_newest_revision() {
    conforms("2026-07-28", &[]);
}

#[test]
fn the_conformance_suite_finds_what_is_explained_by_the_older_revision() {
    conforms("2025-11-25", &["--expected-failures", EXPECTED]);
    // Beside the results, for who reads them.
    let explained = results("2025-11-25").join("expected-failures.yaml");
    fs::copy(workspace::root().join(EXPECTED), explained).expect("copied");
}

fn inspect(url: &str, era: &str, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let home = tempfile::tempdir().expect("a directory");
    let ran = command::run_with(
        Command::new(judge("inspector"))
            .args(["--cli", url, "--protocol-era", era, "--format", "json", "--quiet"])
            .args(arguments)
            .env("HOME", home.path()),
        b"",
        Duration::from_secs(60),
    );
    let value = serde_json::from_str(&ran.stdout).unwrap_or_default();
    (ran.code, value, ran.stderr)
}

fn the_inspector_is_content(era: &str) {
    // It can't ask anybody, so it is shown what would be done.
    let served = Served::start(
        json!({"kubernetes": {"kubeconfig": Cluster::shared().kubeconfig()},
        "allowAnonymous": true, "mode": "full", "dryRun": true}),
    );
    let (code, listed, said) = inspect(&served.url, era, &["--method", "tools/list", "--strict"]);
    assert_eq!(code, Some(0), "schemas are portable: {said}");
    let listed = listed["result"]["tools"].as_array().expect("tools").clone();
    let system = "kube-system";
    // Each tool, its arguments, and whether it fails: there is neither such a pod nor a metrics API.
    let calls = [
        ("clusters", json!({}), false),
        ("get", json!({"kind": "namespaces"}), false),
        ("describe", json!({"kind": "namespace", "name": system}), false),
        ("logs", json!({"pod": "nobody", "namespace": system}), true),
        ("events", json!({"namespace": system}), false),
        ("top", json!({"of": "nodes"}), true),
        ("diagnose", json!({"kind": "namespace", "name": system}), false),
        ("can_i", json!({"verb": "get", "kind": "pods"}), false),
        ("api_resources", json!({"search": "pod"}), false),
        (
            "change",
            json!({"operation": "delete", "kind": "configmap", "name": "kube-root-ca.crt", "namespace": system}),
            false,
        ),
        (
            "exec",
            json!({"pod": "nobody", "namespace": system, "command": ["ls"]}),
            true,
        ),
    ];
    let names: Vec<_> = listed
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        names,
        calls.each_ref().map(|(name, ..)| *name),
        "each tool is called"
    );
    for (name, arguments, fails) in calls {
        let arguments = arguments.to_string();
        let call = [
            "--method",
            "tools/call",
            "--tool-name",
            name,
            "--tool-args-json",
            &arguments,
        ];
        let (_, answer, said) = inspect(&served.url, era, &call);
        let result = &answer["result"];
        assert_eq!(result["isError"], fails, "{name}: {answer} {said}");
        let text = result["content"][0]["text"].as_str().expect("text");
        assert!(!text.is_empty());
    }
}

#[test]
fn the_inspector_uses_every_tool_in_the_newer_revision() {
    the_inspector_is_content("modern");
}

#[test]
fn the_inspector_uses_every_tool_in_the_older_revision() {
    the_inspector_is_content("legacy");
}
