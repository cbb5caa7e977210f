//! Time, as a parameter.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's own clock.
pub fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// `at` and so much later, at most the end of time.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// `at` and so much earlier, at least the beginning of time.
pub(crate) fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// How long ago `since` was. Nothing if it is still to come, because the clock was set back.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> Option<Duration> {
    let age: SignedDuration = now.duration_since(since);
    Duration::try_from(age).ok()
}
