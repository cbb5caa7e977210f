//! What is kept, what is under way, and what makes either worthless. No I/O and no clock of its own: whoever calls says
//! what time it is.

use std::{
    collections::{HashMap, HashSet},
    hash::RandomState,
    sync::Arc,
    time::Duration,
};

use quick_cache::{Lifecycle, OptionsBuilder, Weighter, unsync};

use crate::{
    guard::{GuardKey, Guards, Place},
    kept::Kept,
    key::{Key, Reach, Subject, Table},
    moment::Moment,
};

/// A number that only grows: what began later has a larger one.
pub(crate) type Tick = u64;

/// All of it, behind one lock: what is kept and what is under way must never disagree.
#[derive(Debug)]
pub(crate) struct State {
    kept: unsync::Cache<Arc<Key>, Entry, Weight, RandomState, Evicted>,
    /// Where kept answers are found by what they are about.
    tables: HashMap<Table, HashSet<Arc<Key>>>,
    asking: HashMap<Tick, Asking>,
    writing: HashMap<Tick, Reach>,
    pub(crate) guards: Guards,
    last_tick: Tick,
    invalidated: u64,
    max_age: Duration,
}

#[derive(Debug)]
pub(crate) struct Entry {
    subject: Arc<Subject>,
    sent: Moment,
    answer: Arc<Kept>,
    /// The watch that would say if it changed, by when it was asked for.
    guard: Option<Tick>,
}

/// A request that is asked, until its answer is kept or can't be.
#[derive(Debug)]
struct Asking {
    subject: Arc<Subject>,
    /// Something changed meanwhile.
    is_spoiled: bool,
}

/// An answer that would be kept.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Its request.
    pub(crate) tick: Tick,
    pub(crate) key: Arc<Key>,
    pub(crate) sent: Moment,
    pub(crate) answer: Arc<Kept>,
}

/// What became of a candidate.
#[derive(Debug)]
pub(crate) enum Outcome {
    NotKept,
    Kept,
    /// Kept, and to be guarded by a watch that somebody has to open.
    ToBeGuarded(Tick, Arc<GuardKey>),
}

#[derive(Clone, Copy, Debug)]
struct Weight;

#[derive(Clone, Copy, Debug)]
struct Evicted;

impl State {
    /// Keeps up to `max_bytes`.
    pub(crate) fn new(max_bytes: u64, max_age: Duration) -> Self {
        // What there are few of takes little: tables grow from here on.
        let items = usize::try_from(max_bytes / 4096)
            .unwrap_or(usize::MAX)
            .clamp(16, 1024);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items)
            .weight_capacity(max_bytes)
            .build();
        let kept = match options {
            Ok(options) => unsync::Cache::with_options(options, Weight, RandomState::new(), Evicted),
            Err(_) => unsync::Cache::with(items, max_bytes, Weight, RandomState::new(), Evicted),
        };
        Self {
            kept,
            tables: HashMap::new(),
            asking: HashMap::new(),
            writing: HashMap::new(),
            guards: Guards::default(),
            last_tick: 0,
            invalidated: 0,
            max_age,
        }
    }

    /// What is kept for a request, and its age.
    pub(crate) fn find(&mut self, key: &Key, now: &Moment) -> Option<(Arc<Kept>, Duration)> {
        let entry = self.kept.get(key)?;
        let age = entry.sent.age(now);
        if age < self.max_age {
            return Some((entry.answer.clone(), age));
        }
        self.remove(key, now);
        None
    }

    /// A request is about to be sent.
    pub(crate) fn begin_asking(&mut self, subject: Arc<Subject>) -> Tick {
        let tick = self.tick();
        let asking = Asking {
            subject,
            is_spoiled: false,
        };
        self.asking.insert(tick, asking);
        tick
    }

    /// It won't be kept.
    pub(crate) fn end_asking(&mut self, tick: Tick) {
        self.asking.remove(&tick);
    }

    /// A write is about to be sent.
    pub(crate) fn begin_writing(&mut self, reach: Reach, now: &Moment) -> Tick {
        let tick = self.tick();
        self.invalidate(&reach, now);
        self.writing.insert(tick, reach);
        tick
    }

    /// It was answered, or given up.
    pub(crate) fn end_writing(&mut self, tick: Tick, now: &Moment) {
        if let Some(reach) = self.writing.remove(&tick) {
            self.invalidate(&reach, now);
        }
    }

    /// Drops what is kept of it, and sees to it that what is under way won't be kept.
    pub(crate) fn invalidate(&mut self, reach: &Reach, now: &Moment) {
        for asking in self.asking.values_mut() {
            asking.is_spoiled |= reach.reaches(&asking.subject);
        }
        let keys = match reach {
            Reach::Objects { table, .. } => self.keys_in(table, |entry| reach.reaches(&entry.subject)),
            Reach::Cluster(cluster) => self
                .tables
                .iter()
                .filter(|(table, _)| table.cluster == *cluster)
                .flat_map(|(_, keys)| keys.iter().cloned())
                .collect(),
        };
        self.drop_all(&keys, now);
    }

    /// Keeps an answer, unless something changed since its request was sent, or it is too old already.
    pub(crate) fn keep(&mut self, candidate: Candidate, now: &Moment) -> Outcome {
        let Candidate {
            tick,
            key,
            sent,
            answer,
        } = candidate;
        let Some(asking) = self.asking.remove(&tick) else {
            return Outcome::NotKept;
        };
        let subject = asking.subject;
        let is_written = self.writing.values().any(|reach| reach.reaches(&subject));
        let is_newer_kept = self
            .kept
            .peek(&*key)
            .is_some_and(|entry| sent.is_before(&entry.sent));
        if asking.is_spoiled || is_written || is_newer_kept || sent.age(now) >= self.max_age {
            return Outcome::NotKept;
        }
        self.remove(&key, now);
        let since = self.tick();
        let place = self.guards.place(&key, &subject, tick, since, now);
        let (guard, outcome) = match place {
            Place::Guarded(guard) => (Some(guard), Outcome::Kept),
            Place::New(guard, guard_key) => (Some(guard), Outcome::ToBeGuarded(guard, guard_key)),
            Place::Unguarded => (None, Outcome::Kept),
        };
        self.tables
            .entry(subject.table())
            .or_default()
            .insert(key.clone());
        let entry = Entry {
            subject,
            sent,
            answer,
            guard,
        };
        let mut evicted = Vec::new();
        self.kept.insert_with_lifecycle(key.clone(), entry, &mut evicted);
        for (key, entry) in evicted {
            self.unlink(&key, &entry, now);
        }
        match outcome {
            // Larger than all there is room for.
            Outcome::ToBeGuarded(guard, _) if !self.kept.contains_key(&*key) => {
                self.guards.remove(guard, None, now);
                Outcome::NotKept
            }
            outcome => outcome,
        }
    }

    /// Drops what is too old.
    pub(crate) fn sweep(&mut self, now: &Moment) {
        let keys: Vec<Arc<Key>> = self
            .kept
            .iter()
            .filter(|(_, entry)| entry.sent.age(now) >= self.max_age)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.remove(&key, now);
        }
    }

    /// Drops what a watch guarded.
    pub(crate) fn drop_guarded(&mut self, guard: Tick, table: &Table, now: &Moment) {
        let keys = self.keys_in(table, |entry| entry.guard == Some(guard));
        self.drop_all(&keys, now);
    }

    /// Lets what a watch guarded live on without.
    pub(crate) fn release_guarded(&mut self, guard: Tick, table: &Table) {
        for key in self.keys_in(table, |entry| entry.guard == Some(guard)) {
            if let Some(mut entry) = self.kept.peek_mut(&*key) {
                entry.guard = None;
            }
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.kept.weight()
    }

    pub(crate) fn invalidated(&self) -> u64 {
        self.invalidated
    }

    fn tick(&mut self) -> Tick {
        self.last_tick += 1;
        self.last_tick
    }

    fn keys_in(&self, table: &Table, is_meant: impl Fn(&Entry) -> bool) -> Vec<Arc<Key>> {
        let keys = self.tables.get(table).into_iter().flatten();
        keys.filter(|key| self.kept.peek(&***key).is_some_and(&is_meant))
            .cloned()
            .collect()
    }

    fn drop_all(&mut self, keys: &[Arc<Key>], now: &Moment) {
        for key in keys {
            if self.remove(key, now) {
                self.invalidated += 1;
            }
        }
    }

    fn remove(&mut self, key: &Key, now: &Moment) -> bool {
        let Some((key, entry)) = self.kept.remove(key) else {
            return false;
        };
        self.unlink(&key, &entry, now);
        true
    }

    /// Takes out of all other places what is kept no more.
    fn unlink(&mut self, key: &Arc<Key>, entry: &Entry, now: &Moment) {
        let table = entry.subject.table();
        if let Some(keys) = self.tables.get_mut(&table) {
            keys.remove(key);
            if keys.is_empty() {
                self.tables.remove(&table);
            }
        }
        if let Some(guard) = entry.guard {
            self.guards.leave(guard, now);
        }
    }
}

impl Weighter<Arc<Key>, Entry> for Weight {
    fn weight(&self, key: &Arc<Key>, entry: &Entry) -> u64 {
        (key.size() + entry.answer.size()) as u64
    }
}

impl Lifecycle<Arc<Key>, Entry> for Evicted {
    type RequestState = Vec<(Arc<Key>, Entry)>;

    fn on_evict(&self, evicted: &mut Self::RequestState, key: Arc<Key>, entry: Entry) {
        evicted.push((key, entry));
    }
}
