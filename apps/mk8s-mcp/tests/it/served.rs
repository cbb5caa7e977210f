//! `mk8s-mcp serve` beside a test.

use std::{fs, process::Command, time::Duration};

use mk8s_testkit::{Program, eventually};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::client::program;

/// A running server.
pub(crate) struct Served {
    pub(crate) program: Program,
    /// Where MCP is spoken.
    pub(crate) url: String,
    directory: tempfile::TempDir,
    http: Client,
    /// Whether its clients can ask their user.
    pub(crate) can_ask: bool,
}

impl Served {
    /// Starts one on a port of its own. `config` is what its file says beside that.
    #[track_caller]
    pub(crate) fn start(mut config: Value) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        config["server"]["bind"] = "127.0.0.1".into();
        config["server"]["port"] = 0.into();
        config["auditFile"] = directory.path().join("audit.jsonl").to_string_lossy().into();
        let file = directory.path().join("mcp.yaml");
        fs::write(&file, config.to_string()).expect("written");
        let mut command: Command = program();
        command.arg("serve").arg("--config").arg(&file);
        let program = Program::start("mk8s-mcp", &command, &directory.path().join("log"));
        let address = eventually("the server is ready", || {
            let log = program.log();
            let (_, rest) = log.split_once("ready listen=")?;
            rest.split_once(' ').map(|(address, _)| address.to_owned())
        });
        mk8s_tls::install_default_provider();
        let http = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build();
        Self {
            program,
            url: format!("http://{address}/mcp"),
            directory,
            http: http.expect("a client"),
            can_ask: false,
        }
    }

    /// Another place on the same server.
    pub(crate) fn at(&self, path: &str) -> String {
        self.url.replace("/mcp", path)
    }

    /// The answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.http.get(self.at(path)).send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.text().await.expect("text"))
    }

    /// Sends a message of the newest revision, with more headers.
    pub(crate) async fn send(&self, method: &str, mut params: Value, headers: &[(&str, &str)]) -> Response {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": match self.can_ask {
                true => json!({"elicitation": {}}),
                false => json!({}),
            },
        });
        let mut request = self
            .http
            .post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if let Some(name) = params["name"].as_str() {
            request = request.header("mcp-name", name);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        request.json(&message).send().await.expect("an answer")
    }

    /// Calls a tool with a token, if there is one: whether it failed, and what it says.
    pub(crate) async fn call(&self, token: Option<&str>, tool: &str, arguments: Value) -> (bool, String) {
        let params = json!({"name": tool, "arguments": arguments});
        let result = self.result(token, params).await;
        let text = result["content"][0]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("no text: {result}"));
        (result["isError"] == true, text.to_owned())
    }

    /// What a call comes to, which may be a question.
    pub(crate) async fn result(&self, token: Option<&str>, params: Value) -> Value {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = authorization
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        let response = self.send("tools/call", params, &headers).await;
        assert_eq!(response.status(), 200, "{}", self.program.log());
        let answer: Value = response.json().await.expect("JSON");
        answer["result"].clone()
    }

    /// What was written down so far.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join("audit.jsonl")).expect("the audit file");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }
}
