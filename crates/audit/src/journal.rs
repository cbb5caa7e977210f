//! The file that every request is appended to.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use mk8s_model::{AuditClose, AuditOpen};
use mk8s_proxy::{AuditLog, AuditUnavailable};
use tracing::error;

use crate::record;

/// Bounds of the journal.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes on disk beyond which new requests are refused, because the sink has been away too long.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 1024 * 1024 * 1024,
        }
    }
}

/// The journal can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The directory can't be used.
    #[error("can't use the audit directory {}: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else writes there.
    #[error("the audit directory {} is in use by another process: give each replica a data directory of its own", .0.display())]
    Locked(PathBuf),
}

/// The journal. Appending is one `write(2)`; what it returned for survives the death of the process.
#[derive(Debug)]
pub struct Journal {
    pub(crate) dir: PathBuf,
    current: Mutex<Segment>,
    /// Bytes in all segments that are not shipped yet.
    unshipped: AtomicU64,
    limits: Limits,
    _lock: File,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: File,
    bytes: u64,
    buffer: Vec<u8>,
    /// Whether it ends in the middle of a line that couldn't be written.
    torn: bool,
}

impl Journal {
    /// Opens the journal in a directory, which is made if it isn't there. Segments of an earlier run stay for the
    /// shipper.
    ///
    /// # Errors
    /// [`JournalError`] if the directory can't be written or another process has it.
    pub fn open(dir: &Path, limits: Limits) -> Result<Arc<Self>, JournalError> {
        let failed = |source| JournalError::Directory {
            path: dir.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
        let lock = private()
            .create(true)
            .truncate(false)
            .open(dir.join("lock"))
            .map_err(failed)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                JournalError::Locked(dir.to_owned())
            } else {
                failed(error.into())
            }
        })?;
        let old = segments(dir).map_err(failed)?;
        let unshipped = old
            .iter()
            .filter_map(|(_, path)| fs::metadata(path).ok())
            .map(|m| m.len())
            .sum();
        let next = old.last().map_or(0, |(number, _)| number + 1);
        let current = Segment::create(dir, next).map_err(failed)?;
        Ok(Arc::new(Self {
            dir: dir.to_owned(),
            current: Mutex::new(current),
            unshipped: AtomicU64::new(unshipped),
            limits,
            _lock: lock,
        }))
    }

    /// Bytes that wait for the sink.
    pub fn unshipped_bytes(&self) -> u64 {
        self.unshipped.load(Ordering::Relaxed)
    }

    fn append(&self, write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> io::Result<()> {
        // A panic while the lock was held left at worst half a record in the buffer, which is cleared here.
        let mut segment = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let Segment {
            file,
            buffer,
            bytes,
            torn,
            ..
        } = &mut *segment;
        buffer.clear();
        if *torn {
            buffer.push(b'\n');
        }
        write(buffer)?;
        if let Err(error) = file.write_all(buffer) {
            // What got there of the line would swallow the next one. It goes, or is at least ended by the next.
            *torn = file.set_len(*bytes).is_err();
            return Err(error);
        }
        *torn = false;
        *bytes += buffer.len() as u64;
        self.unshipped.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the current segment, so that all segments but the newest can be shipped. Does nothing if it is empty.
    pub(crate) fn rotate(&self) -> io::Result<()> {
        let mut segment = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if segment.bytes > 0 {
            let next = Segment::create(&self.dir, segment.number + 1)?;
            *segment = next;
        }
        Ok(())
    }

    /// The ended segments, oldest first.
    pub(crate) fn ended(&self) -> io::Result<Vec<PathBuf>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).number;
        Ok(segments(&self.dir)?
            .into_iter()
            .filter(|(number, _)| *number < current)
            .map(|(_, path)| path)
            .collect())
    }

    pub(crate) fn forget(&self, segment: &Path) -> io::Result<()> {
        let bytes = fs::metadata(segment)?.len();
        fs::remove_file(segment)?;
        self.shipped(bytes);
        Ok(())
    }

    /// Sets a segment aside that has something in it which can't be read: it may be evidence. Nobody looks at it again but
    /// a person.
    pub(crate) fn set_aside(&self, segment: &Path) -> io::Result<PathBuf> {
        let bytes = fs::metadata(segment)?.len();
        let aside = segment.with_extension("unreadable");
        fs::rename(segment, &aside)?;
        self.shipped(bytes);
        Ok(aside)
    }

    fn shipped(&self, bytes: u64) {
        let less = |all: u64| Some(all.saturating_sub(bytes));
        let _ = self
            .unshipped
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

impl AuditLog for Journal {
    fn open(&self, event: &AuditOpen<'_>) -> Result<(), AuditUnavailable> {
        if self.unshipped_bytes() > self.limits.max_bytes {
            return Err(AuditUnavailable(
                "the journal is full because the database has been away too long".into(),
            ));
        }
        self.append(|buffer| record::write_open(buffer, event))
            .map_err(|e| AuditUnavailable(e.into()))
    }

    fn close(&self, event: &AuditClose) {
        if let Err(why) = self.append(|buffer| record::write_close(buffer, event)) {
            error!(audit_id = %event.id, error = %why, "can't write down how a request ended");
        }
    }
}

impl Segment {
    fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let file = private()
            .append(true)
            .create_new(true)
            .open(dir.join(format!("{number:020}.jsonl")))?;
        Ok(Self {
            number,
            file,
            bytes: 0,
            buffer: Vec::with_capacity(2048),
            torn: false,
        })
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn segments(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".jsonl"))
            .and_then(|stem| stem.parse().ok());
        if let Some(number) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}
