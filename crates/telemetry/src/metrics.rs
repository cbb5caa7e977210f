//! Numbers for Prometheus.

use prometheus_client::{
    encoding::text,
    metrics::info::Info,
    registry::{Metric, Registry, Unit},
};

use crate::process::Process;

/// The `Content-Type` of [`Metrics::encode`].
pub const OPENMETRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of this process. Filled while the program starts, then shared and read at each scrape.
///
/// It begins with `mk8s_build_info` and, where there is `/proc`, the `process_*` metrics that every Prometheus client
/// has.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The metrics of a program (`mk8s-central`) in a version (`env!("CARGO_PKG_VERSION")`).
    pub fn new(program: &'static str, version: &'static str) -> Self {
        let mut registry = Registry::default();
        registry.register(
            "mk8s_build",
            "Which program this is, in which version",
            Info::new([("program", program), ("version", version)]),
        );
        registry.register_collector(Box::new(Process));
        Self { registry }
    }

    /// Adds a metric. `name` is the whole name without its unit and without `_total`; `help` is a sentence without a
    /// full stop. Keep a clone of the metric to change it.
    pub fn register(&mut self, name: &'static str, help: &'static str, metric: impl Metric) {
        self.registry.register(name, help, metric);
    }

    /// Adds a metric measured in `unit`, which becomes the end of its name: `_seconds`, `_bytes`.
    pub fn register_with_unit(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Unit,
        metric: impl Metric,
    ) {
        self.registry.register_with_unit(name, help, unit, metric);
    }

    /// The registry itself, for collectors.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// All metrics in the OpenMetrics text format, to be sent with [`OPENMETRICS_CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(4096);
        // Writing to a String can't fail; a collector that did has left its metrics out.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}
