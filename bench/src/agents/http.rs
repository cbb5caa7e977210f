//! `mk8s-mcp serve`, asked over TLS and HTTP/2 on a connection that is kept.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use mk8s_tls::CertificateAuthority;
use serde_json::{Value, json};

use crate::{
    client::{Connection, Target},
    contender::free_port,
    process::Process,
};

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// What each request has, so that it can stand alone.
const HEADERS: &[(&str, &str)] = &[
    ("accept", "application/json, text/event-stream"),
    ("mcp-protocol-version", "2025-11-25"),
];

/// A running server.
pub(super) struct Http {
    connection: Connection,
    next: u64,
    _process: Process,
}

impl Http {
    /// Starts one for anybody on this machine.
    pub(super) async fn start(program: &Path, kubeconfig: &str, dir: &Path) -> anyhow::Result<Self> {
        let now = jiff::Timestamp::now();
        let authority = CertificateAuthority::generate("mk8s-bench", now)?;
        let file = |name: &str| dir.join(name);
        authority
            .issue_server(&["127.0.0.1".to_owned()], Duration::from_secs(24 * 3600), now)?
            .save(&file("serve.crt"), &file("serve.key"))?;
        let port = free_port()?;
        let config = json!({
            "server": {"bind": "127.0.0.1", "port": port, "certFile": file("serve.crt"), "keyFile": file("serve.key")},
            "kubernetes": {"kubeconfig": kubeconfig},
            "allowAnonymous": true, "callsPerMinute": 1_000_000, "auditFile": file("serve-audit.jsonl"),
        });
        std::fs::write(file("serve.yaml"), config.to_string())?;
        let path = file("serve.yaml");
        let path = path.to_str().context("the path is not UTF-8")?;
        let mut process = Process::start(
            "mk8s-mcp serve",
            program,
            &["serve", "--config", path],
            file("serve.log"),
        )?;
        process.until_says("ready", START_TIMEOUT).await?;
        let address = format!("127.0.0.1:{port}").parse()?;
        let target = Target::new(address, authority.certificate_pem().as_bytes())?;
        Ok(Self {
            connection: target.connect().await?,
            next: 0,
            _process: process,
        })
    }

    /// How long a call takes.
    pub(super) async fn time(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<Duration> {
        self.next += 1;
        let call = json!({"jsonrpc": "2.0", "id": self.next, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}});
        let started = Instant::now();
        let answer = self.connection.ask("/mcp", &call, HEADERS).await?;
        let took = started.elapsed();
        ensure!(
            answer["result"]["isError"] == false,
            "mk8s-mcp serve: {tool} {arguments}: {answer}"
        );
        Ok(took)
    }
}
