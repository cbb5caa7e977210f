//! The mutator that brings secrets into pods which ask for them.

use std::time::Instant;

use mk8s_gotemplate::Template;
use mk8s_inject::{
    Outcome,
    secrets::{self, SecretsSettings},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};
use serde_json::Value;

use crate::{
    admission::{Change, Mutator},
    review::Refusal,
};

/// Pods with the annotation `keeper.security/inject: "true"` get their secrets.
pub(crate) struct Secrets {
    settings: SecretsSettings,
    metrics: SecretsMetrics,
}

/// What is counted, under the names that Keeper's own injector has.
#[derive(Clone, Debug)]
pub(crate) struct SecretsMetrics {
    mutations: Family<Labels, Counter>,
    duration: Histogram,
    injected: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    status: &'static str,
}

const SUCCESS: Labels = Labels { status: "success" };
const ERROR: Labels = Labels { status: "error" };

impl SecretsMetrics {
    /// Registers them.
    pub(crate) fn register(&self, registry: &mut mk8s_telemetry::Metrics) {
        registry.register(
            "keeper_injector_mutations",
            "Pods that asked for secrets",
            self.mutations.clone(),
        );
        registry.register(
            "keeper_injector_mutation_duration_seconds",
            "How long it took to put what they asked for into them",
            self.duration.clone(),
        );
        registry.register(
            "keeper_injector_secrets_injected",
            "Secrets and folders that pods asked for",
            self.injected.clone(),
        );
    }
}

impl Default for SecretsMetrics {
    fn default() -> Self {
        let mutations = Family::<Labels, Counter>::default();
        for labels in [SUCCESS, ERROR] {
            let _ = mutations.get_or_create(&labels);
        }
        Self {
            mutations,
            duration: Histogram::new([0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05]),
            injected: Counter::default(),
        }
    }
}

impl Secrets {
    pub(crate) fn new(settings: SecretsSettings, metrics: SecretsMetrics) -> Self {
        Self { settings, metrics }
    }
}

impl Mutator for Secrets {
    fn name(&self) -> &'static str {
        "keeper-secrets"
    }

    fn mutate(&self, pod: &Value, namespace: &str) -> Result<Change, Refusal> {
        // Unknown and misspelt values of the annotation are warned of by the contract itself.
        if !secrets::mentions(pod) {
            return Ok(Change::NotAsked);
        }
        let started = Instant::now();
        let outcome = secrets::inject(pod, namespace, &self.settings, &parse);
        if secrets::is_asked(pod) {
            self.metrics.duration.observe(started.elapsed().as_secs_f64());
            let labels = if outcome.is_ok() { SUCCESS } else { ERROR };
            self.metrics.mutations.get_or_create(&labels).inc();
        }
        match outcome {
            Ok(Outcome::Inject(injection)) => {
                if !injection.patch.is_empty() {
                    self.metrics.injected.inc_by(secrets::count(pod));
                }
                Ok(Change::Patch {
                    operations: injection.patch.0,
                    warnings: injection.warnings,
                })
            }
            Ok(Outcome::Skip { reason }) => Ok(Change::Skip { reason }),
            Err(refused) => Err(Refusal::invalid(refused.to_string())),
        }
    }
}

/// Whether a template can be parsed, so that a pod is refused rather than its containers wait.
fn parse(source: &str) -> Result<(), String> {
    Template::parse("template", source).map(drop).map_err(|error| {
        format!(
            "can't be parsed: {}:{}: {}",
            error.line, error.column, error.problem
        )
    })
}
