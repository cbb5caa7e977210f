//! The optional response cache: a GET that was answered a moment ago is answered again from memory.
//!
//! It stands between a door and the path to the API server ([`Ask`]), and everything but upgrades goes through it, writes
//! too: they are what makes it forget. It never makes an answer that the API server didn't give to the same identity for
//! the same request, and it errs towards asking.
//!
//! **Who gets what.** A kept answer is given to requests alike in cluster, identity (the caller's [`IdentityKey`] and every
//! `Impersonate-*` header, its values in their order), path and query, `Accept` and `Accept-Encoding`, byte by byte. No two
//! of them are ever joined into one text, so none can pose as another.
//!
//! **What may be kept** (`plan.rs`): plain GETs of resources and of their `status` and `scale`. Never: Secrets, reviews
//! (`authentication.k8s.io`, `authorization.k8s.io`) and OpenShift's tokens; watches, logs and whatever else is no resource;
//! requests that are conditional, speak of caching, or name a `resourceVersion`, `limit` or `continue`. Of answers
//! (`kept.rs`): those with status 200 and a whole body of bounded length, without trailers. The API server's own
//! `Cache-Control: no-cache, private`, which it puts on everything, is for others; `no-store` is heeded.
//!
//! **How long.** Age counts from when the request was sent, so that the time an answer takes, its body too, counts as age.
//! Nothing is given out at [`Settings::max_age`] or later, whatever else fails. Both clocks are asked: the monotonic one
//! stands still while a machine is suspended, and the other one may be set back.
//!
//! **Writes.** A POST, PUT, PATCH or DELETE that passes, whoever sent it, drops what is kept of that resource in its
//! namespace and of all namespaces together, when it is sent and again when it was answered; between the two nothing of
//! that is kept, and an answer to a GET that was sent before the end isn't either. So whoever has the answer to a write
//! never sees what was before it. `exec`, `attach`, `portforward` and `proxy` write nothing. A resource counts as the same
//! in all its groups (Events have two). Namespaces, CustomResourceDefinitions, APIServices and RBAC decide on much else:
//! writing those drops all of that cluster. A write that nobody waited for has no end to go by: it counts as ended when
//! it was given up, and what it does later is seen like a write of somebody else.
//!
//! **Watches** (`guard.rs`). What others write is seen by watching, as the identity that asked: each event drops what is
//! kept, for anybody, of that object and of the lists that could hold it. A list is watched from its own
//! `resourceVersion`. An object is watched by name: its own version is often older than what the API server can still
//! watch from; watching its whole collection would cost all of the collection's events; and a role that allows only that
//! object allows no more. Such a watch begins with the object's present state, which must be the one that is kept, and come
//! soon, or that is dropped. One watch serves whatever was asked for after its beginning; what was asked for before lives
//! without. A watch that ends, however it ends, takes with it what it guarded. Where watching isn't allowed or isn't
//! possible, there are [`MAX_WATCHES`] already, or an answer's version can't be read, an answer lives up to its age
//! all the same: that is the bound that was asked for, and without it those who may `get` but not `watch` would have no
//! cache at all.
//!
//! **Equal requests at the same time** are each asked: the second would otherwise be answered as of before it was sent, and
//! wait for a client that may read slowly.
//!
//! **Memory.** [`Settings::max_bytes`] covers bodies, heads and keys. Three quarters are for what is kept, the last one for
//! bodies that are being kept while they stream to the client. Nothing is collected first: a body that turns out too
//! large, breaks off, or whose client leaves, is not kept and otherwise passes as ever.

mod event;
mod guard;
mod inner;
mod kept;
mod key;
mod moment;
mod plan;
mod record;
mod state;
mod version;

use std::{fmt, sync::Arc, time::Duration};

use http::{Request, Response};
use mk8s_model::ClusterName;
use mk8s_net::Body;

pub use guard::MAX_WATCHES;
pub use key::IdentityKey;

use crate::{
    inner::{Asked, Inner, Writing},
    plan::{Plan, Read},
};

/// Asks a cluster: what the door would do if there were no cache. A watch that the cache itself opens is asked this way
/// too; it brings the `Impersonate-*` headers of the request that it is opened for, and no `Authorization`.
pub trait Ask: Clone + Send + Sync + 'static {
    /// Sends a request, and returns as soon as the answer's head is there.
    fn ask(
        &self,
        cluster: ClusterName,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How old an answer may be when it is given out, counted from when its request was sent. Zero keeps nothing.
    pub max_age: Duration,
    /// How much memory all that is kept may take, in bytes.
    pub max_bytes: u64,
    /// The longest body that is kept, in bytes. No more than a quarter of `max_bytes` counts.
    pub max_entry_bytes: u64,
}

/// What was counted since the start, and what there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests answered from what was kept.
    pub hits: u64,
    /// Requests that could have been, and were asked.
    pub misses: u64,
    /// Kept answers that were dropped before their time: by a write, an event, or the end of a watch.
    pub invalidated: u64,
    /// Answers kept now.
    pub entries: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Watches open now, or being opened.
    pub watches: u64,
}

/// The cache. Cheap to clone; its watches end with its last clone.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

impl Cache {
    /// An empty cache.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner::new(settings)))
    }

    /// Answers from what is kept if that may be, else asks, and keeps the answer if that may be. An answer from what is
    /// kept has `X-Mca-Cache: hit` and its `Age` in seconds.
    ///
    /// Whether the client may ask at all, the caller has made sure of: an answer from what is kept is neither decided on nor
    /// written down again. `identity` stands for whoever `ask` speaks as, and for what the door knows of who asks; the request's own
    /// `Impersonate-*` headers are seen to here. `cluster` is where `ask` sends it. Upgrades must not come here.
    pub async fn answer(
        &self,
        ask: &impl Ask,
        cluster: &ClusterName,
        identity: &IdentityKey,
        request: Request<Body>,
    ) -> Response<Body> {
        match Plan::of(cluster, identity, &request) {
            Plan::Read(read) if self.0.keeps_anything() => self.read(ask, cluster, read, request).await,
            Plan::Read(_) | Plan::Pass => ask.ask(cluster.clone(), request).await,
            Plan::Write(reach) => {
                let writing = Writing::begin(&self.0, reach);
                let response = ask.ask(cluster.clone(), request).await;
                // Before anybody sees the answer.
                drop(writing);
                response
            }
        }
    }

    /// Forgets a cluster, and ends its watches: its name stands for another one from now on, or for none.
    pub fn forget(&self, cluster: &ClusterName) {
        self.0.forget(cluster);
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.0.counters()
    }

    async fn read(
        &self,
        ask: &impl Ask,
        cluster: &ClusterName,
        read: Read,
        request: Request<Body>,
    ) -> Response<Body> {
        if let Some(hit) = self.0.find(&read.key) {
            return hit;
        }
        let asked = Asked::begin(&self.0, read);
        let response = ask.ask(cluster.clone(), request).await;
        asked.keep(ask, response)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cache").field(&self.counters()).finish()
    }
}
