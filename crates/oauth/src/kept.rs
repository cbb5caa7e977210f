//! What another keeps for us to read: fetched when it is first needed, again when it is old, and used for a bounded time
//! while it can't be fetched.
//!
//! One fetch at a time. No task of its own: whoever asks fetches, and if they go away the next one does.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use crate::clock::{Clock, age};

/// How soon after a failure it is tried again when there is nothing to go on with.
const RETRY: Duration = Duration::from_secs(1);

/// For how long what was fetched is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    /// Older than this it is fetched again.
    pub(crate) refresh: Duration,
    /// Between two fetches at least.
    pub(crate) min_interval: Duration,
    /// Older than this it isn't used any more.
    pub(crate) keep: Duration,
}

/// One such thing.
pub(crate) struct Kept<T, E> {
    held: ArcSwapOption<Held<T>>,
    flight: Mutex<Option<Attempt<E>>>,
    lifetimes: Lifetimes,
    clock: Clock,
}

/// What was fetched, and when.
pub(crate) struct Held<T> {
    pub(crate) value: T,
    since: Timestamp,
}

/// The last fetch.
struct Attempt<E> {
    at: Timestamp,
    failure: Option<E>,
}

enum Age {
    Fresh,
    Stale,
    Dead,
}

impl<T, E: Clone> Kept<T, E> {
    pub(crate) fn new(lifetimes: Lifetimes, clock: Clock) -> Self {
        Self {
            held: ArcSwapOption::empty(),
            flight: Mutex::new(None),
            lifetimes,
            clock,
        }
    }

    /// What is there, fetched first if need be.
    ///
    /// While it is merely old, one of those who ask fetches it, and the others go on with what there is.
    pub(crate) async fn get<F>(&self, fetch: impl FnOnce() -> F) -> Result<Arc<Held<T>>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        match self.current() {
            Some((held, Age::Fresh)) => return Ok(held),
            Some((held, Age::Stale)) => {
                let newer = match self.flight.try_lock() {
                    Ok(flight) if self.may_refresh(&flight) => self.fetch(flight, fetch).await.ok(),
                    _ => None,
                };
                return Ok(newer.unwrap_or(held));
            }
            Some((_, Age::Dead)) | None => {}
        }
        let flight = self.flight.lock().await;
        // Whoever waited may find it done.
        if let Some((held, Age::Fresh | Age::Stale)) = self.current() {
            return Ok(held);
        }
        if let Some(Attempt {
            at,
            failure: Some(failure),
        }) = &*flight
            && age(*at, (self.clock)()).is_some_and(|age| age < RETRY)
        {
            return Err(failure.clone());
        }
        self.fetch(flight, fetch).await
    }

    /// Something newer than what was seen to lack what is looked for; nothing if it was fetched so lately that it needn't be
    /// asked for again.
    pub(crate) async fn newer_than<F>(
        &self,
        seen: &Arc<Held<T>>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Option<Arc<Held<T>>>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let flight = self.flight.lock().await;
        if let Some(held) = self.held.load_full()
            && !Arc::ptr_eq(&held, seen)
        {
            return Ok(Some(held));
        }
        if self.may_fetch(&flight) {
            return self.fetch(flight, fetch).await.map(Some);
        }
        match flight.as_ref().and_then(|attempt| attempt.failure.clone()) {
            Some(failure) => Err(failure),
            None => Ok(None),
        }
    }

    async fn fetch<F>(
        &self,
        mut flight: MutexGuard<'_, Option<Attempt<E>>>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<Held<T>>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let at = (self.clock)();
        // Noted before it begins: who asks and goes away at once has used up the interval all the same.
        *flight = Some(Attempt { at, failure: None });
        // Large, and seldom needed: who finds what they look for shouldn't have to carry it.
        match Box::pin(fetch()).await {
            Ok(value) => {
                let held = Arc::new(Held { value, since: at });
                self.held.store(Some(Arc::clone(&held)));
                Ok(held)
            }
            Err(failure) => {
                *flight = Some(Attempt {
                    at: (self.clock)(),
                    failure: Some(failure.clone()),
                });
                Err(failure)
            }
        }
    }

    fn current(&self) -> Option<(Arc<Held<T>>, Age)> {
        let held = self.held.load_full()?;
        let is = match age(held.since, (self.clock)()) {
            Some(age) if age < self.lifetimes.refresh => Age::Fresh,
            Some(age) if age >= self.lifetimes.keep => Age::Dead,
            _ => Age::Stale,
        };
        Some((held, is))
    }

    /// Whoever fetches for a refresh alone waits for it, so after a failure it is tried less often than it might be.
    fn may_refresh(&self, flight: &Option<Attempt<E>>) -> bool {
        let patience = self.lifetimes.refresh / 10;
        let failed_lately = flight.as_ref().is_some_and(|attempt| {
            attempt.failure.is_some() && age(attempt.at, (self.clock)()).is_some_and(|age| age < patience)
        });
        !failed_lately && self.may_fetch(flight)
    }

    fn may_fetch(&self, flight: &Option<Attempt<E>>) -> bool {
        flight.as_ref().is_none_or(|attempt| {
            age(attempt.at, (self.clock)()).is_none_or(|age| age >= self.lifetimes.min_interval)
        })
    }
}
