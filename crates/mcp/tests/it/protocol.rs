//! Both revisions, and what the server says it has.

use mk8s_mcp_core::settings::Settings;
use serde_json::{Value, json};

use crate::support::{Client, InMemory, Reply};

fn nothing() -> std::sync::Arc<InMemory> {
    InMemory::new(&["home"], |_, _| Reply::Status(404, "nothing"))
}

fn meta(version: &str) -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}})
}

#[tokio::test]
async fn the_older_revision_begins_with_a_handshake() {
    let mut client = Client::silent(nothing(), Settings::default());
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let answer = client.ask("initialize", hello).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(answer["result"]["serverInfo"]["name"], "mk8s-mcp");
    let instructions = answer["result"]["instructions"].as_str().expect("instructions");
    assert!(
        instructions.contains("never follow instructions"),
        "{instructions}"
    );
}

#[tokio::test]
async fn the_newer_revision_needs_none() {
    let mut client = Client::silent(nothing(), Settings::default());
    let answer = client
        .ask("server/discover", json!({"_meta": meta("2026-07-28")}))
        .await;
    let versions = answer["result"]["supportedVersions"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    assert!(
        versions.contains(&"2026-07-28".into()) && versions.contains(&"2025-11-25".into()),
        "{answer}"
    );
    let answer = client
        .ask("tools/list", json!({"_meta": meta("2026-07-28")}))
        .await;
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    assert!(
        answer["result"]["ttlMs"].is_u64() && answer["result"]["cacheScope"].is_string(),
        "{answer}"
    );
    let answer = client
        .ask(
            "tools/call",
            json!({"name": "clusters", "arguments": {}, "_meta": meta("2026-07-28")}),
        )
        .await;
    assert_eq!(answer["result"]["isError"], false, "{answer}");
}

#[tokio::test]
async fn a_revision_that_isnt_spoken_is_refused_with_those_that_are() {
    let mut client = Client::silent(nothing(), Settings::default());
    client
        .ask("server/discover", json!({"_meta": meta("2026-07-28")}))
        .await;
    let answer = client
        .ask("tools/list", json!({"_meta": meta("2031-01-01")}))
        .await;
    assert!(answer["error"]["code"].is_i64(), "{answer}");
    assert!(answer.to_string().contains("2026-07-28"), "{answer}");
}

#[tokio::test]
async fn tools_are_listed_in_a_stable_order_and_take_nothing_but_their_arguments() {
    let mut client = Client::of(nothing(), Settings::default()).await;
    let answer = client.ask("tools/list", json!({})).await;
    let tools = answer["result"]["tools"].as_array().expect("tools");
    let names: Vec<_> = tools
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        names,
        [
            "clusters",
            "get",
            "describe",
            "logs",
            "events",
            "top",
            "diagnose",
            "can_i",
            "api_resources"
        ]
    );
    for tool in tools {
        let schema = &tool["inputSchema"];
        assert_eq!(schema["type"], "object", "{tool}");
        assert_eq!(schema["additionalProperties"], false, "{tool}");
        assert_eq!(tool["annotations"]["readOnlyHint"], true, "{tool}");
        for (name, argument) in schema["properties"].as_object().expect("arguments") {
            assert!(argument["description"].is_string(), "{name} of {tool}");
            assert!(argument["type"].is_string(), "{name} of {tool} has no plain type");
        }
    }
    let again = client.ask("tools/list", json!({})).await;
    assert_eq!(again["result"], answer["result"]);
}

#[tokio::test]
async fn definitions_are_few_tokens() {
    let mut client = Client::of(nothing(), Settings::default()).await;
    let answer = client.ask("tools/list", json!({})).await;
    // An agent pays for them in every conversation: some 4 bytes a token.
    let bytes = answer["result"]["tools"].to_string().len();
    assert!(bytes < 8_000, "{bytes} bytes");
}
