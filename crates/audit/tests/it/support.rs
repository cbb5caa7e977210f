//! Events, and sinks that fail when they are told to.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use mk8s_audit::{AuditSink, Journal, Limits, Shipper, SinkError};
use mk8s_model::{AuditClose, AuditEvent, AuditId, AuditOpen, Outcome};
use mk8s_proxy::AuditLog as _;
use uuid::Uuid;

pub(crate) fn id() -> AuditId {
    AuditId(Uuid::now_v7())
}

/// An event's first half.
pub(crate) fn first_half(id: AuditId) -> AuditOpen<'static> {
    AuditOpen {
        id,
        at: jiff::Timestamp::now(),
        user: "jane@example.com".into(),
        groups: vec!["mk8s:dev".into()],
        source: "192.0.2.1".into(),
        user_agent: Some("kubectl/v1.37.0".into()),
        cluster: Some("prod".into()),
        method: "GET".into(),
        uri: "/api/v1/namespaces/n/pods?labelSelector=a%0ab".into(),
        verb: "list".into(),
        resource: "pods".into(),
        api_group: None,
        namespace: Some("n".into()),
        name: None,
        rule: Some("dev/clusters[0]".into()),
        denied: None,
        policy_version: 7,
    }
}

/// Its second.
pub(crate) fn second_half(id: AuditId) -> AuditClose {
    AuditClose {
        id,
        status: 200,
        outcome: Outcome::Complete,
        duration_ms: 12,
        bytes_sent: 345,
    }
}

pub(crate) fn open(journal: &Journal) -> AuditId {
    let id = id();
    journal.open(&first_half(id)).expect("written down");
    id
}

pub(crate) fn close(journal: &Journal, id: AuditId) {
    journal.close(&second_half(id));
}

/// A journal of its own in a directory, and its shipper.
pub(crate) fn start(dir: &Path, sink: &Arc<Rows>) -> (Arc<Journal>, Shipper) {
    let journal = Journal::open(dir, Limits::default()).expect("a journal");
    let shipper = Shipper::new(journal.clone(), sink.clone()).expect("a shipper");
    (journal, shipper)
}

/// A table with one row an event, as a database would keep it.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: Mutex<HashMap<AuditId, AuditEvent<'static>>>,
    is_away: AtomicBool,
    /// Takes what it is given, and then says that it did not.
    forgets_to_answer: AtomicBool,
}

impl Rows {
    pub(crate) fn go_away(&self) {
        self.is_away.store(true, Ordering::SeqCst);
    }

    pub(crate) fn come_back(&self) {
        self.is_away.store(false, Ordering::SeqCst);
        self.forgets_to_answer.store(false, Ordering::SeqCst);
    }

    pub(crate) fn take_and_deny_it(&self) {
        self.forgets_to_answer.store(true, Ordering::SeqCst);
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.lock().expect("no panic").len()
    }

    /// How an event ended; none while it runs.
    #[track_caller]
    pub(crate) fn outcome(&self, id: AuditId) -> Option<Outcome> {
        let rows = self.rows.lock().expect("no panic");
        let row = rows.get(&id).unwrap_or_else(|| panic!("{id} is lost"));
        assert_eq!(row.open.id, id);
        row.close.map(|close| close.outcome)
    }

    pub(crate) fn row(&self, id: AuditId) -> AuditEvent<'static> {
        self.rows.lock().expect("no panic")[&id].clone()
    }
}

/// As the trait asks: the same event twice, or first without its close and then with it, is one row. What never happens is
/// checked: that an event changes its end.
pub(crate) fn upsert(rows: &mut HashMap<AuditId, AuditEvent<'static>>, event: &AuditEvent<'_>) {
    let row = rows
        .entry(event.open.id)
        .or_insert_with(|| event.clone().into_owned());
    assert_eq!(row.open, event.open);
    match (row.close, event.close) {
        (None, close) => row.close = close,
        (Some(_), None) => {}
        (Some(before), Some(now)) => assert_eq!(before, now, "it ended twice"),
    }
}

#[async_trait::async_trait]
impl AuditSink for Rows {
    async fn append(&self, events: &[AuditEvent<'_>]) -> Result<(), SinkError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err("away".into());
        }
        let mut rows = self.rows.lock().expect("no panic");
        events.iter().for_each(|event| upsert(&mut rows, event));
        if self.forgets_to_answer.load(Ordering::SeqCst) {
            return Err("the connection broke before the commit was confirmed".into());
        }
        Ok(())
    }
}
