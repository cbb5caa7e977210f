use std::borrow::Cow;

use mk8s_model::{AuditClose, AuditEvent, AuditId, AuditOpen, Outcome};
use mk8s_store::{AuditFilter, AuditRecord, Store};
use uuid::Uuid;

use crate::support::{Bench, at};

on_both! {
    an_event_is_kept_as_it_was,
    an_open_event_is_completed_later,
    a_batch_may_be_sent_again,
    an_event_may_stand_in_a_batch_twice,
    two_senders_of_one_batch_do_no_harm,
    hostile_text_is_kept_or_made_harmless,
    events_are_found_by_user_cluster_and_time,
    a_command_reads_as_a_person_would_say_it,
    a_large_batch_is_one_statement,
    old_events_are_pruned,
}

fn event(n: u64) -> AuditEvent<'static> {
    let open = AuditOpen {
        id: AuditId(Uuid::from_u128(u128::from(n) + 1)),
        at: at(n as i64),
        user: "amy@example.com".into(),
        groups: vec!["dev".into()],
        source: "192.0.2.1".into(),
        user_agent: Some("kubectl/v1.34".into()),
        cluster: Some("prod".into()),
        method: "GET".into(),
        uri: "/api/v1/namespaces/shop/pods/web?x=1".into(),
        verb: "get".into(),
        resource: "pods".into(),
        api_group: None,
        namespace: Some("shop".into()),
        name: Some("web".into()),
        rule: Some("developer/clusters[0]".into()),
        denied: None,
        policy_version: 7,
    };
    AuditEvent { open, close: None }
}

fn closed(mut event: AuditEvent<'static>, outcome: Outcome) -> AuditEvent<'static> {
    let id = event.open.id;
    event.close = Some(AuditClose {
        id,
        status: 200,
        outcome,
        duration_ms: 12,
        bytes_sent: 345,
    });
    event
}

async fn all(store: &Store) -> Vec<AuditRecord> {
    store.audit_query(&AuditFilter::default()).await.expect("asked")
}

async fn append(store: &Store, events: &[AuditEvent<'_>]) {
    store.append_audit(events).await.expect("appended");
}

async fn an_event_is_kept_as_it_was(bench: Bench) {
    let event = closed(event(1), Outcome::Complete);
    append(&bench.store, std::slice::from_ref(&event)).await;
    append(&bench.store, &[]).await;
    let kept = all(&bench.store).await;
    let expected = AuditRecord {
        id: event.open.id,
        created_at: at(1),
        user: "amy@example.com".to_owned(),
        cluster: Some("prod".to_owned()),
        command: "get pods shop/web".to_owned(),
        status: Some(200),
        outcome: Some("complete".to_owned()),
        duration_ms: Some(12),
        detail: event,
    };
    assert_eq!(kept, [expected]);
}

async fn an_open_event_is_completed_later(bench: Bench) {
    append(&bench.store, &[event(1)]).await;
    let open = all(&bench.store).await.remove(0);
    assert_eq!(
        (open.status, open.outcome, open.duration_ms, open.detail.close),
        (None, None, None, None)
    );
    append(&bench.store, &[closed(event(1), Outcome::ClientGone)]).await;
    let kept = all(&bench.store).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].status, kept[0].outcome.as_deref()),
        (Some(200), Some("client-gone"))
    );
    assert_eq!(kept[0].detail, closed(event(1), Outcome::ClientGone));
}

async fn a_batch_may_be_sent_again(bench: Bench) {
    let batch = [closed(event(1), Outcome::Complete), event(2)];
    append(&bench.store, &batch).await;
    let kept = all(&bench.store).await;
    append(&bench.store, &batch).await;
    // Neither takes an open event the end away, nor a second end the place of the first.
    append(&bench.store, &[event(1)]).await;
    append(&bench.store, &[closed(event(1), Outcome::Interrupted)]).await;
    assert_eq!(all(&bench.store).await, kept);
}

async fn an_event_may_stand_in_a_batch_twice(bench: Bench) {
    let end = closed(event(1), Outcome::Complete);
    append(&bench.store, &[event(1), event(2), end.clone(), event(1)]).await;
    let kept = all(&bench.store).await;
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[1].detail, end);
}

async fn two_senders_of_one_batch_do_no_harm(bench: Bench) {
    let replica = bench.replica().await;
    for round in 0..5 {
        let ids = round * 100..round * 100 + 100;
        let forth: Vec<_> = ids.clone().map(|n| closed(event(n), Outcome::Complete)).collect();
        let back: Vec<_> = ids.rev().map(|n| closed(event(n), Outcome::Complete)).collect();
        let (a, b) = tokio::join!(bench.store.append_audit(&forth), replica.append_audit(&back));
        a.and(b).expect("both appended");
    }
    assert_eq!(all(&bench.store).await.len(), 500);
}

async fn hostile_text_is_kept_or_made_harmless(bench: Bench) {
    let texts = [
        "'; DROP TABLE audit_logs; --",
        "\"}]",
        "\\u0000",
        "\\",
        "日本 \u{1f600} \u{202e}",
        "\u{1}\u{7f}\r\n",
        "$1 ? :x",
    ];
    let mut events = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        let mut hostile = closed(event(n as u64), Outcome::Refused);
        hostile.open.user = Cow::Borrowed(*text);
        hostile.open.user_agent = Some(Cow::Borrowed(*text));
        events.push(hostile);
    }
    append(&bench.store, &events).await;
    for (kept, event) in all(&bench.store).await.iter().rev().zip(&events) {
        assert_eq!((&kept.detail, kept.user.as_str()), (event, &*event.open.user));
    }
    let mut nul = closed(event(99), Outcome::Refused);
    nul.open.user = "a\0b".into();
    append(&bench.store, &[nul]).await;
    assert_eq!(all(&bench.store).await[0].user, "a\u{fffd}b");
}

async fn events_are_found_by_user_cluster_and_time(bench: Bench) {
    let mut events: Vec<_> = (0..10).map(event).collect();
    events[3].open.user = "bob@example.com".into();
    events[4].open.cluster = None;
    events[5].open.cluster = Some("dev".into());
    append(&bench.store, &events).await;
    let find = async |filter| -> Vec<i64> {
        let found = bench.store.audit_query(&filter).await.expect("asked");
        found
            .iter()
            .map(|record| record.created_at.as_second() - at(0).as_second())
            .collect()
    };
    let any = AuditFilter::default();
    let bob = AuditFilter {
        user: Some("bob@example.com".to_owned()),
        ..any.clone()
    };
    assert_eq!(find(bob.clone()).await, [3]);
    assert_eq!(
        find(AuditFilter {
            cluster: Some("dev".to_owned()),
            ..any.clone()
        })
        .await,
        [5]
    );
    assert_eq!(
        find(AuditFilter {
            cluster: Some("dev".to_owned()),
            ..bob
        })
        .await,
        [0_i64; 0]
    );
    assert_eq!(
        find(AuditFilter {
            limit: Some(3),
            ..any.clone()
        })
        .await,
        [9, 8, 7]
    );
    assert_eq!(
        find(AuditFilter {
            since: Some(at(7)),
            ..any.clone()
        })
        .await,
        [9, 8, 7]
    );
    assert_eq!(
        find(AuditFilter {
            since: Some(at(2)),
            before: Some(at(4)),
            ..any.clone()
        })
        .await,
        [3, 2]
    );
    assert_eq!(
        find(AuditFilter {
            limit: Some(u32::MAX),
            ..any
        })
        .await
        .len(),
        10
    );
}

async fn a_command_reads_as_a_person_would_say_it(bench: Bench) {
    type Change = fn(&mut AuditOpen<'static>);
    let rows: [(Change, &str); 7] = [
        (|open| open.name = None, "get pods shop/"),
        (
            |open| (open.namespace, open.resource) = (None, "nodes".into()),
            "get nodes web",
        ),
        (
            |open| (open.api_group, open.resource) = (Some("apps".into()), "deployments/scale".into()),
            "get deployments.apps/scale shop/web",
        ),
        (
            |open| (open.api_group, open.verb) = (Some("batch".into()), "delete".into()),
            "delete pods.batch shop/web",
        ),
        (
            |open| (open.verb, open.resource, open.uri) = ("get".into(), "".into(), "/version?x".into()),
            "get /version",
        ),
        (
            |open| (open.verb, open.method, open.uri) = ("".into(), "POST".into(), "/auth/login".into()),
            "POST /auth/login",
        ),
        (|open| open.cluster = None, "get pods shop/web"),
    ];
    let mut events = Vec::new();
    for (n, (change, _)) in rows.iter().enumerate() {
        let mut event = event(n as u64);
        change(&mut event.open);
        events.push(event);
    }
    append(&bench.store, &events).await;
    for (kept, (_, expected)) in all(&bench.store).await.iter().rev().zip(rows) {
        assert_eq!(kept.command, expected);
    }
    let mut long = event(99);
    long.open.name = Some("é".repeat(100_000).into());
    append(&bench.store, &[long]).await;
    let kept = all(&bench.store).await.remove(0);
    assert_eq!(kept.command.chars().count(), 501);
    assert_eq!(kept.detail.open.name.map(|name| name.len()), Some(200_000));
}

async fn a_large_batch_is_one_statement(bench: Bench) {
    let events: Vec<_> = (0..5000).map(|n| closed(event(n), Outcome::Complete)).collect();
    let begin = std::time::Instant::now();
    append(&bench.store, &events).await;
    eprintln!("5000 events in {:?}", begin.elapsed());
    assert_eq!(all(&bench.store).await.len(), 1000, "MAX_AUDIT_ROWS");
    assert_eq!(bench.store.prune_audit(at(5000)).await.expect("pruned"), 5000);
}

async fn old_events_are_pruned(bench: Bench) {
    let events: Vec<_> = (0..10).map(event).collect();
    append(&bench.store, &events).await;
    assert_eq!(bench.store.prune_audit(at(7)).await.expect("pruned"), 7);
    assert_eq!(bench.store.prune_audit(at(7)).await.expect("pruned"), 0);
    assert_eq!(all(&bench.store).await.len(), 3);
}
