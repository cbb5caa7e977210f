//! What ties the state to requests, answers and watches: each of them leaves it as it should be, however it ends.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Response};
use mk8s_model::ClusterName;
use mk8s_net::Body;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Ask, Counters, Settings,
    event::Changed,
    guard::{self, End, GuardKey},
    kept::{self, Kept},
    key::{Key, Reach},
    moment::Moment,
    plan::Read,
    record::{Recorded, Room},
    state::{Candidate, Outcome, State, Tick},
};

/// The cache itself.
#[derive(Debug)]
pub(crate) struct Inner {
    state: Mutex<State>,
    max_age: Duration,
    max_entry_bytes: u64,
    /// For bodies that are being copied.
    room: Room,
    sweeper: Mutex<Option<AbortOnDropHandle<()>>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Inner {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings {
            max_age,
            max_bytes,
            max_entry_bytes,
        } = settings;
        let room = max_bytes / 4;
        Self {
            state: Mutex::new(State::new(max_bytes - room, max_age)),
            max_age,
            max_entry_bytes: max_entry_bytes.min(room),
            room: Room::new(room),
            sweeper: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    pub(crate) fn keeps_anything(&self) -> bool {
        !self.max_age.is_zero() && self.max_entry_bytes > 0
    }

    /// The answer that is kept.
    pub(crate) fn find(&self, key: &Key) -> Option<Response<Body>> {
        // The lock first: whoever waits for it grows older.
        let found = {
            let mut state = self.lock();
            state.find(key, &Moment::now())
        };
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found.map(|(kept, age)| kept.again(age))
    }

    pub(crate) fn counters(&self) -> Counters {
        let state = self.lock();
        Counters {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            invalidated: state.invalidated(),
            entries: state.entries() as u64,
            bytes: state.bytes(),
            watches: state.guards.len() as u64,
        }
    }

    /// A watch saw another state of an object.
    pub(crate) fn changed(&self, key: &GuardKey, changed: Changed) {
        let reach = Reach::Objects {
            table: key.subject.table(),
            namespace: changed.namespace,
            name: changed.name,
        };
        self.lock().invalidate(&reach, &Moment::now());
    }

    /// Ends a watch for which nothing is kept any more. Whether it is over.
    pub(crate) fn end_if_idle(&self, guard: Tick) -> bool {
        let mut state = self.lock();
        let now = Moment::now();
        if !state.guards.is_idle(guard, &now) {
            return false;
        }
        let task = state.guards.remove(guard, None, &now);
        drop(state);
        drop(task);
        true
    }

    /// A watch ended. What it guarded may have changed unseen.
    pub(crate) fn guard_ended(&self, guard: Tick, key: &GuardKey, end: End) {
        let mut state = self.lock();
        let now = Moment::now();
        let table = key.subject.table();
        match end {
            End::Ended => state.drop_guarded(guard, &table, &now),
            End::Refused => state.release_guarded(guard, &table),
        }
        let task = state.guards.remove(guard, Some(end), &now);
        drop(state);
        drop(task);
    }

    /// Drops all of a cluster, and its watches.
    pub(crate) fn forget(&self, cluster: &ClusterName) {
        let mut state = self.lock();
        state.invalidate(&Reach::Cluster(cluster.clone()), &Moment::now());
        let tasks = state.guards.remove_of(cluster);
        drop(state);
        drop(tasks);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it panics; if something did, entries and their places could disagree, which costs memory alone.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the watch for an answer.
    fn guard<A: Ask>(self: &Arc<Self>, ask: A, guard: Tick, key: Arc<GuardKey>, first: Arc<Kept>) {
        let Ok(runtime) = Handle::try_current() else {
            self.guard_ended(guard, &key, End::Refused);
            return;
        };
        let task = runtime.spawn(guard::run(Arc::downgrade(self), ask, guard, key, first));
        let over = self.lock().guards.runs(guard, AbortOnDropHandle::new(task));
        drop(over);
    }

    /// Sees to it that what is too old doesn't stay in memory for long.
    fn sweep_from_now_on(self: &Arc<Self>) {
        let mut sweeper = self.sweeper.lock().unwrap_or_else(PoisonError::into_inner);
        let is_running = sweeper.as_ref().is_some_and(|task| !task.is_finished());
        if !is_running && let Ok(runtime) = Handle::try_current() {
            let task = runtime.spawn(sweep(Arc::downgrade(self), self.max_age));
            *sweeper = Some(AbortOnDropHandle::new(task));
        }
    }
}

/// Goes on as long as the cache is there: once an age is little.
async fn sweep(cache: Weak<Inner>, max_age: Duration) {
    loop {
        tokio::time::sleep(max_age.max(Duration::from_secs(1))).await;
        let Some(cache) = cache.upgrade() else { return };
        let mut state = cache.lock();
        state.sweep(&Moment::now());
    }
}

/// A write that is under way. It ends when this is dropped: when it was answered, or nobody waits for it any more.
pub(crate) struct Writing {
    cache: Arc<Inner>,
    tick: Tick,
}

impl Writing {
    pub(crate) fn begin(cache: &Arc<Inner>, reach: Reach) -> Self {
        let tick = cache.lock().begin_writing(reach, &Moment::now());
        Self {
            cache: cache.clone(),
            tick,
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.cache.lock().end_writing(self.tick, &Moment::now());
    }
}

/// A GET that is under way. Nothing is kept of it if this is dropped.
pub(crate) struct Asked {
    /// A client that reads slowly doesn't hold the cache.
    cache: Weak<Inner>,
    key: Arc<Key>,
    tick: Tick,
    sent: Moment,
}

impl Asked {
    pub(crate) fn begin(cache: &Arc<Inner>, read: Read) -> Self {
        // Sent no earlier than this.
        let sent = Moment::now();
        let tick = cache.lock().begin_asking(read.subject);
        Self {
            cache: Arc::downgrade(cache),
            key: read.key,
            tick,
            sent,
        }
    }

    /// Passes the answer on, and keeps it when all of it has passed.
    pub(crate) fn keep(self, ask: &impl Ask, response: Response<Body>) -> Response<Body> {
        let (parts, body) = response.into_parts();
        let (Some(headers), Some(cache)) = (kept::head(&parts), self.cache.upgrade()) else {
            return Response::from_parts(parts, body);
        };
        let announced = kept::announced(&headers);
        let ask = ask.clone();
        let done = move |bytes| self.keep_whole(ask, headers, bytes);
        let recorded = Recorded::new(body, announced, cache.max_entry_bytes, cache.room.clone(), done);
        Response::from_parts(parts, recorded.into_body())
    }

    fn keep_whole(self, ask: impl Ask, headers: HeaderMap, bytes: Vec<u8>) {
        let Some(cache) = self.cache.upgrade() else { return };
        let answer = Arc::new(Kept::new(headers, bytes));
        let candidate = Candidate {
            tick: self.tick,
            key: self.key.clone(),
            sent: self.sent,
            answer: answer.clone(),
        };
        let outcome = {
            let mut state = cache.lock();
            state.keep(candidate, &Moment::now())
        };
        match outcome {
            Outcome::NotKept => return,
            Outcome::Kept => {}
            Outcome::ToBeGuarded(guard, key) => cache.guard(ask, guard, key, answer),
        }
        cache.sweep_from_now_on();
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(cache) = self.cache.upgrade() {
            cache.lock().end_asking(self.tick);
        }
    }
}
