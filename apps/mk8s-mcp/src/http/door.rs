//! The door: TLS where it is ours, who asks, and on to MCP. What else is here is for whoever looks after the server.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, combinators::BoxBody};
use hyper::body::Incoming;
use mk8s_mcp_core::{principal::Principal, server::Door as Vouches};
use mk8s_net::{
    Body,
    drain::Watch,
    serve::{self, Protocol},
};
use mk8s_oauth::{Challenge, ProtectedResource};
use mk8s_telemetry::{RequestSpan, Traces};
use mk8s_tls::ServerConfig;
use rmcp::{
    ServerHandler,
    model::Extensions,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use tokio::net::TcpStream;
use tracing::debug;

use super::{metrics::Metrics, people::People};

/// The largest request, in bytes: a manifest that is to be applied, at most.
const MAX_REQUEST: usize = 2 << 20;

/// The door. Cheap to clone.
pub(crate) struct Door<S>(Arc<Entrance<S>>);

impl<S> Clone for Door<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What the door is made of.
pub(crate) struct Entrance<S> {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) people: People,
    pub(crate) metadata: Option<ProtectedResource>,
    /// Where MCP is spoken.
    pub(crate) path: String,
    pub(crate) mcp: Mcp<S>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traces: Option<Arc<Traces>>,
}

/// MCP over HTTP: without sessions, so that any replica can answer any request.
pub(crate) type Mcp<S> = StreamableHttpService<S, NeverSessionManager>;

/// What this machine calls itself.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// MCP for requests to those hosts and from pages of those origins. Those of this machine are ours always: a page that it serves at our
/// port could only be our own.
pub(crate) fn mcp<S>(server: S, mut hosts: Vec<String>, mut origins: Vec<String>, port: u16) -> Mcp<S>
where
    S: ServerHandler + Clone + Sync,
{
    for name in OWN_NAMES {
        hosts.push(name.trim_matches(['[', ']']).to_owned());
        for scheme in ["http", "https"] {
            origins.push(format!("{scheme}://{name}:{port}"));
        }
    }
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .with_allowed_origins(origins)
        .enforce_origin_validation()
        .with_max_request_body_bytes(MAX_REQUEST);
    StreamableHttpService::new(move || Ok(server.clone()), Arc::default(), config)
}

/// Whom the door let in is in the request's own extensions.
pub(crate) struct LetIn;

impl Vouches for LetIn {
    fn principal(&self, request: &Extensions) -> Option<Principal> {
        let parts = request.get::<http::request::Parts>()?;
        parts.extensions.get::<Principal>().cloned()
    }
}

impl<S: ServerHandler + Clone + Sync> Door<S> {
    pub(crate) fn new(entrance: Entrance<S>) -> Self {
        Self(Arc::new(entrance))
    }

    /// Serves one connection.
    pub(crate) async fn serve(self, stream: TcpStream, peer: IpAddr, drain: Watch) {
        let _open = self.0.metrics.connected();
        let entrance = self.0.clone();
        let service = serve::answering(move |request| {
            let entrance = entrance.clone();
            async move { entrance.answer(peer, request).await }
        });
        match &self.0.tls {
            Some(tls) => {
                let Some(stream) = serve::tls(tls.clone(), stream).await else {
                    return;
                };
                let protocol = serve::negotiated(&stream);
                serve::connection(stream, protocol, service, drain).await;
            }
            None => serve::connection(stream, Protocol::Http1, service, drain).await,
        }
    }
}

impl<S: ServerHandler + Clone + Sync> Entrance<S> {
    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
        let started = Instant::now();
        let span = self.traces.as_deref().map(|traces| begin(traces, &request));
        let response = self.handle(peer, request).await;
        self.metrics
            .answers
            .count(response.status().as_u16(), started.elapsed());
        if let Some(span) = span {
            span.answered(response.status().as_u16());
        }
        response
    }

    async fn handle(&self, peer: IpAddr, mut request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if path == self.path {
            return match self.people.principal(request.headers(), peer).await {
                Ok(principal) => {
                    // It has been read, and is nobody's business further in.
                    request.headers_mut().remove(header::AUTHORIZATION);
                    request.extensions_mut().insert(principal);
                    match whole(request).await {
                        Ok(request) => self.mcp.handle(request).await.map(body),
                        Err(refused) => refused,
                    }
                }
                Err(challenge) => {
                    self.metrics.unauthorized.inc();
                    debug!(%peer, why = challenge.message, "nobody was let in");
                    challenged(*challenge)
                }
            };
        }
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match path {
            "/healthz" | "/livez" if is_read => said(StatusCode::OK, "ok"),
            "/readyz" if is_read => match self.people.objection().await {
                None => said(StatusCode::OK, "ok"),
                Some(why) => said(StatusCode::SERVICE_UNAVAILABLE, why),
            },
            path if is_read => match &self.metadata {
                Some(metadata) if metadata.paths().any(|known| known == path) => metadata_answer(metadata),
                _ => self.elsewhere(),
            },
            _ => self.elsewhere(),
        }
    }

    fn elsewhere(&self) -> Response<Body> {
        said(
            StatusCode::NOT_FOUND,
            format!("there is nothing here: MCP is spoken at {}\n", self.path),
        )
    }
}

/// A request with all of its body, which comes in time, and isn't large.
async fn whole(request: Request<Incoming>) -> Result<Request<Full<Bytes>>, Response<Body>> {
    let (parts, body) = request.into_parts();
    let read = Limited::new(body, MAX_REQUEST).collect();
    match tokio::time::timeout(serve::HEAD_TIMEOUT, read).await {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, Full::new(body.to_bytes()))),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(said(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a request may have {} KiB\n", MAX_REQUEST >> 10),
        )),
        Ok(Err(_)) => Err(said(StatusCode::BAD_REQUEST, "the request broke off\n")),
        Err(_) => Err(said(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the request took longer than {} s\n",
                serve::HEAD_TIMEOUT.as_secs()
            ),
        )),
    }
}

/// Public, and the same for everybody: pages of any origin may read how to sign in.
fn metadata_answer(metadata: &ProtectedResource) -> Response<Body> {
    let mut response = Response::new(Body::full(metadata.json()));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn challenged(challenge: Challenge) -> Response<Body> {
    let mut response = said(challenge.status, challenge.message);
    response.headers_mut().extend(challenge.headers);
    response
}

fn said(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

fn body(body: BoxBody<Bytes, Infallible>) -> Body {
    Body::boxed(body)
}

/// A span for a request. What a client calls its method is no name: only methods that MCP has become one.
fn begin(traces: &Traces, request: &Request<Incoming>) -> RequestSpan {
    const METHODS: [&str; 5] = [
        "tools/call",
        "tools/list",
        "resources/read",
        "resources/list",
        "server/discover",
    ];
    let method = HeaderName::from_static("mcp-method");
    let said = request
        .headers()
        .get(method)
        .and_then(|value| value.to_str().ok());
    let name = METHODS
        .into_iter()
        .find(|known| Some(*known) == said)
        .unwrap_or("request");
    traces.begin(
        name.to_owned(),
        |name| request.headers().get(name)?.to_str().ok(),
        |_, _| {},
        [],
    )
}
