//! A server of tools, as a desktop client runs it: a child that speaks JSON-RPC on its standard input and output.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running server.
pub(super) struct Server {
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    next: u64,
    /// What it calls itself.
    pub(super) name: String,
    pub(super) version: String,
}

impl Server {
    /// Starts it, and says hello in a revision that all know.
    pub(super) async fn start(
        program: &Path,
        arguments: &[&str],
        kubeconfig: &str,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let log = std::fs::File::create(log).with_context(|| format!("can't write {}", log.display()))?;
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!(
                    "can't start {} with setpriv (Debian: util-linux)",
                    program.display()
                )
            })?;
        let to = child.stdin.take().context("its standard input")?;
        let from = child.stdout.take().context("its standard output")?;
        let mut server = Self {
            _child: child,
            to,
            from: BufReader::new(from),
            next: 0,
            name: String::new(),
            version: String::new(),
        };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}});
        let us = server.ask("initialize", hello).await?;
        let text = |key: &str| {
            us["serverInfo"][key]
                .as_str()
                .unwrap_or_default()
                .trim_start_matches('v')
                .to_owned()
        };
        (server.name, server.version) = (text("name"), text("version"));
        server
            .write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await?;
        Ok(server)
    }

    /// What an agent is told of its tools: names, descriptions and arguments.
    pub(super) async fn definitions(&mut self) -> anyhow::Result<(usize, String)> {
        let answer = self.ask("tools/list", json!({})).await?;
        let tools = answer["tools"].as_array().context("no tools")?;
        let told = |tool: &Value| json!({"name": tool["name"], "description": tool["description"], "inputSchema": tool["inputSchema"]});
        Ok((tools.len(), Value::from_iter(tools.iter().map(told)).to_string()))
    }

    /// Calls a tool, and returns what an agent reads.
    pub(super) async fn call(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<String> {
        let answer = self
            .ask("tools/call", json!({"name": tool, "arguments": arguments}))
            .await?;
        let contents = answer["content"].as_array().context("no content")?;
        let text: Vec<&str> = contents
            .iter()
            .filter_map(|content| content["text"].as_str())
            .collect();
        let text = text.join("\n");
        ensure!(
            answer["isError"] != true,
            "{} {tool} {arguments}: {text}",
            self.name
        );
        Ok(text)
    }

    /// How long a call takes, from the first byte written to the last one read.
    pub(super) async fn time(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<Duration> {
        let request = json!({"name": tool, "arguments": arguments});
        let started = Instant::now();
        let answer = self.ask("tools/call", request).await?;
        let took = started.elapsed();
        ensure!(
            answer["isError"] != true,
            "{} {tool} {arguments}: {answer}",
            self.name
        );
        Ok(took)
    }

    async fn ask(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.next += 1;
        let id = self.next;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await?;
        let answer = async {
            loop {
                let mut line = String::new();
                if self.from.read_line(&mut line).await? == 0 {
                    bail!("{} ended", self.name);
                }
                let mut message: Value = serde_json::from_str(&line)?;
                if message["id"] == id {
                    ensure!(
                        message["result"].is_object(),
                        "{} {method}: {}",
                        self.name,
                        message["error"]
                    );
                    return Ok(message["result"].take());
                }
            }
        };
        tokio::time::timeout(TIMEOUT, answer)
            .await
            .with_context(|| format!("{method} took longer than {} s", TIMEOUT.as_secs()))?
    }

    async fn write(&mut self, message: &Value) -> anyhow::Result<()> {
        self.to.write_all(format!("{message}\n").as_bytes()).await?;
        Ok(self.to.flush().await?)
    }
}
