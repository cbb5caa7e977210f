//! Whatever happens in whatever order: no answer lacks what happened longer ago than the age, what was written and answered
//! before it was asked for, or what a watch had told by then; and nobody gets another's.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use mk8s_cache::{Cache, Settings};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::{
    cluster::{Cluster, OBJECTS, PEOPLE, TARGETS},
    support::settle,
};

const MAX_AGE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Step {
    Get { who: usize, target: usize },
    Write { who: usize, object: usize },
    Change { object: usize },
    Answer { which: usize },
    AnswerAll,
    Deliver { which: usize },
    Close { which: usize },
    Pass { milliseconds: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..PEOPLE.len(), 0..TARGETS.len()).prop_map(|(who, target)| Step::Get { who, target }),
        2 => (0..PEOPLE.len(), 0..OBJECTS.len()).prop_map(|(who, object)| Step::Write { who, object }),
        2 => (0..OBJECTS.len()).prop_map(|object| Step::Change { object }),
        20 => (0..16_usize).prop_map(|which| Step::Answer { which }),
        3 => Just(Step::AnswerAll),
        2 => (0..16_usize).prop_map(|which| Step::Deliver { which }),
        1 => (0..16_usize).prop_map(|which| Step::Close { which }),
        4 => (1..6_000_u64).prop_map(|milliseconds| Step::Pass { milliseconds }),
    ];
    vec(step, 1..150)
}

/// Does it all, and returns what was wrong, and the number of hits.
async fn run(steps: Vec<Step>) -> (Vec<String>, u64) {
    let cluster = Cluster::new(false);
    let cache = Cache::new(Settings {
        max_age: MAX_AGE,
        max_bytes: 1024 * 1024,
        max_entry_bytes: 64 * 1024,
    });
    let mut tasks = Vec::new();
    for step in steps {
        match step {
            Step::Get { who, target } => {
                tasks.push(tokio::spawn(cluster.clone().get(
                    cache.clone(),
                    who,
                    target,
                    MAX_AGE,
                )));
            }
            Step::Write { who, object } => {
                tasks.push(tokio::spawn(cluster.clone().write(cache.clone(), who, object)));
            }
            Step::Change { object } => cluster.change(object),
            Step::Answer { which } => cluster.step(which).await,
            Step::AnswerAll => answer_all(&cluster).await,
            Step::Deliver { which } => cluster.deliver(which).await,
            Step::Close { which } => cluster.close(which).await,
            Step::Pass { milliseconds } => tokio::time::advance(Duration::from_millis(milliseconds)).await,
        }
        settle().await;
    }
    answer_all(&cluster).await;
    for task in tasks {
        task.await.expect("answered");
    }
    (cluster.violations(), cache.counters().hits)
}

async fn answer_all(cluster: &Cluster) {
    while cluster.is_waiting() {
        cluster.step(0).await;
    }
}

#[test]
fn no_answer_lacks_what_it_must_have() {
    let hits = AtomicU64::new(0);
    let config = Config {
        cases: 256,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let (violations, hit) = runtime.block_on(run(steps));
        hits.fetch_add(hit, Ordering::Relaxed);
        prop_assert!(violations.is_empty(), "{violations:#?}");
        Ok(())
    });
    if let Err(why) = outcome {
        panic!("{why}");
    }
    let hits = hits.into_inner();
    assert!(hits > 256, "it was a cache all the same: {hits} hits");
}
