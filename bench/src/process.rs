//! Processes of our own, watched from outside: what they have used, and how they end.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A process that ends when this is dropped, or when we die.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// What a process has in memory, in bytes.
pub(crate) type Bytes = u64;

impl Process {
    /// Starts it, with what it says in `{log}`.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[&str],
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        Self::start_with(name, program, arguments, &[], log)
    }

    /// The same, with more in its environment.
    pub(crate) fn start_with(
        name: &'static str,
        program: &Path,
        arguments: &[&str],
        variables: &[(String, String)],
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let output = File::create(&log).with_context(|| format!("can't write {}", log.display()))?;
        // It must not outlive us, whatever happens to us.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(arguments)
            .env_remove("KUBECONFIG")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("can't start {name} with setpriv (Debian: util-linux)"))?;
        Ok(Self { name, child, log })
    }

    /// What it is called in tables.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said something.
    pub(crate) async fn until_says(&mut self, text: &str, timeout: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        while !self.said().contains(text) {
            if self.child.try_wait()?.is_some() || started.elapsed() > timeout {
                bail!("{} did not start; it said: {}", self.name, self.said().trim());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// CPU time used since it started, user and system, by all its threads, also those that ended.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu(self.id()).with_context(|| format!("{} is gone; it said: {}", self.name, self.said().trim()))
    }

    /// Resident memory.
    pub(crate) fn resident(&self) -> anyhow::Result<Bytes> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))
            .with_context(|| format!("{} is gone", self.name))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) else {
            return;
        };
        // An error means that it is gone already.
        let _ = kill_process(pid, Signal::TERM);
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if started.elapsed() > END_TIMEOUT {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// CPU time of any process, to a hundredth of a second. The kernel derives the sum from nanoseconds, so that it doesn't
/// depend on where a clock tick happened to fall; and unlike the threads' own files it keeps those that ended.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    cpu_in(&stat).context("/proc/PID/stat is not as expected")
}

/// Ticks per second, as the kernel shows them to programs on every architecture we know.
const TICKS: u64 = 100;

fn cpu_in(stat: &str) -> Option<Duration> {
    // The name, which may hold spaces, ends at the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_the_sum_of_user_and_system_whatever_the_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 99 0 0 0 150 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_in(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_in("7"), None);
    }
}
