//! A file that one process at a time may hold.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    error::{Failure, Result},
    home::reason,
};

/// How often to look whether it is free.
const INTERVAL: Duration = Duration::from_millis(20);

/// Held by this process; dropped (or this process killed), it lets the next one in.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// Waits until it is free, at most `limit`.
    pub(crate) fn acquire(path: &Path, limit: Duration) -> Result<Self> {
        let cannot =
            |error: &io::Error| Failure::new(format!("can't lock {}: {}", path.display(), reason(error)));
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| cannot(&error))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::WouldBlock) if started.elapsed() < limit => std::thread::sleep(INTERVAL),
                Err(TryLockError::WouldBlock) => {
                    let (shown, seconds) = (path.display(), limit.as_secs());
                    return Err(
                        Failure::new(format!("another mk8s has held {shown} for {seconds} s"))
                            .hint("try again; if it goes on, look for a hanging mk8s process"),
                    );
                }
                // Some network file systems have no locks. Central forgives a refresh token used twice within seconds.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(Self { _file: None });
                }
                Err(TryLockError::Error(error)) => return Err(cannot(&error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_is_given_up_in_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let held = Lock::acquire(&path, Duration::ZERO).expect("locked");
        let failure = Lock::acquire(&path, Duration::from_millis(60)).expect_err("refused");
        assert!(failure.lines().expect("lines").0.contains("another mk8s"));
        drop(held);
        assert!(Lock::acquire(&path, Duration::ZERO).is_ok());
    }
}
