//! Waiting for what comes about by itself.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long [`eventually`] waits. Long, because a loaded machine is slow; a test that passes never waits it out.
pub const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Asks again and again until there is an answer.
///
/// # Panics
/// After [`PATIENCE`]; `what` says what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, question: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, question)
}

/// As [`eventually`], with a limit of its own.
///
/// # Panics
/// After `limit`; `what` says what was waited for.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, question: impl FnMut() -> Option<T>) -> T {
    attempt(limit, question).unwrap_or_else(|| panic!("waited {limit:?} in vain for {what}"))
}

/// As [`eventually`], without holding up the runtime. For what can't be awaited: a counter, a list that grows.
///
/// # Panics
/// After [`PATIENCE`]; `what` says what was waited for.
pub async fn soon<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// As [`within`], for those who have more to say of what was in vain.
pub fn attempt<T>(limit: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = question() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(PAUSE);
    }
}
