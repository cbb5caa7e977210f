//! What central counts. No label names a person or a cluster: `/metrics` may be read by whoever reaches the port.

use std::sync::Arc;

use mk8s_audit::Journal;
use mk8s_operators::Questions;
use mk8s_telemetry::Answers;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use crate::registry::Registry;

/// The counters.
pub(crate) struct Metrics {
    registry: mk8s_telemetry::Metrics,
    pub(crate) answers: Answers,
    pub(crate) questions: Questions,
}

impl Metrics {
    /// Registers everything.
    pub(crate) fn new(clusters: Arc<Registry>, journal: Arc<Journal>) -> Arc<Self> {
        let mut registry = mk8s_telemetry::Metrics::new("mk8s-central", env!("CARGO_PKG_VERSION"));
        let answers = Answers::register(
            &mut registry,
            "Requests answered on the people's and the operators' port",
        );
        let questions = Questions::default();
        registry.register(
            "mk8s_ocsp_questions",
            "Questions to OCSP responders, by what became of them: good, revoked, unknown, none",
            questions.clone(),
        );
        registry
            .registry()
            .register_collector(Box::new(Live { clusters, journal }));
        Arc::new(Self {
            registry,
            answers,
            questions,
        })
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
