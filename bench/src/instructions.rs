//! Counting instructions, which noise doesn't touch. Few virtual machines let us; then that is said.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::Process;

const EVENT: &str = "instructions:u";

/// Whether this machine counts them; if not, why.
pub(crate) fn available() -> Result<(), String> {
    let output = Command::new("perf")
        .args(["stat", "-x,", "-e", EVENT, "--", "true"])
        .output();
    let output = output.map_err(|_| "perf is not installed (Debian: linux-perf)".to_owned())?;
    match counted(&String::from_utf8_lossy(&output.stderr)) {
        Some(_) => Ok(()),
        None => Err("this machine shows no instruction counter to perf".to_owned()),
    }
}

/// A counter on running processes.
#[derive(Debug)]
pub(crate) struct Counter(Child);

impl Counter {
    /// Begins to count, on all threads of these processes.
    pub(crate) async fn start(processes: &[Process]) -> anyhow::Result<Self> {
        let ids: Vec<String> = processes.iter().map(|process| process.id().to_string()).collect();
        let child = Command::new("perf")
            .args(["stat", "-x,", "-e", EVENT, "-p", &ids.join(",")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("can't run perf")?;
        // It says nothing when it is attached.
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(Self(child))
    }

    /// Ends it. Returns what it counted.
    pub(crate) fn finish(self) -> anyhow::Result<u64> {
        let pid = i32::try_from(self.0.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("no process id")?;
        kill_process(pid, Signal::INT)?;
        let said = String::from_utf8(self.0.wait_with_output()?.stderr)?;
        match counted(&said) {
            Some(count) => Ok(count),
            None => bail!("perf counted nothing: {}", said.trim()),
        }
    }
}

/// The count in what `perf stat -x,` wrote.
fn counted(output: &str) -> Option<u64> {
    output
        .lines()
        .find(|line| line.contains(EVENT))?
        .split(',')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_told_from_none() {
        assert_eq!(
            counted("127390,,instructions:u,1181150,100.00,,\n"),
            Some(127_390)
        );
        assert_eq!(counted("<not supported>,,instructions:u,0,100.00,,\n"), None);
        assert_eq!(counted(""), None);
    }
}
