//! The ways to the API server that are compared.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{client::Target, process::Process};

/// An API server, the real one or what stands for it.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    /// Who signed its certificate, as PEM.
    pub(crate) authorities: Vec<u8>,
    /// What an agent proves itself with.
    pub(crate) agent_token: String,
}

/// One way to it.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    /// The processes whose cost counts. None for the straight way.
    pub(crate) processes: Vec<Process>,
    /// Where work that belongs to the requests may still wait after the last of them was answered.
    pub(crate) backlog: Option<PathBuf>,
}

impl Contender {
    /// CPU time used so far, by each process.
    pub(crate) fn cpu(&self) -> anyhow::Result<Vec<Duration>> {
        self.processes.iter().map(Process::cpu).collect()
    }

    /// Waits until what the requests left behind is done, too: the audit journal must be in the database.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let Some(journal) = &self.backlog else {
            return Ok(());
        };
        for _ in 0..200 {
            let mut waiting = 0;
            for file in std::fs::read_dir(journal)? {
                let file = file?;
                let is_segment = file
                    .file_name()
                    .as_encoded_bytes()
                    .first()
                    .is_some_and(u8::is_ascii_digit);
                // It may have been shipped between the two calls.
                waiting += if is_segment {
                    file.metadata().map_or(0, |m| m.len())
                } else {
                    0
                };
            }
            if waiting == 0 {
                // Shipped, and about to say so.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!(
            "{}: the audit journal is not shipped within ten seconds",
            self.name
        )
    }
}

/// A port of 127.0.0.1 that nobody listens on now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}
