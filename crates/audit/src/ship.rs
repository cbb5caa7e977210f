//! Moving what the journal holds into the sink.

use std::{
    collections::HashMap,
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use mk8s_model::{AuditClose, AuditEvent, AuditId, AuditOpen, Outcome};
use tracing::{error, info, warn};

use crate::{
    journal::Journal,
    record::{self, Record},
};

/// Why the sink took nothing.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Where events end up. Taking the same event twice, or first without its close and later with it, leaves one row.
#[async_trait]
pub trait AuditSink: Send + Sync + 'static {
    /// Takes events, all or none.
    ///
    /// # Errors
    /// If none were taken; they will be offered again.
    async fn append(&self, events: &[AuditEvent<'_>]) -> Result<(), SinkError>;
}

const INTERVAL: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How long the sink may take for a batch: a connection can be dead without a sign.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events offered at once.
const BATCH: usize = 2000;

/// Ships until told to stop.
pub struct Shipper {
    journal: Arc<Journal>,
    sink: Arc<dyn AuditSink>,
    /// Shipped while still running; their closes will need the rest of the event.
    running: HashMap<AuditId, AuditOpen<'static>>,
    running_changed: bool,
}

impl Shipper {
    /// A shipper for a journal just opened. Requests that ran when the last process died are closed as
    /// [`Outcome::Interrupted`] on the first round.
    ///
    /// # Errors
    /// If what the last process left can't be read.
    pub fn new(journal: Arc<Journal>, sink: Arc<dyn AuditSink>) -> io::Result<Self> {
        let mut left: HashMap<AuditId, AuditOpen<'static>> = HashMap::new();
        let mut closed = Vec::new();
        let earlier = std::iter::once(running_file(&journal.dir)).chain(journal.ended()?);
        for path in earlier {
            for record in Lines::of(&read(&path)?).records {
                match record {
                    Record::Open(open) => {
                        left.insert(open.id, open.into_owned());
                    }
                    Record::Close(close) => closed.push(close.id),
                }
            }
        }
        for id in closed {
            left.remove(&id);
        }
        if !left.is_empty() {
            info!(
                requests = left.len(),
                "closing the audit of requests that the last process was killed in"
            );
        }
        // Written as closes of the new segment: should we die again before shipping, they are there.
        for id in left.keys() {
            use mk8s_proxy::AuditLog;
            journal.close(&AuditClose {
                id: *id,
                status: 0,
                outcome: Outcome::Interrupted,
                duration_ms: 0,
                bytes_sent: 0,
            });
        }
        let running = read_opens(&running_file(&journal.dir))?;
        Ok(Self {
            journal,
            sink,
            running,
            running_changed: false,
        })
    }

    /// Ships every half second; backs off while the sink is away; ships what is left once `stop` resolves.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut wait = INTERVAL;
        loop {
            let stopping = tokio::select! {
                () = tokio::time::sleep(wait) => false,
                () = &mut stop => true,
            };
            match self.ship().await {
                Ok(()) => wait = INTERVAL,
                Err(error) => {
                    wait = (wait * 2).min(LONGEST_WAIT);
                    warn!(%error, waiting_bytes = self.journal.unshipped_bytes(), "audit events wait: the database took none");
                }
            }
            if stopping {
                return;
            }
        }
    }

    /// One round.
    ///
    /// # Errors
    /// If the sink took nothing or the disk failed; what was not taken stays in the journal.
    pub async fn ship(&mut self) -> Result<(), SinkError> {
        self.journal.rotate()?;
        for segment in self.journal.ended()? {
            let path = segment.clone();
            let bytes = tokio::task::spawn_blocking(move || read(&path)).await??;
            let Lines { records, unreadable } = Lines::of(&bytes);
            let (events, closed) = self.merge(records);
            for batch in events.chunks(BATCH) {
                tokio::time::timeout(PATIENCE, self.sink.append(batch))
                    .await
                    .map_err(|_| "the database does not answer")??;
            }
            for event in events.into_iter().filter(|event| event.close.is_none()) {
                self.running.insert(event.open.id, event.open.into_owned());
                self.running_changed = true;
            }
            for id in closed {
                self.running_changed |= self.running.remove(&id).is_some();
            }
            // Before the segment goes: its opens must not be forgotten.
            self.keep_running()?;
            if unreadable == 0 {
                self.journal.forget(&segment)?;
            } else {
                let aside = self.journal.set_aside(&segment)?;
                error!(lines = unreadable, file = %aside.display(), "the audit journal has lines that can't be read");
            }
        }
        Ok(())
    }

    /// Brings opens and closes together. A close whose open was shipped earlier takes it from `running`.
    fn merge<'a>(&self, records: Vec<Record<'a>>) -> (Vec<AuditEvent<'a>>, Vec<AuditId>) {
        let mut events: Vec<AuditEvent<'a>> = Vec::with_capacity(records.len() / 2 + 1);
        let mut at: HashMap<AuditId, usize> = HashMap::with_capacity(records.len());
        let mut closed = Vec::new();
        for record in records {
            match record {
                Record::Open(open) => {
                    at.insert(open.id, events.len());
                    events.push(AuditEvent {
                        open: *open,
                        close: None,
                    });
                }
                Record::Close(close) => {
                    closed.push(close.id);
                    if let Some(&index) = at.get(&close.id) {
                        events[index].close = Some(close);
                    } else if let Some(open) = self.running.get(&close.id) {
                        events.push(AuditEvent {
                            open: open.clone(),
                            close: Some(close),
                        });
                    }
                }
            }
        }
        (events, closed)
    }

    fn keep_running(&mut self) -> io::Result<()> {
        if !self.running_changed {
            return Ok(());
        }
        let mut lines = Vec::new();
        for open in self.running.values() {
            record::write_open(&mut lines, open)?;
        }
        let path = running_file(&self.journal.dir);
        let next = path.with_extension("next");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)?;
        file.write_all(&lines)?;
        fs::rename(&next, &path)?;
        self.running_changed = false;
        Ok(())
    }
}

fn running_file(dir: &Path) -> PathBuf {
    dir.join("running.jsonl")
}

fn read_opens(path: &Path) -> io::Result<HashMap<AuditId, AuditOpen<'static>>> {
    Ok(Lines::of(&read(path)?)
        .records
        .into_iter()
        .filter_map(|record| match record {
            Record::Open(open) => Some((open.id, open.into_owned())),
            Record::Close(_) => None,
        })
        .collect())
}

/// What a file holds.
#[derive(Default)]
struct Lines<'a> {
    records: Vec<Record<'a>>,
    /// Whole lines that are no records. The last line may be cut short: nobody was told that it was written.
    unreadable: usize,
}

/// A file's bytes; none if there is no such file.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut lines = Self::default();
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let (line, is_whole) = line
                .strip_suffix(b"\n")
                .map_or((line, false), |line| (line, true));
            match record::read(line) {
                Some(record) => lines.records.push(record),
                None if is_whole && !line.is_empty() => lines.unreadable += 1,
                None => {}
            }
        }
        lines
    }
}
