//! A process that is killed in the middle of its work, again and again: whatever it was told to be written down is in the
//! database afterwards, once.

use std::{
    collections::{HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use mk8s_audit::{AuditSink, Journal, Limits, Shipper, SinkError};
use mk8s_model::{AuditEvent, AuditId, Outcome};
use uuid::Uuid;

use crate::support::{close, open, upsert};

const DIRECTORY: &str = "MK8S_TEST_AUDIT_DIRECTORY";
const TEST: &str = "killed::what_was_written_down_survives_a_kill";

/// A table in a file, to which each batch is appended in one go.
struct Table(Mutex<File>);

impl Table {
    /// As a database does when it starts: half a batch, of a process that was killed while it wrote, is rolled back.
    fn open(path: &Path) -> Self {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .expect("a file");
        let written = std::fs::read(path).expect("read");
        let whole = written
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        file.set_len(whole as u64).expect("rolled back");
        Self(Mutex::new(file))
    }

    /// The rows. Half a batch is what a transaction that wasn't committed would be: nothing.
    fn read(path: &Path) -> HashMap<AuditId, AuditEvent<'static>> {
        let mut rows = HashMap::new();
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for line in text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
        {
            let batch: Vec<AuditEvent<'_>> = serde_json::from_str(line).expect("a batch");
            batch.iter().for_each(|event| upsert(&mut rows, event));
        }
        rows
    }
}

#[async_trait::async_trait]
impl AuditSink for Table {
    async fn append(&self, events: &[AuditEvent<'_>]) -> Result<(), SinkError> {
        let mut line = serde_json::to_vec(events)?;
        line.push(b'\n');
        Ok(self.0.lock().expect("no panic").write_all(&line)?)
    }
}

/// Opens and closes events, says each on standard output once it is written down, and ships all the while. Until killed.
fn work(dir: &Path) -> ! {
    let journal = Journal::open(&dir.join("audit"), Limits::default()).expect("a journal");
    let sink = Arc::new(Table::open(&dir.join("table")));
    let mut shipper = Shipper::new(journal.clone(), sink).expect("a shipper");
    for _ in 0..3 {
        let journal = journal.clone();
        std::thread::spawn(move || {
            let mut left_open = Vec::new();
            for number in 0_u64.. {
                let id = open(&journal);
                say('o', id);
                if number.is_multiple_of(3) {
                    left_open.push(id);
                } else {
                    close(&journal, id);
                    say('c', id);
                }
                // Some end long after their beginning has been shipped.
                if number.is_multiple_of(500) {
                    for id in left_open.drain(..).step_by(2) {
                        close(&journal, id);
                        say('c', id);
                    }
                }
            }
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        loop {
            shipper.ship().await.expect("shipped");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
}

fn say(what: char, id: AuditId) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n!{what}{id}").expect("heard");
    out.flush().expect("heard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_written_down_survives_a_kill() {
    if let Some(dir) = std::env::var_os(DIRECTORY) {
        std::thread::spawn(move || work(&PathBuf::from(dir)))
            .join()
            .expect("never ends");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (mut opened, mut closed) = (HashSet::new(), HashSet::new());
    for round in 1..=4 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", TEST, "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut heard = 0;
        for line in out.lines() {
            let Ok(line) = line else { break };
            let id = |text: &str| AuditId(text.parse::<Uuid>().expect("an id"));
            match line.split_at_checked(2) {
                Some(("!o", text)) if text.len() == 36 => opened.insert(id(text)),
                Some(("!c", text)) if text.len() == 36 => closed.insert(id(text)),
                _ => false,
            };
            heard += 1;
            if heard == 2_000 * round {
                // SIGKILL; what is in the pipe by then has been said.
                child.kill().expect("killed");
            }
        }
        child.wait().expect("waited for");
    }
    assert!(opened.len() > 3_000, "{}", opened.len());

    let table = dir.path().join("table");
    let journal = Journal::open(&dir.path().join("audit"), Limits::default()).expect("a journal");
    let mut shipper = Shipper::new(journal.clone(), Arc::new(Table::open(&table))).expect("a shipper");
    shipper.ship().await.expect("shipped");
    shipper.ship().await.expect("nothing more");
    assert_eq!(journal.unshipped_bytes(), 0);
    let rows = Table::read(&table);
    for id in &opened {
        let row = rows.get(id).unwrap_or_else(|| panic!("{id} is lost"));
        let outcome = row.close.unwrap_or_else(|| panic!("{id} has no end")).outcome;
        assert!(
            outcome == Outcome::Complete || (outcome == Outcome::Interrupted && !closed.contains(id)),
            "{id}: {outcome:?}"
        );
    }
    let interrupted = rows
        .values()
        .filter(|row| row.close.is_some_and(|c| c.outcome == Outcome::Interrupted));
    assert!(interrupted.count() > 100, "some ran");
    // Written down, and killed before it could say so: a few a round, one a thread.
    assert!(
        rows.len() - opened.len() <= 4 * 3,
        "{} {}",
        rows.len(),
        opened.len()
    );
}
