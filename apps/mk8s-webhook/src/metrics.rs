//! What the webhook counts. No label names a pod, a namespace or a person: `/metrics` may be read by whoever reaches the
//! port.

use std::{sync::Arc, time::Duration};

use mk8s_tls::ReloadingCertificate;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Unit,
};

use crate::{admission::Outcome, secrets::SecretsMetrics};

/// The counters.
pub(crate) struct Metrics {
    registry: mk8s_telemetry::Metrics,
    admissions: Family<Labels, Counter>,
    duration: Histogram,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

/// All results, so that each is there before it first happens and a rate can be taken of it.
const OUTCOMES: [Outcome; 5] = [
    Outcome::Injected,
    Outcome::Unchanged,
    Outcome::Skipped,
    Outcome::Refused,
    Outcome::Error,
];

impl Metrics {
    /// Registers everything; `leader` is kept up to date by the election, if there is one.
    pub(crate) fn new(
        certificate: Arc<ReloadingCertificate>,
        leader: Gauge,
        secrets: &SecretsMetrics,
    ) -> Arc<Self> {
        let mut registry = mk8s_telemetry::Metrics::new("mk8s-webhook", env!("CARGO_PKG_VERSION"));
        let admissions = Family::<Labels, Counter>::default();
        for outcome in OUTCOMES {
            let _ = admissions.get_or_create(&Labels {
                result: outcome.as_str(),
            });
        }
        registry.register(
            "mk8s_webhook_admissions",
            "Admission reviews answered",
            admissions.clone(),
        );
        let duration = Histogram::new([
            0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
        ]);
        registry.register_with_unit(
            "mk8s_webhook_admission_duration",
            "From a review's head to its answer",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register(
            "mk8s_webhook_leader",
            "Whether this replica keeps the certificate and the caBundle for all",
            leader,
        );
        secrets.register(&mut registry);
        registry
            .registry()
            .register_collector(Box::new(Expiry(certificate)));
        Arc::new(Self {
            registry,
            admissions,
            duration,
        })
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, outcome: Outcome, after: Duration) {
        let labels = Labels {
            result: outcome.as_str(),
        };
        self.admissions.get_or_create(&labels).inc();
        self.duration.observe(after.as_secs_f64());
    }

    /// The page at `/metrics`.
    pub(crate) fn encode(&self) -> String {
        self.registry.encode()
    }
}

/// Read where it is kept, at the moment of the scrape.
#[derive(Debug)]
struct Expiry(Arc<ReloadingCertificate>);

impl Collector for Expiry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(self.0.not_after().as_second());
        gauge.encode(encoder.encode_descriptor(
            "mk8s_webhook_certificate_not_after",
            "When the certificate in use expires, since 1970",
            Some(&Unit::Seconds),
            gauge.metric_type(),
        )?)
    }
}
