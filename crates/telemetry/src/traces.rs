//! Spans for OpenTelemetry: one for each request that is part of a trace, sent to a collector over OTLP (gRPC).
//!
//! Traces are continued as W3C Trace Context says (<https://www.w3.org/TR/trace-context/>): who asks us decides whether a
//! trace is recorded; of what nobody traces yet, a share may be.

use std::marker::PhantomData;

use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};

/// Where spans go.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Why no spans are sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// Not an address that is spoken to in the clear.
    #[error(
        "the collector {0:?} can't be used: give http://HOST:PORT, a collector on the node or in the cluster (OTLP over gRPC)"
    )]
    Endpoint(String),
    /// The exporter can't be made.
    #[error("can't send traces: {0}")]
    Exporter(String),
}

/// One request's span; it ends when this is dropped.
#[derive(Debug)]
pub struct RequestSpan(Context);

impl Traces {
    /// Sends spans to a collector, `http://HOST:PORT`. `root_share`, between 0 and 1, is how many of the requests that come
    /// without a trace begin one. Must be called in a tokio runtime, which then sends.
    ///
    /// # Errors
    /// [`TracesError`] if the address can't be used.
    pub fn to_collector(
        endpoint: &str,
        service: &'static str,
        version: &'static str,
        root_share: f64,
    ) -> Result<Self, TracesError> {
        if !endpoint.starts_with("http://") {
            return Err(TracesError::Endpoint(endpoint.to_owned()));
        }
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .map_err(|why| TracesError::Exporter(why.to_string()))?;
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", version))
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(root_share)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        Ok(Self {
            tracer: provider.tracer(service),
            provider,
        })
    }

    /// Begins a request's span as part of the trace that its headers name, and puts itself into those headers, for whoever is
    /// asked next. `header` reads one, `set` writes one.
    pub fn begin<'h>(
        &self,
        name: String,
        header: impl Fn(&str) -> Option<&'h str>,
        set: impl FnMut(&str, String),
        attributes: impl IntoIterator<Item = (&'static str, String)>,
    ) -> RequestSpan {
        let propagator = TraceContextPropagator::new();
        let parent = propagator.extract_with_context(&Context::new(), &Reading(header, PhantomData));
        let attributes = attributes
            .into_iter()
            .map(|(key, value)| KeyValue::new(key, value));
        let span = self
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &parent);
        let context = parent.with_span(span);
        propagator.inject_context(&context, &mut Writing(set));
        RequestSpan(context)
    }

    /// Sends what is left. Call it last; it blocks.
    pub fn finish(self) {
        // An error says that a collector is away; the spans are lost then, and nothing else.
        let _ = self.provider.shutdown();
    }
}

impl RequestSpan {
    /// Notes the answer's status code, and ends the span.
    pub fn answered(self, code: u16) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(code)));
        if code >= 500 {
            span.set_status(Status::error(""));
        }
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        self.0.span().end();
    }
}

/// The lifetime is that of the headers, which outlive it.
struct Reading<'h, F>(F, PhantomData<&'h str>);

impl<'h, F: Fn(&str) -> Option<&'h str>> Extractor for Reading<'h, F> {
    fn get(&self, key: &str) -> Option<&str> {
        (self.0)(key)
    }

    fn keys(&self) -> Vec<&str> {
        // Asked for by name alone.
        Vec::new()
    }
}

struct Writing<F>(F);

impl<F: FnMut(&str, String)> Injector for Writing<F> {
    fn set(&mut self, key: &str, value: String) {
        (self.0)(key, value);
    }
}
