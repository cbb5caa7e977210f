//! Tells the pod's own programs that something changed. Their processes are seen if the pod shares its process namespace.

use std::{fs, path::Path};

use mk8s_secrets::contract::Signal;
use rustix::process::{Pid, Signal as UnixSignal, kill_process};
use tracing::{info, warn};

/// Containers' first processes that are nobody's application: the pod's own, and those of injection.
const NOT_MEANT: [&str; 3] = ["pause", "mca-proxy", "keeper-secrets"];

/// Sends the signal to the first process of each of the pod's containers. Returns how many got it.
pub(crate) fn send(signal: Signal) -> usize {
    let Some(number) = UnixSignal::from_named_raw(signal.number()) else {
        warn!(%signal, "there is no such signal here");
        return 0;
    };
    let mut told = 0;
    for process in firsts(Path::new("/proc")) {
        match kill_process(process.id, number) {
            Ok(()) => {
                info!(%signal, process = %process.name, "told of the change");
                told += 1;
            }
            Err(error) => warn!(
                %signal, process = %process.name, %error,
                "can't tell of the change: run keeper-secrets as the application's user (uid in the webhook's settings)"
            ),
        }
    }
    if told == 0 {
        warn!(%signal, "nobody was told of the change: is spec.shareProcessNamespace true?");
    }
    told
}

#[derive(Debug, PartialEq, Eq)]
struct Process {
    id: Pid,
    name: String,
}

/// Processes whose parent is in none of the pod's containers: what their containers were started with.
fn firsts(proc: &Path) -> Vec<Process> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let own = std::process::id();
    let mut found: Vec<Process> = entries
        .filter_map(|entry| {
            let number: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (name, parent) = parse(&stat)?;
            let is_meant = parent == 0 && number.unsigned_abs() != own && !NOT_MEANT.contains(&name);
            is_meant.then_some(Process {
                id: Pid::from_raw(number)?,
                name: name.to_owned(),
            })
        })
        .collect();
    found.sort_by_key(|process| process.id.as_raw_nonzero());
    found
}

/// Name and parent in `/proc/PID/stat` (proc_pid_stat(5)); the name is in parentheses, and may have some in it.
fn parse(stat: &str) -> Option<(&str, i32)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let parent = after.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((name, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_containers_were_started_with_is_meant() {
        let proc = tempfile::tempdir().expect("a directory");
        for (id, stat) in [
            ("1", "1 (pause) S 0 1 1"),
            ("20", "20 (my (odd) app) S 0 20 20"),
            ("21", "21 (worker) S 20 20 20"),
            ("30", "30 (mca-proxy) S 0 30 30"),
            ("40", "40 (keeper-secrets) S 0 40 40"),
            ("50", "50 (nginx) S 0 50 50"),
            ("self", "no number"),
            ("60", "garbage"),
        ] {
            let directory = proc.path().join(id);
            fs::create_dir(&directory).expect("made");
            fs::write(directory.join("stat"), stat).expect("written");
        }
        let found: Vec<_> = firsts(proc.path())
            .into_iter()
            .map(|process| process.name)
            .collect();
        assert_eq!(found, ["my (odd) app", "nginx"]);
    }
}
