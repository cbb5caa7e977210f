//! What is counted. No label names a person or an object: `/metrics` may be read by whoever reaches the port.

use std::sync::{Arc, atomic::AtomicI64};

use mk8s_mcp_core::record::{CallLog, CallOutcome, CallRecord};
use mk8s_telemetry::Answers;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

/// The counters.
pub(crate) struct Metrics {
    registry: mk8s_telemetry::Metrics,
    pub(crate) answers: Answers,
    connections: Gauge<i64, AtomicI64>,
    /// Requests without a good token.
    pub(crate) unauthorized: Counter,
    calls: Family<CallLabels, Counter>,
    seconds: Histogram,
    tokens: Histogram,
    redactions: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    /// Of those that there are: a record has no other.
    tool: String,
    outcome: &'static str,
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
    pub(crate) fn new() -> Arc<Self> {
        let mut registry = mk8s_telemetry::Metrics::new("mk8s-mcp", env!("CARGO_PKG_VERSION"));
        let answers = Answers::register(&mut registry, "Requests answered");
        let connections = Gauge::<i64, AtomicI64>::default();
        registry.register("mk8s_connections", "Connections of clients", connections.clone());
        let unauthorized = Counter::default();
        registry.register(
            "mk8s_unauthorized",
            "Requests without a token that is taken",
            unauthorized.clone(),
        );
        let calls = Family::default();
        registry.register(
            "mk8s_mcp_calls",
            "Calls of tools, by what came of them",
            calls.clone(),
        );
        let seconds = Histogram::new([
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
        ]);
        registry.register(
            "mk8s_mcp_call_duration_seconds",
            "How long calls took",
            seconds.clone(),
        );
        let tokens = Histogram::new([50.0, 100.0, 250.0, 500.0, 1e3, 2e3, 4e3, 8e3, 16e3]);
        registry.register(
            "mk8s_mcp_answer_tokens",
            "How long answers are, in tokens by our estimate",
            tokens.clone(),
        );
        let redactions = Counter::default();
        registry.register(
            "mk8s_mcp_redactions",
            "Values that were taken out of answers",
            redactions.clone(),
        );
        Arc::new(Self {
            registry,
            answers,
            connections,
            unauthorized,
            calls,
            seconds,
            tokens,
            redactions,
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

/// Counts calls, and hands them on.
pub(crate) struct Counted {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) next: Arc<dyn CallLog>,
}

impl CallLog for Counted {
    fn record(&self, call: &CallRecord) {
        let outcome = match call.outcome {
            CallOutcome::Answered => "answered",
            CallOutcome::Failed => "failed",
            CallOutcome::Denied => "denied",
            CallOutcome::Asked => "asked",
            CallOutcome::Cancelled => "cancelled",
            CallOutcome::Subscribed => "subscribed",
            CallOutcome::Ended => "ended",
        };
        let labels = CallLabels {
            tool: call.tool.clone(),
            outcome,
        };
        self.metrics.calls.get_or_create(&labels).inc();
        self.next.record(call);
        // A subscription has no answer, and takes as long as somebody likes.
        if ["resources/subscribe", "subscriptions/listen"].contains(&&*call.tool) {
            return;
        }
        self.metrics.seconds.observe(seconds(call.milliseconds));
        self.metrics
            .tokens
            .observe(u32::try_from(call.tokens).unwrap_or(u32::MAX).into());
        self.metrics.redactions.inc_by(call.redactions.into());
    }
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}
