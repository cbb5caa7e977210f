//! What central counts. No label names a person or a cluster: `/metrics` may be read by whoever reaches the port.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::StatusCode;
use mk8s_audit::Journal;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::ConstCounter, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram,
    },
};

use crate::registry::Registry;

/// The counters.
pub(crate) struct Metrics {
    registry: mk8s_telemetry::Metrics,
    answers: [OnceLock<Counter>; 6],
    family: Family<CodeClass, Counter>,
    latency: Histogram,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeClass {
    code: &'static str,
}

const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl Metrics {
    /// Registers everything.
    pub(crate) fn new(clusters: Arc<Registry>, journal: Arc<Journal>) -> Arc<Self> {
        let mut registry = mk8s_telemetry::Metrics::new("mk8s-central", env!("CARGO_PKG_VERSION"));
        let family = Family::<CodeClass, Counter>::default();
        registry.register(
            "mk8s_requests",
            "Requests answered on the people's port",
            family.clone(),
        );
        let latency = Histogram::new([
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ]);
        registry.register(
            "mk8s_request_duration_seconds",
            "From a request's head to its answer's head; streams go on after that",
            latency.clone(),
        );
        registry
            .registry()
            .register_collector(Box::new(Live { clusters, journal }));
        Arc::new(Self {
            registry,
            answers: Default::default(),
            family,
            latency,
        })
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, status: StatusCode, after: Duration) {
        let class = usize::from(status.as_u16() / 100);
        let class = if class < CLASSES.len() { class } else { 0 };
        let counter = self.answers[class].get_or_init(|| {
            self.family
                .get_or_create(&CodeClass { code: CLASSES[class] })
                .clone()
        });
        counter.inc();
        self.latency.observe(after.as_secs_f64());
    }

    /// The page at `/metrics`.
    pub(crate) fn encode(&self) -> String {
        self.registry.encode()
    }
}

/// What is read where it is kept, at the moment of the scrape.
struct Live {
    clusters: Arc<Registry>,
    journal: Arc<Journal>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut counter = |name: &str, help: &str, value: u64| {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        let streams = self.clusters.counters();
        counter(
            "mk8s_tunnel_streams_opened",
            "Streams opened to agents",
            streams.opened(),
        )?;
        counter(
            "mk8s_tunnel_streams_closed",
            "Streams to agents that ended",
            streams.closed(),
        )?;
        let mut gauge = |name: &str, help: &str, value: u64| {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        gauge(
            "mk8s_clusters_connected",
            "Clusters with at least one tunnel",
            self.clusters.connected() as u64,
        )?;
        gauge("mk8s_tunnels", "Tunnels open", self.clusters.tunnels() as u64)?;
        gauge(
            "mk8s_audit_waiting_bytes",
            "Audit journal not yet in the database",
            self.journal.unshipped_bytes(),
        )
    }
}
