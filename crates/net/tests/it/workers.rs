//! The threads that carry the traffic.

use std::{collections::HashSet, sync::Arc};

use mk8s_net::workers::{self, Workers};

#[tokio::test]
async fn work_is_dealt_out_in_turn_and_knows_where_it_runs() {
    let workers = Workers::start("test", 3).expect("threads");
    assert_eq!(workers.count(), 3);
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(
            workers
                .next()
                .spawn(async { workers::current() })
                .await
                .expect("no panic"),
        );
    }
    assert_eq!(seen, [0, 1, 2, 0, 1, 2].map(Some));
    assert_eq!(workers::current(), None, "a test is no worker");
}

#[tokio::test]
async fn each_is_a_thread_of_its_own_with_a_name() {
    let workers = Workers::start("path", 2).expect("threads");
    let mut names = HashSet::new();
    for worker in 0..2 {
        let name = workers
            .nth(worker)
            .spawn(async { std::thread::current().name().map(str::to_owned) });
        names.insert(name.await.expect("no panic").expect("a name"));
    }
    assert_eq!(names, HashSet::from(["path-0".to_owned(), "path-1".to_owned()]));
}

#[tokio::test]
async fn none_at_all_is_one() {
    assert_eq!(Workers::start("test", 0).expect("threads").count(), 1);
}

#[tokio::test]
async fn their_tasks_end_with_them() {
    let workers = Workers::start("test", 1).expect("threads");
    let alive = Arc::new(());
    let held = alive.clone();
    let task = workers.next().spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    drop(workers);
    assert!(task.await.expect_err("it never ended by itself").is_cancelled());
    assert_eq!(Arc::strong_count(&alive), 1);
}
