//! Which of several links the next request takes.

use std::sync::Arc;

use mk8s_net::{
    link::{Link, LinkSet, StreamCounters, Traffic},
    workers::Workers,
};
use mk8s_testkit::{
    http2::{Peer, code, kind},
    soon,
};
use tokio::io::DuplexStream;

use crate::support::{ask, link_to_raw};

const MAX_CONCURRENT_STREAMS: u16 = 3;

/// A link in the set, with its far end.
async fn add(set: &LinkSet, settings: &[(u16, u32)]) -> (Link, Peer<DuplexStream>) {
    let (link, peer, _) = link_to_raw(settings).await;
    set.add(link.clone());
    (link, peer)
}

/// Opens a stream on the link and leaves it open.
async fn occupy(link: &Link, peer: &mut Peer<DuplexStream>) -> tokio::task::JoinHandle<()> {
    let mut link = link.clone();
    let asking = tokio::spawn(async move { drop(link.send(ask("/")).await) });
    peer.read_kind(kind::HEADERS).await.expect("a request");
    asking
}

fn same(one: &Link, other: &Link) -> bool {
    // Nothing else tells them apart than what is counted on them, so this is asked while exactly one is busy.
    one.in_flight() == other.in_flight()
}

#[tokio::test]
async fn an_empty_set_has_no_link() {
    let set = LinkSet::default();
    assert!(set.pick(Traffic::Brief).is_none());
    assert_eq!(
        (set.open(), set.in_flight(), set.prune(), set.cut()),
        (0, 0, 0, 0)
    );
}

#[tokio::test]
async fn a_link_with_dozens_of_streams_makes_way_for_the_next() {
    let set = LinkSet::default();
    let (busy, mut at_busy) = add(&set, &[]).await;
    let (idle, _at_idle) = add(&set, &[]).await;
    let mut open = Vec::new();
    for _ in 0..32 {
        assert!(
            same(&set.pick(Traffic::Brief).expect("a link"), &busy),
            "together until then"
        );
        open.push(occupy(&busy, &mut at_busy).await);
    }
    for _ in 0..3 {
        assert!(same(&set.pick(Traffic::Brief).expect("a link"), &idle));
    }
    assert_eq!(set.in_flight(), 32);
}

#[tokio::test]
async fn a_link_with_room_is_picked_over_one_that_is_full_and_less_busy() {
    let set = LinkSet::default();
    let (full, mut at_full) = add(&set, &[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let (roomy, mut at_roomy) = add(&set, &[]).await;
    let _one = occupy(&full, &mut at_full).await;
    let (_two, _three) = (
        occupy(&roomy, &mut at_roomy).await,
        occupy(&roomy, &mut at_roomy).await,
    );
    assert!(same(&set.pick(Traffic::Brief).expect("a link"), &roomy));
}

#[tokio::test]
async fn bulk_and_brief_streams_keep_apart_where_there_are_links_enough() {
    let set = LinkSet::default();
    let (first, mut at_first) = add(&set, &[]).await;
    let (second, _at_second) = add(&set, &[]).await;
    let mut link = first.clone();
    let bulk = tokio::spawn(async move { drop(link.send_as(Traffic::Bulk, ask("/logs")).await) });
    at_first.read_kind(kind::HEADERS).await.expect("a request");
    assert!(
        same(&set.pick(Traffic::Bulk).expect("a link"), &first),
        "bulk joins bulk"
    );
    assert!(
        same(&set.pick(Traffic::Brief).expect("a link"), &second),
        "brief stays away"
    );
    second.cut();
    soon("the other link to end", || (set.open() == 1).then_some(())).await;
    assert!(set.pick(Traffic::Brief).is_some(), "one link serves both");
    bulk.abort();
    soon("the stream to close", || {
        first.suits(Traffic::Brief).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_link_that_ended_is_never_picked_and_soon_forgotten() {
    let set = LinkSet::default();
    let (_link, peer) = add(&set, &[]).await;
    drop(peer);
    soon("the link to end", || {
        set.pick(Traffic::Brief).is_none().then_some(())
    })
    .await;
    assert_eq!(set.open(), 0);
    assert_eq!(set.prune(), 0);
}

#[tokio::test]
async fn a_link_that_was_told_to_go_away_takes_no_new_requests() {
    let set = LinkSet::default();
    let (leaving, mut at_leaving) = add(&set, &[]).await;
    let _open = occupy(&leaving, &mut at_leaving).await;
    at_leaving.go_away(1, code::NO_ERROR).await.expect("sent");
    // Nothing tells before the next request tries; that one is unprocessed, and the link is out of the running then.
    let mut link = leaving.clone();
    while link.send(ask("/")).await.is_ok() {}
    assert!(set.pick(Traffic::Brief).is_none());
}

#[tokio::test]
async fn a_cut_set_has_no_links_and_says_how_many_there_were() {
    let set = LinkSet::default();
    let (_first, mut at_first) = add(&set, &[]).await;
    let (_second, mut at_second) = add(&set, &[]).await;
    assert_eq!(set.cut(), 2);
    assert!(set.pick(Traffic::Brief).is_none());
    assert_eq!(set.open(), 0);
    while at_first.read().await.is_ok() {}
    while at_second.read().await.is_ok() {}
}

#[tokio::test]
async fn a_link_of_the_calling_worker_is_picked_over_a_less_busy_one() {
    let workers = Workers::start("test", 2).expect("threads");
    let set = Arc::new(LinkSet::new(Arc::new(StreamCounters::default())));
    let mut ends = Vec::new();
    for worker in 0..2 {
        let set = set.clone();
        let made = workers.nth(worker).spawn(async move { add(&set, &[]).await });
        ends.push(made.await.expect("no panic"));
    }
    let (busy, mut at_busy) = ends.remove(0);
    let _open = workers
        .nth(0)
        .spawn(async move { (occupy(&busy, &mut at_busy).await, at_busy) })
        .await
        .expect("no panic");
    for (worker, in_flight) in [(0, 1), (1, 0)] {
        let set = set.clone();
        let picked = workers.nth(worker).spawn(async move {
            let link = set.pick(Traffic::Brief).expect("a link");
            (link.is_near(), link.in_flight())
        });
        assert_eq!(
            picked.await.expect("no panic"),
            (true, in_flight),
            "worker {worker}"
        );
    }
}
