//! Asking, as fast as the answers come.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures_util::future::try_join_all;
use hyper::body::Incoming;

use crate::client::{Connection, Target};

/// What is asked, and how much of it at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) path: &'static str,
    /// How long each answer must be.
    pub(crate) bytes: Option<usize>,
    pub(crate) connections: usize,
    /// Requests under way at once on each connection.
    pub(crate) streams: usize,
    /// In all.
    pub(crate) requests: usize,
}

/// How long it took.
#[derive(Debug)]
pub(crate) struct Timing {
    pub(crate) all: Duration,
    /// Of each request, from its head's sending to its body's end; the shortest first.
    each: Vec<Duration>,
}

impl Timing {
    /// The time within which this share of the requests was answered.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = (self.each.len() as f64 * share) as usize;
        self.each
            .get(index.min(self.each.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }

    /// How many were answered in a second.
    pub(crate) fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let requests = self.each.len() as f64;
        requests / self.all.as_secs_f64()
    }
}

/// New connections, each of which has carried a request already.
pub(crate) async fn connect(target: &Target, load: &Load) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        let mut connection = target.connect().await?;
        connection.fetch(load.path).await?;
        connections.push(connection);
    }
    Ok(connections)
}

/// Asks until all requests are answered.
pub(crate) async fn run(connections: &[Connection], load: &Load) -> anyhow::Result<Timing> {
    let left = Arc::new(AtomicUsize::new(load.requests));
    let started = Instant::now();
    let streams = connections.iter().flat_map(|connection| {
        let left = &left;
        (0..load.streams).map(move |_| tokio::spawn(ask(connection.clone(), *load, left.clone())))
    });
    let mut each = Vec::with_capacity(load.requests);
    for timed in try_join_all(streams).await? {
        each.extend(timed?);
    }
    let all = started.elapsed();
    each.sort_unstable();
    Ok(Timing { all, each })
}

async fn ask(
    mut connection: Connection,
    load: Load,
    left: Arc<AtomicUsize>,
) -> anyhow::Result<Vec<Duration>> {
    let mut timed = Vec::with_capacity(load.requests / load.connections / load.streams + 1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        .is_ok()
    {
        let started = Instant::now();
        let length = connection.fetch(load.path).await?;
        timed.push(started.elapsed());
        if load.bytes.is_some_and(|bytes| bytes != length) {
            bail!(
                "an answer of {length} bytes came where {:?} were expected",
                load.bytes
            );
        }
    }
    Ok(timed)
}

/// Watches that have had their first event and now wait.
#[derive(Debug)]
pub(crate) struct Watches {
    _answers: Vec<Incoming>,
    _connections: Vec<Connection>,
}

/// Opens `count` watches on as many connections as it takes.
pub(crate) async fn watch(
    target: &Target,
    path: &'static str,
    count: usize,
    per_connection: usize,
) -> anyhow::Result<Watches> {
    let (mut answers, mut connections) = (Vec::with_capacity(count), Vec::new());
    while answers.len() < count {
        let mut connection = target.connect().await?;
        for _ in 0..per_connection.min(count - answers.len()) {
            let mut body = connection.get(path).await?.into_body();
            let event = http_body_util::BodyExt::frame(&mut body).await;
            event.context("a watch ended before its first event")??;
            answers.push(body);
        }
        connections.push(connection);
    }
    Ok(Watches {
        _answers: answers,
        _connections: connections,
    })
}
