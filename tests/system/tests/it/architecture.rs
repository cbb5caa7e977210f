//! Who may import whom, as ARCHITECTURE.md says it.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Each crate of ours with those of ours that it may import. What isn't listed is not allowed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("mk8s-model", &[]),
    ("mk8s-policy", &["mk8s-model"]),
    ("mk8s-routing", &["mk8s-model", "mk8s-policy"]),
    ("mk8s-inject", &["mk8s-model", "mk8s-secrets"]),
    ("mk8s-secrets", &[]),
    ("mk8s-gotemplate", &[]),
    ("mk8s-keeper", &["mk8s-tls"]),
    ("mk8s-tls", &["mk8s-model"]),
    ("mk8s-telemetry", &["mk8s-model"]),
    ("mk8s-net", &["mk8s-model", "mk8s-tls"]),
    ("mk8s-authn", &["mk8s-model", "mk8s-net"]),
    ("mk8s-oauth", &["mk8s-model", "mk8s-tls"]),
    ("mk8s-tunnel", &["mk8s-model", "mk8s-net", "mk8s-tls"]),
    ("mk8s-cache", &["mk8s-model", "mk8s-net"]),
    ("mk8s-proxy", &["mk8s-model", "mk8s-net", "mk8s-tls"]),
    ("mk8s-audit", &["mk8s-model", "mk8s-proxy"]),
    ("mk8s-connect", &["mk8s-net", "mk8s-proxy", "mk8s-tls"]),
    ("mk8s-lists", &["mk8s-model", "mk8s-net"]),
    ("mk8s-fleet", &["mk8s-lists", "mk8s-model", "mk8s-net"]),
    ("mk8s-filter", &["mk8s-lists", "mk8s-model", "mk8s-net"]),
    ("mk8s-serving", &["mk8s-model", "mk8s-net", "mk8s-tls"]),
    ("mk8s-operators", &["mk8s-model", "mk8s-proxy", "mk8s-tls"]),
    ("mk8s-mcp-core", &["mk8s-model", "mk8s-net"]),
    (
        "mk8s-federation",
        &[
            "mk8s-connect",
            "mk8s-mcp-core",
            "mk8s-model",
            "mk8s-net",
            "mk8s-proxy",
        ],
    ),
    ("mk8s-store", &["mk8s-authn", "mk8s-model"]),
    ("mk8s", &["mk8s-inject", "mk8s-model", "mk8s-tls"]),
];
/// Crates whose users must stay without an async runtime and HTTP.
const PURE: &[&str] = &[
    "mk8s-model",
    "mk8s-policy",
    "mk8s-inject",
    "mk8s-gotemplate",
    "mk8s-routing",
    "mk8s-secrets",
];
const IMPURE: &[&str] = &["tokio", "hyper", "sqlx", "rustls", "axum", "tonic"];
/// The TLS stack is named by one crate.
const TLS_STACK: &[&str] = &["rustls", "tokio-rustls", "rcgen", "aws-lc-rs", "x509-parser"];

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let imports = imports();
    for (name, allowed) in ALLOWED {
        for import in ours(&imports[*name]) {
            assert!(allowed.contains(&import), "{name} must not import {import}");
        }
    }
    for name in imports.keys().filter(|name| name.starts_with("mk8s-")) {
        let is_listed = ALLOWED.iter().any(|(listed, _)| listed == name);
        let is_leaf = [
            "mk8s-central",
            "mk8s-agent",
            "mk8s-apiserver",
            "mk8s-front-proxy",
            "mk8s-mcp",
            "mk8s-webhook",
            "mk8s-testkit",
            "mk8s-bench",
            "mk8s-system-tests",
            "mk8s-test-client",
        ]
        .contains(&&**name);
        assert!(
            is_listed || is_leaf,
            "{name} is new: say in ARCHITECTURE.md and here whom it may import"
        );
    }
}

#[test]
fn only_programs_know_the_store() {
    for (name, imports) in imports() {
        let may = ["mk8s-central", "mk8s-store"].contains(&&*name);
        assert!(
            may || !imports.iter().any(|i| i == "mk8s-store"),
            "{name} must not import mk8s-store"
        );
    }
}

#[test]
fn decisions_stay_pure() {
    let imports = imports();
    for name in PURE {
        for import in &imports[*name] {
            assert!(
                !IMPURE.contains(&import.as_str()),
                "{name} must not import {import}"
            );
        }
    }
}

#[test]
fn one_crate_names_the_tls_stack() {
    for (name, imports) in imports() {
        // authn signs tokens with the same library's RSA, keeper's protocol encrypts inside TLS, filter seals what clients
        // send back, and mcp what agents do; the test kit makes hostile certificates.
        if [
            "mk8s-tls",
            "mk8s-authn",
            "mk8s-filter",
            "mk8s-keeper",
            "mk8s-mcp-core",
            "mk8s-testkit",
            "mk8s-bench",
            "mk8s-system-tests",
        ]
        .contains(&&*name)
        {
            continue;
        }
        for import in imports {
            assert!(
                !TLS_STACK.contains(&import.as_str()),
                "{name} must not import {import}: mk8s-tls does"
            );
        }
    }
}

/// Every workspace member with its normal dependencies.
fn imports() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata's JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let normal = dependencies
                .iter()
                .filter(|d| d["kind"].is_null())
                .map(|d| text(&d["name"]))
                .collect();
            (text(&package["name"]), normal)
        })
        .collect()
}

fn ours(imports: &[String]) -> impl Iterator<Item = &str> {
    imports
        .iter()
        .map(String::as_str)
        .filter(|import| import.starts_with("mk8s-"))
}
