//! Time, as a parameter.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::Timestamp;

/// Where the time comes from. Shared as `Arc<dyn Clock>`.
pub trait Clock: Send + Sync {
    /// The time, now.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that stands still until it is told to move: for tests. Keeps milliseconds.
#[derive(Debug)]
pub struct ManualClock {
    unix_ms: AtomicI64,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.unix_ms.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            unix_ms: AtomicI64::new(now.as_millisecond()),
        }
    }

    /// Shows `now` from here on, later or earlier than before.
    pub fn set(&self, now: Timestamp) {
        self.unix_ms.store(now.as_millisecond(), Ordering::SeqCst);
    }

    /// Moves on by `step`, to the millisecond.
    pub fn advance(&self, step: Duration) {
        self.unix_ms.fetch_add(
            i64::try_from(step.as_millis()).unwrap_or(i64::MAX),
            Ordering::SeqCst,
        );
    }
}

/// `at` and so much later, at most the end of time.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
