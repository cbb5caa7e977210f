//! How tools reach clusters: a trait for whoever knows the way, and on it what Kubernetes' API needs.
//!
//! Tools have no other way out. What a call may read is bounded here, in bytes; in time by the call itself.

mod changes;
mod discovery;
mod names;
mod objects;
mod upgrade;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use mk8s_model::ClusterName;
use mk8s_net::Body;
use serde_json::Value;

pub(crate) use changes::Done;
pub use discovery::{Discoveries, Discovery, Resource};
pub(crate) use discovery::{is_name, is_version};
pub(crate) use names::{UNRESERVED, check_name, check_namespace, query};
pub(crate) use objects::{Page, Selection};
pub use upgrade::{Bytestream, Upgraded};
pub(crate) use upgrade::{Frames, channels};

use crate::{
    error::ToolError,
    guard::{Guard, Refusal, Warrant},
    plan::Wire,
    principal::{Call, Principal},
};

/// A cluster that somebody may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCluster {
    /// How they name it.
    pub name: ClusterName,
    /// Whether it is meant where no cluster is named.
    pub is_default: bool,
    /// What is known of it without asking it: where it comes from.
    pub about: Option<String>,
}

/// Which clusters are wanted; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterFilter {
    /// Of that provider: `aws`.
    pub provider: Option<String>,
    /// With such labels, as a selector of Kubernetes says it. Nobody has checked it.
    pub labels: Option<String>,
}

/// On an answer of [`Clusters::send`]: there is no such cluster, or none for this user, or no way to it for them. Which of these it is
/// isn't told.
#[derive(Clone, Copy, Debug)]
pub struct NoSuchCluster;

/// Which clusters there are for whom, and the way to them.
#[async_trait]
pub trait Clusters: Send + Sync + 'static {
    /// Those that the principal may name, by name.
    ///
    /// # Errors
    /// If that can't be found out now.
    async fn list(&self, principal: &Principal) -> Result<Vec<KnownCluster>, ToolError>;

    /// Those of them that are wanted.
    ///
    /// # Errors
    /// If that can't be found out now, or nobody knows of providers and labels.
    async fn select(
        &self,
        principal: &Principal,
        filter: &ClusterFilter,
    ) -> Result<Vec<KnownCluster>, ToolError> {
        if *filter != ClusterFilter::default() {
            return Err(ToolError::arguments(
                "these clusters have no provider and no labels: leave out \"provider\" and \"labelSelector\"",
            ));
        }
        self.list(principal).await
    }

    /// The one that is meant: the one of that name, or without a name the default. Whoever knows it without listing all says it so.
    ///
    /// # Errors
    /// If there is none, or none for the principal, or that can't be found out now.
    async fn choose(&self, principal: &Principal, asked: Option<&str>) -> Result<ClusterName, ToolError> {
        choose(&self.list(principal).await?, asked)
    }

    /// Sends a request in the principal's name. What goes wrong on the way is a `Status` answer like the cluster's own.
    async fn send(&self, call: &Call, cluster: &ClusterName, request: Request<Body>) -> Response<Body>;

    /// Sends a request to switch to a WebSocket in the principal's name: it has all headers of one but `Connection` and `Upgrade`.
    ///
    /// # Errors
    /// Whatever was answered instead.
    async fn upgrade(
        &self,
        call: &Call,
        cluster: &ClusterName,
        request: Request<()>,
    ) -> Result<Upgraded, Response<Body>> {
        let _ = (call, cluster, request);
        let status = serde_json::json!({"kind": "Status", "code": 501, "reason": "NotImplemented",
            "message": "there is no connection into pods on the way to this cluster"});
        let mut response = Response::new(Body::full(status.to_string()));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        Err(response)
    }
}

/// The same request once more, for whoever knows another way, if it only reads: what has a body isn't read twice.
#[must_use]
pub fn again(request: &Request<Body>) -> Option<Request<Body>> {
    (request.method() == Method::GET).then(|| {
        let mut again = Request::new(Body::empty());
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        again
    })
}

/// One cluster, for one call.
#[derive(Clone)]
pub struct Cluster {
    clusters: Arc<dyn Clusters>,
    discoveries: Discoveries,
    guard: Arc<Guard>,
    call: Arc<Call>,
    name: ClusterName,
    read_bytes: usize,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.name).finish()
    }
}

/// Why a cluster gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// It wasn't asked, because nobody may.
    #[error(transparent)]
    NotAsked(#[from] Refusal),
    /// There is no such cluster, or it isn't for this user, or there is no way to it for them: nobody is told which.
    #[error("{}", crate::error::NO_CLUSTER)]
    NoCluster,
    /// It refused. `message` is its own.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// `Forbidden`, `NotFound`, …
        reason: String,
        /// What it said.
        message: String,
    },
    /// More than is read.
    #[error(
        "the answer has more than {} MiB: name one object, or narrow it by a namespace, a selector or a smaller limit",
        .0 >> 20
    )]
    TooLarge(usize),
    /// The answer broke off.
    #[error("the cluster's answer broke off: {0}")]
    Broken(String),
    /// It isn't what the API promises.
    #[error("the cluster's answer can't be read: {0}")]
    Unreadable(String),
}

impl Cluster {
    /// `read_bytes`: what is read of one answer at most.
    pub(crate) fn new(
        clusters: Arc<dyn Clusters>,
        discoveries: Discoveries,
        guard: Arc<Guard>,
        call: Arc<Call>,
        name: ClusterName,
        read_bytes: usize,
    ) -> Self {
        Self {
            clusters,
            discoveries,
            guard,
            call,
            name,
            read_bytes,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// Reads an object or a list.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.json(Method::GET, path, "application/json", None).await
    }

    /// Asks for an answer of another kind than plain JSON objects.
    pub(crate) async fn get_as(&self, path: &str, accept: &'static str) -> Result<Value, ApiError> {
        self.json(Method::GET, path, accept, None).await
    }

    /// Begins an answer that goes on: a watch's.
    pub(crate) async fn stream(&self, path: &str, accept: &'static str) -> Result<Body, ApiError> {
        let response = self.send(Method::GET, path, accept, None).await?;
        Ok(response.into_body())
    }

    /// Creates an object: for reviews, whose answer is what they are for.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.json(Method::POST, path, "application/json", Some(object))
            .await
    }

    /// Reads text, the end of it if it has more than `most` bytes. Says how many bytes there were before.
    pub(crate) async fn tail(&self, path: &str, most: usize) -> Result<(Vec<u8>, usize), ApiError> {
        let response = self.send(Method::GET, path, "*/*", None).await?;
        let mut body = response.into_body();
        let (mut kept, mut left_out) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ApiError::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            kept.extend_from_slice(&data);
            if kept.len() > 2 * most {
                let surplus = kept.len() - most;
                kept.drain(..surplus);
                left_out += surplus;
            }
        }
        if kept.len() > most {
            let surplus = kept.len() - most;
            kept.drain(..surplus);
            left_out += surplus;
        }
        Ok((kept, left_out))
    }

    /// What is there to ask for.
    pub(crate) async fn discovery(&self) -> Result<Arc<Discovery>, ApiError> {
        self.discoveries.of(self, &self.call.principal.identity).await
    }

    async fn json(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let response = self.send(method, path, accept, body).await?;
        let bytes = read(response.into_body(), self.read_bytes).await?;
        serde_json::from_slice(&bytes).map_err(|error| ApiError::Unreadable(error.to_string()))
    }

    /// The answer, if it is a good one.
    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<&Value>,
    ) -> Result<Response<Body>, ApiError> {
        let wire = Wire {
            method,
            path: path.to_owned(),
            content_type: body.map(|_| "application/json"),
            body: body.map(Value::to_string),
            of: None,
        };
        self.send_wire(&wire, accept, Warrant::Reading).await
    }

    /// The one way out: past the guard, with no headers but ours.
    async fn send_wire(
        &self,
        wire: &Wire,
        accept: &'static str,
        warrant: Warrant<'_>,
    ) -> Result<Response<Body>, ApiError> {
        let request = self.request(wire, accept, warrant)?;
        let request = request.map(|()| match &wire.body {
            Some(body) => Body::full(body.clone()),
            None => Body::empty(),
        });
        let response = self.clusters.send(&self.call, &self.name, request).await;
        if response.status().is_success() {
            return Ok(response);
        }
        if response.extensions().get::<NoSuchCluster>().is_some() {
            return Err(ApiError::NoCluster);
        }
        Err(refused(response).await)
    }

    /// The head of a request that may be sent.
    fn request(
        &self,
        wire: &Wire,
        accept: &'static str,
        warrant: Warrant<'_>,
    ) -> Result<Request<()>, ApiError> {
        let mut request = Request::new(());
        *request.method_mut() = wire.method.clone();
        *request.uri_mut() = wire
            .path
            .parse()
            .map_err(|error| ApiError::Unreadable(format!("{:?} is no path: {error}", wire.path)))?;
        self.guard.check(&self.name, wire, request.uri(), warrant)?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("mk8s-mcp/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(content_type) = wire.content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Ok(request)
    }
}

/// A cluster that isn't known and one that isn't for this user are told alike.
fn choose(known: &[KnownCluster], asked: Option<&str>) -> Result<ClusterName, ToolError> {
    match asked {
        Some(asked) => known
            .iter()
            .find(|known| known.name.as_str() == asked)
            .map(|known| known.name.clone())
            .ok_or_else(|| {
                ToolError::NoCluster(asked.chars().filter(|c| !c.is_control()).take(80).collect())
            }),
        None => match (known.iter().find(|known| known.is_default), known) {
            (Some(default), _) => Ok(default.name.clone()),
            (None, [only]) => Ok(only.name.clone()),
            (None, []) => Err(ToolError::Denied("there is no cluster for you".to_owned())),
            (None, _) => Err(ToolError::Arguments(format!(
                "there are {} clusters: name one in \"cluster\" (the tool \"clusters\" lists them)",
                known.len()
            ))),
        },
    }
}

/// Reads a body whole.
async fn read(mut body: Body, most: usize) -> Result<Bytes, ApiError> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if all.len() + data.len() > most {
            return Err(ApiError::TooLarge(most));
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

/// What a refusal says: a `Status`, or whatever somebody on the way wrote.
async fn refused(response: Response<Body>) -> ApiError {
    const LONGEST: usize = 64 << 10;
    let status = response.status();
    let body = read(response.into_body(), LONGEST).await.unwrap_or_default();
    let object: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |key: &str| object[key].as_str().map(str::to_owned);
    ApiError::Refused {
        code: status.as_u16(),
        reason: text("reason").unwrap_or_else(|| reason(status)),
        message: text("message").unwrap_or_else(|| format!("the cluster answered {status}")),
    }
}

fn reason(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or("Unknown").replace(' ', "")
}
