//! Answers, counted by the class of their status.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};

use crate::Metrics;

const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// `mk8s_requests_total{code="2xx"}` and `mk8s_request_duration_seconds`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Answers {
    by_class: Arc<[OnceLock<Counter>; 6]>,
    family: Family<CodeClass, Counter>,
    latency: Histogram,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeClass {
    code: &'static str,
}

impl Answers {
    /// Registers both. `help` says which requests are counted.
    pub fn register(metrics: &mut Metrics, help: &'static str) -> Self {
        let family = Family::<CodeClass, Counter>::default();
        metrics.register("mk8s_requests", help, family.clone());
        let latency = Histogram::new([
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ]);
        metrics.register(
            "mk8s_request_duration_seconds",
            "From a request's head to its answer's head; streams go on after that",
            latency.clone(),
        );
        Self {
            by_class: Arc::default(),
            family,
            latency,
        }
    }

    /// Counts one, by its HTTP status.
    pub fn count(&self, status: u16, after: Duration) {
        let class = usize::from(status / 100);
        let class = if class < CLASSES.len() { class } else { 0 };
        let counter = self.by_class[class].get_or_init(|| {
            self.family
                .get_or_create(&CodeClass { code: CLASSES[class] })
                .clone()
        });
        counter.inc();
        self.latency.observe(after.as_secs_f64());
    }
}
