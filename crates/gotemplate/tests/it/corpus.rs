//! Go renders the corpus' cases, and so do we.

use std::{collections::HashMap, path::PathBuf, process::Command};

use mk8s_gotemplate::{Limits, Template};
use serde_json::Value;

fn corpus() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "corpus"].iter().collect()
}

fn json(path: &str) -> Value {
    let text = std::fs::read_to_string(corpus().join(path)).expect("the corpus is here");
    serde_json::from_str(&text).expect("the corpus is JSON")
}

#[test]
fn every_case_renders_as_in_go() {
    let cases = json("cases.json");
    let expected = json("expected.json");
    let expected: HashMap<&str, Option<&str>> = expected["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| {
            (
                result["name"].as_str().expect("a name"),
                result["output"].as_str(),
            )
        })
        .collect();
    let all = cases["cases"].as_array().expect("cases");
    assert_eq!(
        all.len(),
        expected.len(),
        "each case has a result, and a name of its own"
    );
    let mut wrong = Vec::new();
    for case in all {
        let name = case["name"].as_str().expect("a name");
        let source = case["template"].as_str().expect("a template");
        let data = case.get("data").unwrap_or(&cases["data"]);
        let ours = Template::parse(name, source)
            .map_err(|error| error.to_string())
            .and_then(|t| {
                t.render(data, &Limits::default())
                    .map_err(|error| error.to_string())
            });
        let gos = expected[name];
        if ours.as_deref().ok() != gos {
            wrong.push(format!("{name}: {source}\n  Go:   {gos:?}\n  ours: {ours:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n")
    );
}

#[test]
fn what_is_expected_is_what_go_says_now() {
    let output = Command::new("go")
        .args(["run", ".", "../cases.json"])
        .current_dir(corpus().join("go"))
        .env("CGO_ENABLED", "0")
        .output()
        .expect("Go renders the corpus: install it, and have it in the PATH");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut now: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut committed = json("expected.json");
    // Another Go may say the same.
    for side in [&mut now, &mut committed] {
        assert!(side["go"].take().is_string(), "the version of Go is noted");
    }
    assert_eq!(
        now, committed,
        "the corpus changed: in tests/corpus/go, run: go run . ../cases.json >../expected.json"
    );
}

#[test]
fn there_are_enough_cases_of_both_sorts() {
    let expected = json("expected.json");
    let results = expected["results"].as_array().expect("results");
    let failing = results.iter().filter(|result| result["error"] == true).count();
    assert!(failing > 100, "{failing} fail");
    assert!(
        results.len() - failing > 400,
        "{} render",
        results.len() - failing
    );
}
