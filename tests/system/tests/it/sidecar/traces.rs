//! The traces of the pod's programs go on through the sidecar, to a collector that speaks OTLP.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use mk8s_testkit::wait;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tonic::{Request, Response, Status, transport::Server};

use super::{ALL, prepared_with};

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter();
        let spans = spans
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans);
        self.0.lock().expect("no poison").extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Serves until the test ends.
fn collect(collector: Collector) -> SocketAddr {
    let address = std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let service = TraceServiceServer::new(collector);
        runtime.block_on(Server::builder().add_service(service).serve(address))
    });
    address
}

#[test]
fn a_request_that_is_part_of_a_trace_becomes_a_span_of_it() {
    let collector = Collector::default();
    let address = collect(collector.clone());
    let (namespace, mut sidecar) = prepared_with(ALL);
    sidecar.set_variable("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}"));
    sidecar.start_again();
    let path = format!("/api/v1/namespaces/{}/configmaps/none", namespace.name());
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let sampled = format!("00-{trace}-b7ad6b7169203331-01");
    let unsampled = format!("00-{}-b7ad6b7169203331-00", trace.replace('0', "1"));
    sidecar.request("GET", &path, &[("traceparent", sampled.as_str())], b"");
    sidecar.request("GET", &path, &[("traceparent", unsampled.as_str())], b"");
    sidecar.request("GET", &path, &[], b"");
    let span = wait::within(Duration::from_secs(20), "the span", || {
        collector.0.lock().expect("no poison").first().cloned()
    });
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&span.trace_id), trace);
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
    assert_eq!(span.name, "GET configmaps");
    let attributes = format!("{:?}", span.attributes);
    for expected in [
        "http.response.status_code",
        "IntValue(404)",
        "k8s.cluster.name",
        "local",
    ] {
        assert!(attributes.contains(expected), "{attributes}");
    }
    assert!(
        !attributes.contains(namespace.name()) && !attributes.contains("none\""),
        "{attributes}"
    );
    // What nobody traces, and what its tracer doesn't record, isn't sent.
    sidecar.stop();
    assert_eq!(collector.0.lock().expect("no poison").len(), 1);
}
