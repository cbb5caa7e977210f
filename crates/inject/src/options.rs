//! What a sidecar does beyond its duty: so many requests at most, a cache, traces, custom resources. Each is a setting, an
//! annotation, and a variable of the sidecar.

use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::contract::*;

/// All of them; none is on by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Options {
    /// Requests a second that the pod may make on average.
    pub qps: Option<NonZeroU32>,
    /// Requests that it may make at once; twice `qps` if this is unset, and nothing without `qps`.
    pub burst: Option<NonZeroU32>,
    /// How long GETs are answered from memory, in seconds.
    pub cache_seconds: Option<NonZeroU16>,
    /// The collector that spans are sent to: `http://HOST:PORT`, OTLP over gRPC.
    pub otlp_endpoint: Option<Endpoint>,
    /// Whether clusters and routes are read from custom resources in the pod's namespace.
    pub custom_resources: bool,
}

/// The URL of a collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(String);

impl Options {
    /// Variables of the sidecar, in a fixed order.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = Vec::new();
        let mut set = |name, value: Option<String>| variables.extend(value.map(|value| (name, value)));
        set(QPS_VARIABLE, self.qps.map(|qps| qps.to_string()));
        set(
            BURST_VARIABLE,
            self.burst
                .filter(|_| self.qps.is_some())
                .map(|burst| burst.to_string()),
        );
        set(
            CACHE_SECONDS_VARIABLE,
            self.cache_seconds.map(|seconds| seconds.to_string()),
        );
        set(
            OTLP_ENDPOINT_VARIABLE,
            self.otlp_endpoint.as_ref().map(|endpoint| endpoint.0.clone()),
        );
        set(
            CUSTOM_RESOURCES_VARIABLE,
            self.custom_resources.then(|| "true".to_owned()),
        );
        variables
    }
}

impl std::str::FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").unwrap_or_default();
        // "$" would be expanded by the kubelet.
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == '$';
        if rest.is_empty() || text.len() > 1024 || text.contains(is_odd) {
            return Err("is no collector; write it like http://collector.observability:4317".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|problem| format!("{text:?} {problem}"))
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.0
    }
}
