//! Events as lines of JSON in a file (or on standard output), for programs that have no database: `{"stage":"open",…}` before
//! a request leaves, `{"stage":"close",…}` when it ended, joined by `id`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use mk8s_model::{AuditClose, AuditOpen};
use mk8s_proxy::{AuditLog, AuditUnavailable};
use serde::Serialize;
use tracing::error;

/// The file. Appending is one `write(2)`; what it returned for survives the death of the process. The file may be renamed
/// away while we run, as logrotate does: the next event begins a new one.
#[derive(Debug)]
pub struct AuditFile {
    to: Mutex<Destination>,
}

#[derive(Debug)]
enum Destination {
    Output(io::Stdout),
    File {
        path: PathBuf,
        file: File,
        /// Whether it ends in the middle of a line that couldn't be written.
        torn: bool,
    },
}

/// The audit file can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("can't write the audit file {}: {source}", path.display())]
pub struct AuditFileError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A line.
#[derive(Serialize)]
struct Line<'a, E> {
    stage: &'static str,
    #[serde(flatten)]
    event: &'a E,
}

impl AuditFile {
    /// Appends to a file, which is made with mode 0600 if it isn't there.
    ///
    /// # Errors
    /// [`AuditFileError`] if it can't be opened for that.
    pub fn open(path: &Path) -> Result<Arc<Self>, AuditFileError> {
        let failed = |source| AuditFileError {
            path: path.to_owned(),
            source,
        };
        let to = Destination::File {
            path: path.to_owned(),
            file: append(path).map_err(failed)?,
            torn: false,
        };
        Ok(Arc::new(Self { to: Mutex::new(to) }))
    }

    /// Writes to standard output, which a container's runtime keeps.
    pub fn standard_output() -> Arc<Self> {
        Arc::new(Self {
            to: Mutex::new(Destination::Output(io::stdout())),
        })
    }

    /// Writes a line of another kind: `stage`, and what `event` has.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn note<E: Serialize>(&self, stage: &'static str, event: &E) -> io::Result<()> {
        self.write(stage, event)
    }

    fn write<E: Serialize>(&self, stage: &'static str, event: &E) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line { stage, event })?;
        line.push(b'\n');
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *to {
            Destination::Output(output) => {
                let mut output = output.lock();
                output.write_all(&line)?;
                output.flush()
            }
            Destination::File { path, file, torn } => {
                if is_elsewhere(path, file) {
                    *file = append(path)?;
                    *torn = false;
                }
                if *torn {
                    file.write_all(b"\n")?;
                    *torn = false;
                }
                let written = file.write_all(&line);
                *torn = written.is_err();
                written
            }
        }
    }
}

impl AuditLog for AuditFile {
    fn open(&self, event: &AuditOpen<'_>) -> Result<(), AuditUnavailable> {
        self.write("open", event)
            .map_err(|why| AuditUnavailable(why.into()))
    }

    fn close(&self, event: &AuditClose) {
        if let Err(why) = self.write("close", event) {
            error!(audit_id = %event.id, status = event.status, outcome = event.outcome.as_str(), %why,
                "how a request ended can't be written to the audit file");
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Whether the path names another file by now, or none.
fn is_elsewhere(path: &Path, file: &File) -> bool {
    match (fs::metadata(path), file.metadata()) {
        (Ok(there), Ok(ours)) => (there.dev(), there.ino()) != (ours.dev(), ours.ino()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use mk8s_model::{AuditId, Outcome};
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;

    fn open(user: &str) -> AuditOpen<'_> {
        AuditOpen {
            id: AuditId(Uuid::from_u128(1)),
            at: Timestamp::UNIX_EPOCH,
            user: user.into(),
            groups: vec!["team-a".into()],
            source: "127.0.0.1".into(),
            user_agent: None,
            cluster: Some("home".into()),
            method: "GET".into(),
            uri: "/api/v1/namespaces".into(),
            verb: "list".into(),
            resource: "namespaces".into(),
            api_group: None,
            namespace: None,
            name: None,
            rule: None,
            denied: None,
            policy_version: 0,
        }
    }

    fn close() -> AuditClose {
        AuditClose {
            id: AuditId(Uuid::from_u128(1)),
            status: 200,
            outcome: Outcome::Complete,
            duration_ms: 1,
            bytes_sent: 2,
        }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).expect("the file");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    #[test]
    fn both_halves_are_lines_joined_by_their_id() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("audit.jsonl");
        let log = AuditFile::open(&path).expect("file");
        AuditLog::open(&*log, &open("anna\nforged")).expect("written");
        log.close(&close());
        let lines = lines(&path);
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&lines[0]["stage"], &lines[0]["user"]),
            (&"open".into(), &"anna\nforged".into())
        );
        assert_eq!(
            (&lines[1]["stage"], &lines[1]["status"]),
            (&"close".into(), &200.into())
        );
        assert_eq!(lines[0]["id"], lines[1]["id"]);
        let mode = fs::metadata(&path).expect("metadata").mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_line_of_another_kind_stands_among_events() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("audit.jsonl");
        let log = AuditFile::open(&path).expect("file");
        log.note("call", &serde_json::json!({"tool": "get"}))
            .expect("written");
        log.close(&close());
        let lines = lines(&path);
        assert_eq!(
            (&lines[0]["stage"], &lines[0]["tool"]),
            (&"call".into(), &"get".into())
        );
        assert_eq!(lines[1]["stage"], "close");
    }

    #[test]
    fn a_file_that_is_renamed_away_is_begun_anew() {
        let dir = tempfile::tempdir().expect("directory");
        let (path, old) = (dir.path().join("audit.jsonl"), dir.path().join("audit.jsonl.1"));
        let log = AuditFile::open(&path).expect("file");
        AuditLog::open(&*log, &open("before")).expect("written");
        fs::rename(&path, &old).expect("renamed");
        AuditLog::open(&*log, &open("after")).expect("written");
        assert_eq!(lines(&old)[0]["user"], "before");
        assert_eq!(lines(&path)[0]["user"], "after");
    }

    #[test]
    fn what_cant_be_written_refuses_the_request() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("audit.jsonl");
        let log = AuditFile::open(&path).expect("file");
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("in its place");
        AuditLog::open(&*log, &open("anna")).expect_err("nowhere to write to");
        let full = AuditFile::open(Path::new("/dev/full")).expect("device");
        AuditLog::open(&*full, &open("anna")).expect_err("no space");
    }
}
