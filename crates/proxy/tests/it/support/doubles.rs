//! Who decides, and where events go.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use mk8s_model::{AuditClose, AuditId, AuditOpen, ClusterName, Decision, Denial, Grant, KubeRequest};
use mk8s_proxy::{AuditLog, AuditUnavailable, Authorizer, Caller};
use tokio::sync::watch;

/// Allows everything but some verbs.
#[derive(Debug)]
pub(crate) struct Policy {
    denied: Mutex<Vec<&'static str>>,
    changes: watch::Sender<u64>,
}

impl Policy {
    pub(crate) fn new() -> Self {
        Self {
            denied: Mutex::default(),
            changes: watch::channel(1).0,
        }
    }

    /// From now on these verbs (`list`, `exec`, …) are denied.
    pub(crate) fn deny(&self, verbs: &[&'static str]) {
        *self.denied.lock().expect("no panic") = verbs.to_vec();
        self.changes.send_modify(|version| *version += 1);
    }
}

impl Authorizer for Policy {
    fn decide(&self, _: &Caller, _: &ClusterName, request: &KubeRequest<'_>) -> Decision {
        let policy_version = *self.changes.borrow();
        let verb = match request {
            KubeRequest::Resource(r) => r.interactive().map_or(r.verb.as_str(), |i| i.verb()),
            KubeRequest::NonResource { verb, .. } => verb,
        };
        if self.denied.lock().expect("no panic").contains(&verb) {
            let reason = format!("the test denies the verb {verb:?}");
            return Decision::Deny(Denial {
                reason,
                policy_version,
            });
        }
        Decision::Allow(Grant {
            rule: "test/rule".into(),
            policy_version,
        })
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changes.subscribe())
    }
}

/// An audit log in memory.
#[derive(Debug)]
pub(crate) struct Log {
    entries: Mutex<Vec<Written>>,
    closes: watch::Sender<usize>,
    refuses: AtomicBool,
    /// How many requests the cluster had seen by the time of each open.
    cluster: Mutex<Option<watch::Receiver<usize>>>,
}

/// A line of it.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    Open {
        event: Box<AuditOpen<'static>>,
        cluster_had_seen: usize,
    },
    Close(AuditClose),
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            entries: Mutex::default(),
            closes: watch::channel(0).0,
            refuses: AtomicBool::new(false),
            cluster: Mutex::default(),
        }
    }

    pub(crate) fn watch_cluster(&self, seen: watch::Receiver<usize>) {
        *self.cluster.lock().expect("no panic") = Some(seen);
    }

    /// From now on nothing can be written down.
    pub(crate) fn refuse(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }

    pub(crate) fn written(&self) -> Vec<Written> {
        self.entries.lock().expect("no panic").clone()
    }

    /// Waits until so many events are closed; each must have been opened before, and closed once.
    pub(crate) async fn closed(&self, count: usize) -> Vec<(AuditOpen<'static>, AuditClose)> {
        self.closes
            .subscribe()
            .wait_for(|closes| *closes >= count)
            .await
            .expect("alive");
        let mut events: Vec<(AuditOpen<'static>, Option<AuditClose>)> = Vec::new();
        for entry in self.written() {
            match entry {
                Written::Open { event, .. } => events.push((*event, None)),
                Written::Close(close) => {
                    let event = events
                        .iter_mut()
                        .find(|(open, _)| open.id == close.id)
                        .expect("opened before");
                    assert!(event.1.replace(close).is_none(), "closed twice: {event:?}");
                }
            }
        }
        let closed: Vec<_> = events
            .into_iter()
            .filter_map(|(open, close)| Some((open, close?)))
            .collect();
        assert_eq!(closed.len(), count, "{closed:?}");
        closed
    }

    /// Waits for the end of the only event.
    pub(crate) async fn only(&self) -> (AuditOpen<'static>, AuditClose) {
        self.closed(1).await.remove(0)
    }

    /// The ids of all events, in order.
    pub(crate) fn ids(&self) -> Vec<AuditId> {
        let id = |entry| match entry {
            Written::Open { event, .. } => Some(event.id),
            Written::Close(_) => None,
        };
        self.written().into_iter().filter_map(id).collect()
    }
}

impl AuditLog for Log {
    fn open(&self, event: &AuditOpen<'_>) -> Result<(), AuditUnavailable> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(AuditUnavailable("the disk is full".into()));
        }
        let owned = event.clone().into_owned();
        let seen = self
            .cluster
            .lock()
            .expect("no panic")
            .as_ref()
            .map_or(0, |seen| *seen.borrow());
        self.entries.lock().expect("no panic").push(Written::Open {
            event: Box::new(owned),
            cluster_had_seen: seen,
        });
        Ok(())
    }

    fn close(&self, event: &AuditClose) {
        self.entries
            .lock()
            .expect("no panic")
            .push(Written::Close(*event));
        self.closes.send_modify(|closes| *closes += 1);
    }
}
