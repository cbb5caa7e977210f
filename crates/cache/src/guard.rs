//! Watches that say when something kept has changed, and what they answer for.

mod run;

use std::{collections::HashMap, sync::Arc, time::Duration};

use mk8s_model::ClusterName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use run::run;

use crate::{
    key::{Key, Subject, Who},
    moment::Moment,
    state::Tick,
};

/// How many watches there are at most. What is kept beyond them lives up to its age.
pub const MAX_WATCHES: usize = 32;
/// How long a watch stays when nothing is kept for it any more: whoever asks regularly asks again.
pub(crate) const LINGER: Duration = Duration::from_secs(15);
/// How long a watch isn't tried again that wasn't allowed or isn't possible.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// How long after its beginning one isn't begun again that ended. One that lived longer is at once.
const BETWEEN_BEGINNINGS: Duration = Duration::from_secs(20);
/// How many of those are remembered.
const MAX_REMEMBERED: usize = 256;

/// What is watched, and as whom.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct GuardKey {
    pub(crate) who: Arc<Who>,
    /// One object, or all those that a list of it could hold.
    pub(crate) subject: Subject,
}

/// The watches there are.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    by_tick: HashMap<Tick, Guard>,
    by_key: HashMap<Arc<GuardKey>, Tick>,
    /// For how long after which moment these aren't tried again.
    paused: HashMap<Arc<GuardKey>, (Moment, Duration)>,
}

#[derive(Debug)]
struct Guard {
    key: Arc<GuardKey>,
    /// How many kept answers it guards.
    guarded: usize,
    began: Moment,
    idle_since: Moment,
    task: Option<AbortOnDropHandle<()>>,
}

/// By whom an answer is guarded.
#[derive(Debug)]
pub(crate) enum Place {
    Guarded(Tick),
    /// By a watch that isn't there yet.
    New(Tick, Arc<GuardKey>),
    Unguarded,
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It wasn't allowed or isn't possible: nothing is known about what it would have guarded.
    Refused,
    /// It broke off, or ended by itself: something may have changed unseen.
    Ended,
}

/// What a path segment and a query's value may have as they are (RFC 3986, 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Guards {
    /// Finds the watch for an answer whose request was sent at `sent`, or makes room for a new one that begins `now`.
    ///
    /// A watch answers for what was asked for after its beginning: the state in which it begins was known then, so such an
    /// answer can't be older, and whatever changed after it will be told.
    pub(crate) fn place(
        &mut self,
        key: &Key,
        subject: &Subject,
        sent: Tick,
        since: Tick,
        now: &Moment,
    ) -> Place {
        let of = |namespace: Option<Box<str>>, name: Option<Box<str>>| GuardKey {
            who: key.who.clone(),
            subject: Subject {
                namespace,
                name,
                ..subject.clone()
            },
        };
        let own = of(subject.namespace.clone(), subject.name.clone());
        let wider = [of(subject.namespace.clone(), None), of(None, None)];
        for key in std::iter::once(&own).chain(&wider) {
            if let Some(tick) = self.by_key.get(key)
                && *tick < sent
                && let Some(guard) = self.by_tick.get_mut(tick)
            {
                guard.guarded += 1;
                return Place::Guarded(*tick);
            }
        }
        let is_paused = self
            .paused
            .get(&own)
            .is_some_and(|(from, pause)| from.age(now) < *pause);
        if is_paused || self.by_key.contains_key(&own) || self.by_tick.len() >= MAX_WATCHES {
            return Place::Unguarded;
        }
        let key = Arc::new(own);
        let guard = Guard {
            key: key.clone(),
            guarded: 1,
            began: *now,
            idle_since: *now,
            task: None,
        };
        self.by_tick.insert(since, guard);
        self.by_key.insert(key.clone(), since);
        Place::New(since, key)
    }

    /// The watch's task runs. A task whose watch is over by now is given back, to be dropped where nothing is locked.
    pub(crate) fn runs(&mut self, guard: Tick, task: AbortOnDropHandle<()>) -> Option<AbortOnDropHandle<()>> {
        match self.by_tick.get_mut(&guard) {
            Some(guard) => guard.task.replace(task),
            None => Some(task),
        }
    }

    /// It guards one answer less.
    pub(crate) fn leave(&mut self, guard: Tick, now: &Moment) {
        if let Some(guard) = self.by_tick.get_mut(&guard) {
            guard.guarded = guard.guarded.saturating_sub(1);
            guard.idle_since = *now;
        }
    }

    /// Whether nothing was kept for it for so long that it may end.
    pub(crate) fn is_idle(&self, guard: Tick, now: &Moment) -> bool {
        self.by_tick
            .get(&guard)
            .is_none_or(|guard| guard.guarded == 0 && guard.idle_since.age(now) >= LINGER)
    }

    /// Takes a watch out. Its task is given back, to be dropped where nothing is locked.
    pub(crate) fn remove(
        &mut self,
        guard: Tick,
        end: Option<End>,
        now: &Moment,
    ) -> Option<AbortOnDropHandle<()>> {
        let guard = self.by_tick.remove(&guard)?;
        self.by_key.remove(&guard.key);
        match end {
            Some(End::Refused) => self.pause(guard.key, (*now, AFTER_REFUSAL), now),
            Some(End::Ended) => self.pause(guard.key, (guard.began, BETWEEN_BEGINNINGS), now),
            None => {}
        }
        guard.task
    }

    /// Takes out those of a cluster, and forgets how others ended. Their tasks are to be dropped where nothing is locked.
    pub(crate) fn remove_of(&mut self, cluster: &ClusterName) -> Vec<AbortOnDropHandle<()>> {
        self.paused.retain(|key, _| key.cluster() != cluster);
        self.by_key.retain(|key, _| key.cluster() != cluster);
        self.by_tick
            .extract_if(|_, guard| guard.key.cluster() == cluster)
            .filter_map(|(_, guard)| guard.task)
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_tick.len()
    }

    fn pause(&mut self, key: Arc<GuardKey>, pause: (Moment, Duration), now: &Moment) {
        if self.paused.len() >= MAX_REMEMBERED {
            self.paused.retain(|_, (from, pause)| from.age(now) < *pause);
        }
        // Too many to remember: then some are tried again too early.
        if self.paused.len() < MAX_REMEMBERED {
            self.paused.insert(key, pause);
        }
    }
}

impl GuardKey {
    pub(crate) fn cluster(&self) -> &ClusterName {
        &self.subject.cluster
    }

    /// The watch's path and query. An object is watched by name, beginning with any state; a list from its `version`.
    pub(crate) fn path_and_query(&self, version: &str, lifetime: Duration) -> String {
        let Subject {
            group,
            version: api,
            resource,
            namespace,
            name,
            ..
        } = &self.subject;
        let escaped = |text| utf8_percent_encode(text, ESCAPED);
        let mut path = match &**group {
            "" => format!("/api/{}", escaped(api)),
            group => format!("/apis/{}/{}", escaped(group), escaped(api)),
        };
        if let Some(namespace) = namespace {
            path.push_str(&format!("/namespaces/{}", escaped(namespace)));
        }
        path.push_str(&format!(
            "/{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={}",
            escaped(resource),
            lifetime.as_secs()
        ));
        match name {
            // The state is compared with what is kept, so any will do, and the API server has one at hand.
            Some(name) => path.push_str(&format!(
                "&resourceVersion=0&fieldSelector=metadata.name%3D{}",
                escaped(name)
            )),
            None => path.push_str(&format!("&resourceVersion={}", escaped(version))),
        }
        path
    }
}
