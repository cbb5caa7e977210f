//! What is counted. No label names a person or an object: `/metrics` may be read by whoever reaches the port.

use std::sync::{Arc, OnceLock};

use mk8s_net::link::StreamCounters;
use mk8s_telemetry::Answers;
use mk8s_tls::ReloadingCertificate;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::{ConstCounter, Counter},
        gauge::{ConstGauge, Gauge},
    },
    registry::Unit,
};

use crate::scopes::Scopes;

/// The counters.
pub(crate) struct Metrics {
    registry: mk8s_telemetry::Metrics,
    pub(crate) answers: Answers,
    /// Reviews that the API server was asked for.
    pub(crate) reviews: Counter,
    /// Requests of nobody whom the API server, or a token, speaks for.
    pub(crate) unauthorized: Counter,
    /// Kept up to date by the election, if there is one.
    pub(crate) leader: Gauge,
    scopes: Arc<OnceLock<Arc<Scopes>>>,
}

impl Metrics {
    /// Registers everything.
    pub(crate) fn new(streams: Arc<StreamCounters>, certificate: Arc<ReloadingCertificate>) -> Arc<Self> {
        let mut registry = mk8s_telemetry::Metrics::new("mk8s-apiserver", env!("CARGO_PKG_VERSION"));
        let answers = Answers::register(&mut registry, "Requests answered");
        let reviews = Counter::default();
        registry.register(
            "mk8s_reviews",
            "SubjectAccessReviews and TokenReviews that the API server was asked for",
            reviews.clone(),
        );
        let unauthorized = Counter::default();
        registry.register(
            "mk8s_unauthorized",
            "Requests of somebody unknown",
            unauthorized.clone(),
        );
        let leader = Gauge::default();
        registry.register(
            "mk8s_leader",
            "Whether this replica keeps the certificate and the caBundle for all",
            leader.clone(),
        );
        let scopes = Arc::new(OnceLock::new());
        registry.registry().register_collector(Box::new(Live {
            streams,
            certificate,
            scopes: scopes.clone(),
        }));
        Arc::new(Self {
            registry,
            answers,
            reviews,
            unauthorized,
            leader,
            scopes,
        })
    }

    /// Whose scopes are counted from now on.
    pub(crate) fn count_scopes(&self, scopes: Arc<Scopes>) {
        let _ = self.scopes.set(scopes);
    }

    /// The page at `/metrics`.
    pub(crate) fn encode(&self) -> String {
        self.registry.encode()
    }
}

/// What is read where it is kept, at the moment of the scrape.
struct Live {
    streams: Arc<StreamCounters>,
    certificate: Arc<ReloadingCertificate>,
    scopes: Arc<OnceLock<Arc<Scopes>>>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let rows = [
            (
                "mk8s_streams_opened",
                "Streams opened to the API server",
                self.streams.opened(),
            ),
            (
                "mk8s_streams_closed",
                "Streams to the API server that ended",
                self.streams.closed(),
            ),
        ];
        for (name, help, value) in rows {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let not_after = ConstGauge::new(self.certificate.not_after().as_second());
        not_after.encode(encoder.encode_descriptor(
            "mk8s_certificate_not_after",
            "When the certificate in use expires, since 1970",
            Some(&Unit::Seconds),
            not_after.metric_type(),
        )?)?;
        let scopes = self.scopes.get().map_or(0, |scopes| scopes.count());
        let metric = ConstGauge::new(i64::try_from(scopes).unwrap_or(i64::MAX));
        metric.encode(encoder.encode_descriptor(
            "mk8s_scopes",
            "What is known of what requesters may see: one for each and resource",
            None,
            metric.metric_type(),
        )?)
    }
}
