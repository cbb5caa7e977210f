//! What was measured, and on what.

use std::{fs, path::Path, process::Command};

use serde::Serialize;

/// The machine and the versions.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// When, in UTC.
    pub(crate) date: String,
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) kernel: String,
    pub(crate) mk8s: String,
    pub(crate) haproxy: String,
}

impl Machine {
    /// This one, now.
    pub(crate) fn here(central: &Path, haproxy: &Path) -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            date: jiff::Timestamp::now().strftime("%F %H:%M UTC").to_string(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            kernel: kernel.trim().to_owned(),
            mk8s: version(central, "--version"),
            haproxy: version(haproxy, "-v"),
        }
    }
}

/// The second or third word of what a program says about itself, whichever is its version.
fn version(program: &Path, flag: &str) -> String {
    let output = Command::new(program)
        .arg(flag)
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    let mut words = text.split_ascii_whitespace().skip(1);
    words
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or("unknown")
        .to_owned()
}
