//! With watches that tell at once, an answer from what is kept is the present state, however old it is.

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
    support::{pass, settle},
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Get {
        who: usize,
        target: usize,
    },
    Write {
        who: usize,
        object: usize,
    },
    Change {
        object: usize,
    },
    /// A watch ends, and enough time passes for another one.
    Close {
        which: usize,
    },
    Pass {
        seconds: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..PEOPLE.len(), 0..TARGETS.len()).prop_map(|(who, target)| Step::Get { who, target }),
        1 => (0..PEOPLE.len(), 0..OBJECTS.len()).prop_map(|(who, object)| Step::Write { who, object }),
        3 => (0..OBJECTS.len()).prop_map(|object| Step::Change { object }),
        1 => (0..16_usize).prop_map(|which| Step::Close { which }),
        2 => (1..400_u64).prop_map(|seconds| Step::Pass { seconds }),
    ];
    vec(step, 1..100)
}

async fn run(steps: Vec<Step>) -> (Vec<String>, u64) {
    let cluster = Cluster::new(true);
    let cache = Cache::new(Settings {
        max_age: Duration::from_secs(36_000),
        max_bytes: 1024 * 1024,
        max_entry_bytes: 64 * 1024,
    });
    for step in steps {
        match step {
            // Whatever happened before it was asked for must be there.
            Step::Get { who, target } => {
                cluster
                    .clone()
                    .get(cache.clone(), who, target, Duration::ZERO)
                    .await;
            }
            Step::Write { who, object } => cluster.clone().write(cache.clone(), who, object).await,
            Step::Change { object } => cluster.change(object),
            Step::Close { which } => {
                cluster.close(which).await;
                pass(Duration::from_secs(20)).await;
            }
            Step::Pass { seconds } => pass(Duration::from_secs(seconds)).await,
        }
        settle().await;
    }
    (cluster.violations(), cache.counters().hits)
}

#[test]
fn what_is_watched_is_never_stale() {
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
