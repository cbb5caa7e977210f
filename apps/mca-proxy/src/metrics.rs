//! What the sidecar counts, and the page that shows it. Labels are bounded: a client can make up resources, and so only so
//! many are told apart.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt::{self, Write as _},
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicI64},
    time::Duration,
};

use http::{Method, StatusCode};
use mk8s_cache::Cache;
use mk8s_model::KubeRequest;
use mk8s_net::drain::Watch;
use mk8s_telemetry::OPENMETRICS_CONTENT_TYPE;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
};
use tokio::net::TcpListener;

/// Combinations of method, resource and cluster that are told apart.
const MAX_SERIES: usize = 500;
/// What else there is.
const OTHER: &str = "other";
/// Requests for no resource: discovery, versions.
const NON_RESOURCE: &str = "none";

type Latency = Family<SeriesLabels, Histogram, fn() -> Histogram>;

/// All counters.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: mk8s_telemetry::Metrics,
    requests: Family<RequestLabels, Counter>,
    latency: Latency,
    series: RwLock<HashMap<String, Arc<Series>>>,
    connections: Gauge<i64, AtomicI64>,
    /// Requests without the pod's token.
    pub(crate) unauthorized: Counter,
    /// Requests beyond the limit.
    pub(crate) limited: Counter,
    /// Whether the newest clusters and routes are in force: 1 or 0.
    pub(crate) routes_current: Gauge<i64, AtomicI64>,
}

/// The counters of one method, resource and cluster.
#[derive(Debug)]
pub(crate) struct Series {
    labels: SeriesLabels,
    latency: Histogram,
    /// By status code; few occur.
    codes: RwLock<Vec<(u16, Counter)>>,
}

impl Series {
    /// What a span says of such a request.
    pub(crate) fn attributes(&self) -> [(&'static str, String); 3] {
        let labels = &self.labels;
        [
            ("http.request.method", labels.method.clone()),
            ("k8s.resource", labels.resource.clone()),
            ("k8s.cluster.name", labels.cluster.clone()),
        ]
    }
}

/// As a span is called: few names, and no object's.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.labels.method, self.labels.resource)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SeriesLabels {
    method: String,
    resource: String,
    cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    resource: String,
    cluster: String,
    code: u16,
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
    pub(crate) fn new(cache: Option<Cache>) -> Arc<Self> {
        let mut registry = mk8s_telemetry::Metrics::new("mca-proxy", env!("CARGO_PKG_VERSION"));
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("mca_requests", "Requests answered", requests.clone());
        let latency = Latency::new_with_constructor(|| {
            Histogram::new([
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
            ])
        });
        registry.register(
            "mca_request_duration_seconds",
            "From a request's head to its answer's head; streams go on after that",
            latency.clone(),
        );
        let connections = Gauge::<i64, AtomicI64>::default();
        registry.register(
            "mca_connections",
            "Connections of this pod's containers",
            connections.clone(),
        );
        let unauthorized = Counter::default();
        registry.register(
            "mca_unauthorized",
            "Requests without this pod's token",
            unauthorized.clone(),
        );
        let limited = Counter::default();
        registry.register(
            "mca_limited",
            "Requests refused by the rate limit",
            limited.clone(),
        );
        let routes_current = Gauge::<i64, AtomicI64>::default();
        registry.register(
            "mca_routes_current",
            "1 if the newest clusters and routes are in force, 0 if they are wrong and older ones are",
            routes_current.clone(),
        );
        if let Some(cache) = cache {
            registry.registry().register_collector(Box::new(Cached(cache)));
        }
        Arc::new(Self {
            registry,
            requests,
            latency,
            series: RwLock::default(),
            connections,
            unauthorized,
            limited,
            routes_current,
        })
    }

    /// Counts a connection as open.
    pub(crate) fn connected(&self) -> Open {
        self.connections.inc();
        Open(self.connections.clone())
    }

    /// The counters for this kind of request.
    pub(crate) fn series(
        &self,
        method: &Method,
        request: Option<&KubeRequest<'_>>,
        cluster: &str,
    ) -> Arc<Series> {
        thread_local! {
            static KEY: RefCell<String> = const { RefCell::new(String::new()) };
        }
        KEY.with_borrow_mut(|key| {
            key.clear();
            let method = known(method);
            // Writing to a String can't fail. Nothing in a method or a cluster's name is a space.
            let _ = write!(key, "{method} {cluster} ");
            let prefix = key.len();
            resource(request, key);
            let read = self.series.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(series) = read.get(key.as_str()) {
                return series.clone();
            }
            let is_full = read.len() >= MAX_SERIES;
            drop(read);
            if is_full {
                key.truncate(prefix);
                key.push_str(OTHER);
            }
            let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
            let made = series.entry(key.clone()).or_insert_with(|| {
                let labels = SeriesLabels {
                    method: method.to_owned(),
                    resource: key[prefix..].to_owned(),
                    cluster: cluster.to_owned(),
                };
                Arc::new(Series {
                    latency: self.latency.get_or_create(&labels).clone(),
                    labels,
                    codes: RwLock::default(),
                })
            });
            made.clone()
        })
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, series: &Series, status: StatusCode, after: Duration) {
        series.latency.observe(after.as_secs_f64());
        let code = status.as_u16();
        let codes = series.codes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = codes.iter().find(|(there, _)| *there == code) {
            counter.inc();
            return;
        }
        drop(codes);
        let labels = RequestLabels {
            method: series.labels.method.clone(),
            resource: series.labels.resource.clone(),
            cluster: series.labels.cluster.clone(),
            code,
        };
        let counter = self.requests.get_or_create(&labels).clone();
        counter.inc();
        let mut codes = series.codes.write().unwrap_or_else(PoisonError::into_inner);
        if !codes.iter().any(|(there, _)| *there == code) {
            codes.push((code, counter));
        }
    }

    /// Serves `/metrics` in the clear to whoever reaches the port: no label names an object, a namespace or a person.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, drain: Watch) {
        let page = move || self.encode();
        mk8s_net::metrics::serve(listener, drain, OPENMETRICS_CONTENT_TYPE, page).await;
    }

    fn encode(&self) -> String {
        self.registry.encode()
    }
}

/// What the cache counts itself, read at the moment of the scrape.
#[derive(Debug)]
struct Cached(Cache);

impl Collector for Cached {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = self.0.counters();
        let counters = [
            ("mca_cache_hits", "Requests answered from memory", now.hits),
            (
                "mca_cache_misses",
                "Requests that could have been, and were asked",
                now.misses,
            ),
            (
                "mca_cache_invalidated",
                "Answers forgotten before their time",
                now.invalidated,
            ),
        ];
        for (name, help, value) in counters {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let gauges = [
            ("mca_cache_entries", "Answers kept", now.entries),
            ("mca_cache_bytes", "Memory that they take", now.bytes),
            (
                "mca_cache_watches",
                "Watches that say when to forget",
                now.watches,
            ),
        ];
        for (name, help, value) in gauges {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}

/// Where metrics are served: every address of the pod, for a Prometheus elsewhere.
pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port))
}

/// `deployments.apps/scale`, as kubectl writes it.
fn resource(request: Option<&KubeRequest<'_>>, into: &mut String) {
    let Some(KubeRequest::Resource(resource)) = request else {
        into.push_str(NON_RESOURCE);
        return;
    };
    into.push_str(&resource.resource);
    if !resource.group.is_empty() {
        into.push('.');
        into.push_str(&resource.group);
    }
    if let Some(subresource) = &resource.subresource {
        into.push('/');
        into.push_str(subresource);
    }
}

fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(metrics: &Metrics, method: &Method, path: &str, cluster: &str, status: u16) {
        let uri = path.parse().expect("a path");
        let request = KubeRequest::classify(method, &uri).ok();
        let series = metrics.series(method, request.as_ref(), cluster);
        let status = StatusCode::from_u16(status).expect("a status");
        metrics.answered(&series, status, Duration::from_millis(3));
    }

    #[test]
    fn requests_are_told_apart_by_method_resource_code_and_cluster() {
        let metrics = Metrics::new(None);
        count(
            &metrics,
            &Method::GET,
            "/api/v1/namespaces/a/pods/p",
            "local",
            200,
        );
        count(
            &metrics,
            &Method::GET,
            "/api/v1/namespaces/b/pods/q",
            "local",
            200,
        );
        count(
            &metrics,
            &Method::GET,
            "/api/v1/namespaces/b/pods/q",
            "local",
            404,
        );
        count(
            &metrics,
            &Method::PATCH,
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            "west",
            200,
        );
        count(&metrics, &Method::GET, "/version", "local", 200);
        let page = metrics.encode();
        for line in [
            r#"mca_requests_total{method="GET",resource="pods",cluster="local",code="200"} 2"#,
            r#"mca_requests_total{method="GET",resource="pods",cluster="local",code="404"} 1"#,
            r#"mca_requests_total{method="PATCH",resource="deployments.apps/scale",cluster="west",code="200"} 1"#,
            r#"mca_requests_total{method="GET",resource="none",cluster="local",code="200"} 1"#,
            r#"mca_request_duration_seconds_count{method="GET",resource="pods",cluster="local"} 3"#,
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }

    #[test]
    fn resources_that_a_client_makes_up_dont_grow_the_page() {
        let metrics = Metrics::new(None);
        for number in 0..5_000 {
            count(
                &metrics,
                &Method::GET,
                &format!("/api/v1/made-up-{number}"),
                "local",
                404,
            );
        }
        let page = metrics.encode();
        let lines = page
            .lines()
            .filter(|line| line.starts_with("mca_requests_total{"))
            .count();
        assert_eq!(lines, MAX_SERIES + 1);
        let other = format!(
            r#"resource="other",cluster="local",code="404"}} {}"#,
            5_000 - MAX_SERIES
        );
        assert!(page.contains(&other), "{other}");
    }

    #[test]
    fn a_connection_counts_for_as_long_as_it_is_open() {
        let metrics = Metrics::new(None);
        let open = metrics.connected();
        assert!(metrics.encode().contains("mca_connections 1"));
        drop(open);
        assert!(metrics.encode().contains("mca_connections 0"));
    }
}
