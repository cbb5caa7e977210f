//! The mutator that puts the API proxy into pods which ask for it.

use mk8s_inject::{Outcome, Settings, Stage, contract};
use serde_json::Value;

use crate::{
    admission::{Change, Mutator},
    review::Refusal,
};

/// Pods with the label `mca.k8s.io/inject: "true"` get `mca-proxy`.
pub(crate) struct ApiProxy {
    settings: Settings,
}

impl ApiProxy {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Mutator for ApiProxy {
    fn name(&self) -> &'static str {
        "mca-proxy"
    }

    fn mutate(&self, pod: &Value, _namespace: &str) -> Result<Change, Refusal> {
        // The selector of the configuration says the same, and whoever wrote it may have left it out.
        if pod["metadata"]["labels"][contract::INJECT_LABEL] != "true" {
            return Ok(Change::NotAsked);
        }
        match mk8s_inject::inject_at(Stage::Admission, pod, &self.settings) {
            Ok(Outcome::Inject(injection)) => Ok(Change::Patch {
                operations: injection.patch.0,
                warnings: injection.warnings,
            }),
            Ok(Outcome::Skip { reason }) => Ok(Change::Skip { reason }),
            Err(refused) => Err(Refusal::invalid(refused.to_string())),
        }
    }
}
