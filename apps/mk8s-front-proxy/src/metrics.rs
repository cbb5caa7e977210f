//! What the front proxy counts. No label names a person: `/metrics` may be read by whoever reaches the port.

use std::sync::{Arc, atomic::AtomicI64};

use mk8s_net::link::StreamCounters;
use mk8s_operators::Questions;
use mk8s_telemetry::Answers;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::{ConstCounter, Counter},
        gauge::Gauge,
    },
};

/// The counters.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: mk8s_telemetry::Metrics,
    pub(crate) answers: Answers,
    connections: Gauge<i64, AtomicI64>,
    /// Handshakes that came to nothing: no certificate, or none that counts.
    pub(crate) handshakes_refused: Counter,
    /// Connections whose certificate is genuine and lets nobody in: a name in `system:`, say.
    pub(crate) certificates_refused: Counter,
    pub(crate) questions: Questions,
}

/// A connection that counts as open for as long as this lives.
pub(crate) struct Open(Gauge<i64, AtomicI64>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Registers everything.
    pub(crate) fn new(streams: Arc<StreamCounters>) -> Arc<Self> {
        let mut registry = mk8s_telemetry::Metrics::new("mk8s-front-proxy", env!("CARGO_PKG_VERSION"));
        let answers = Answers::register(&mut registry, "Requests answered");
        let connections = Gauge::<i64, AtomicI64>::default();
        registry.register("mk8s_connections", "Connections of clients", connections.clone());
        let handshakes_refused = Counter::default();
        registry.register(
            "mk8s_handshakes_refused",
            "TLS handshakes that came to nothing, mostly for want of a good certificate",
            handshakes_refused.clone(),
        );
        let certificates_refused = Counter::default();
        registry.register(
            "mk8s_certificates_refused",
            "Connections with a genuine certificate that lets nobody in",
            certificates_refused.clone(),
        );
        let questions = Questions::default();
        registry.register(
            "mk8s_ocsp_questions",
            "Questions to OCSP responders, by what became of them: good, revoked, unknown, none",
            questions.clone(),
        );
        registry.registry().register_collector(Box::new(Live(streams)));
        Arc::new(Self {
            registry,
            answers,
            connections,
            handshakes_refused,
            certificates_refused,
            questions,
        })
    }

    /// Counts a connection.
    pub(crate) fn connected(&self) -> Open {
        self.connections.inc();
        Open(self.connections.clone())
    }

    /// The page at `/metrics`.
    pub(crate) fn encode(&self) -> String {
        self.registry.encode()
    }
}

/// What is read where it is kept, at the moment of the scrape.
#[derive(Debug)]
struct Live(Arc<StreamCounters>);

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let rows = [
            (
                "mk8s_streams_opened",
                "Streams opened to the API server",
                self.0.opened(),
            ),
            (
                "mk8s_streams_closed",
                "Streams to the API server that ended",
                self.0.closed(),
            ),
        ];
        for (name, help, value) in rows {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}
