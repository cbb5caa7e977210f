//! What the sidecar counts, under the names that Keeper's own has. No label names a secret.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use mk8s_net::{drain::Watch, listen};
use mk8s_telemetry::OPENMETRICS_CONTENT_TYPE;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use tokio::net::TcpListener;

use crate::cycle::Report;

/// All counters. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: mk8s_telemetry::Metrics,
    fetches: Family<Outcome, Counter>,
    cycles: Family<Outcome, Counter>,
    duration: Histogram,
    active: Gauge,
    refreshed: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    status: &'static str,
}

const SUCCESS: Outcome = Outcome { status: "success" };
const ERROR: Outcome = Outcome { status: "error" };

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = mk8s_telemetry::Metrics::new("keeper-secrets", env!("CARGO_PKG_VERSION"));
        let fetches = Family::<Outcome, Counter>::default();
        registry.register(
            "keeper_sidecar_secret_fetches",
            "Fetches from the vault",
            fetches.clone(),
        );
        let duration = Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        registry.register(
            "keeper_sidecar_secret_fetch_duration_seconds",
            "How long a fetch takes, attached files included",
            duration.clone(),
        );
        let active = Gauge::default();
        registry.register(
            "keeper_sidecar_secrets_active",
            "Files, variables and Kubernetes Secrets that are kept",
            active.clone(),
        );
        let refreshed = Gauge::<f64, AtomicU64>::default();
        registry.register(
            "keeper_sidecar_last_refresh_timestamp",
            "When secrets were last fetched, in seconds since 1970",
            refreshed.clone(),
        );
        let cycles = Family::<Outcome, Counter>::default();
        registry.register(
            "keeper_sidecar_refresh_cycles",
            "Looks at the vault; an error is anything that couldn't be had or written",
            cycles.clone(),
        );
        for outcome in [SUCCESS, ERROR] {
            let _ = fetches.get_or_create(&outcome);
            let _ = cycles.get_or_create(&outcome);
        }
        Self(Arc::new(Inner {
            registry,
            fetches,
            cycles,
            duration,
            active,
            refreshed,
        }))
    }

    /// Each try is one.
    pub(crate) fn fetched(&self, well: bool, took: Duration) {
        let outcome = if well { SUCCESS } else { ERROR };
        self.0.fetches.get_or_create(&outcome).inc();
        self.0.duration.observe(took.as_secs_f64());
    }

    /// A look came to nothing, however often it was tried.
    pub(crate) fn looked_in_vain(&self) {
        self.0.cycles.get_or_create(&ERROR).inc();
    }

    pub(crate) fn looked(&self, active: usize, report: &Report) {
        let outcome = if report.errors.is_empty() { SUCCESS } else { ERROR };
        self.0.cycles.get_or_create(&outcome).inc();
        self.0.active.set(i64::try_from(active).unwrap_or(i64::MAX));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        self.0.refreshed.set(now.unwrap_or_default().as_secs_f64());
    }

    /// The page.
    #[cfg(test)]
    pub(crate) fn page(&self) -> String {
        self.0.registry.encode()
    }

    /// Serves them in the clear: nothing is secret about them.
    pub(crate) async fn serve(self, listener: TcpListener, drain: Watch) {
        let page = move || self.0.registry.encode();
        mk8s_net::metrics::serve(listener, drain, OPENMETRICS_CONTENT_TYPE, page).await;
    }
}

/// Binds the port of metrics on all addresses.
pub(crate) fn bind(port: u16) -> anyhow::Result<TcpListener> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    let bound = listen::bind((Ipv6Addr::UNSPECIFIED, port).into())
        .or_else(|_| listen::bind((Ipv4Addr::UNSPECIFIED, port).into()))?;
    Ok(TcpListener::from_std(bound)?)
}
