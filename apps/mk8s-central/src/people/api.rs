//! Our own endpoints: who answers what. Every handler below gets a [`Person`] or refuses.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::State,
    routing::{get, post, put},
};
use http::{Request, Response, StatusCode, header};
use mk8s_net::{Body, problem::Problem};
use serde::Serialize;
use tower::ServiceExt as _;

use crate::people::{NotAdmitted, People, Person, exec, login, users};

/// A handler's failure.
pub(crate) struct Failure(pub(crate) Problem);

impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> axum::response::Response {
        self.0.into_response().map(axum::body::Body::new)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

/// Whoever asks, as the door found out.
#[derive(Clone)]
pub(crate) struct Asker {
    person: Option<Result<Person, String>>,
    pub(crate) source: IpAddr,
}

impl Asker {
    /// The person, if one is signed in.
    pub(crate) fn person(&self) -> Result<&Person, Failure> {
        match &self.person {
            Some(Ok(person)) => Ok(person),
            Some(Err(why)) => Err(Problem::new(StatusCode::UNAUTHORIZED, why.clone())
                .hint("run `mk8s login`")
                .into()),
            None => Err(Problem::new(StatusCode::UNAUTHORIZED, "nobody is signed in").into()),
        }
    }

    /// The person, if they administer the gateway.
    pub(crate) fn admin(&self, people: &People) -> Result<&Person, Failure> {
        let person = self.person()?;
        if people.access.is_admin(person.token.user_id) {
            return Ok(person);
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "only those with the role \"admin\" may do this",
        )
        .into())
    }
}

/// Answers one request.
pub(crate) async fn call(
    people: Arc<People>,
    request: Request<Body>,
    person: Option<Result<Person, NotAdmitted>>,
    source: IpAddr,
) -> Response<Body> {
    let asker = Asker {
        person: person.map(|p| p.map_err(|why| why.to_string())),
        source,
    };
    let router = Router::new()
        .route("/auth/login", post(login::login))
        .route("/auth/refresh", post(login::refresh))
        .route("/auth/logout", post(login::logout))
        .route("/auth/whoami", get(login::whoami))
        .route("/clusters", get(clusters))
        .route("/clusters/{id}/exec", post(exec::exec))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}/roles", put(users::set_roles))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/.well-known/jwks.json", get(jwks))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(asker))
        .with_state(people);
    match router.oneshot(request.map(axum::body::Body::new)).await {
        Ok(response) => response.map(Body::boxed),
        Err(never) => match never {},
    }
}

#[derive(Serialize)]
struct ClusterList {
    clusters: Vec<ClusterLine>,
}

#[derive(Serialize)]
struct ClusterLine {
    id: String,
    name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes_version: Option<String>,
}

/// `GET /clusters`: those that the person has a role on.
async fn clusters(
    State(people): State<Arc<People>>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<impl Serialize>, Failure> {
    let person = asker.person()?;
    let clusters = people.registry.all().into_iter();
    let visible = clusters.filter(|entry| people.access.may_see(person.token.user_id, &entry.name));
    let lines = visible.map(|entry| {
        let known = entry.known();
        ClusterLine {
            id: entry.id.to_string(),
            name: entry.name.to_string(),
            status: if entry.is_connected() {
                "connected"
            } else {
                "disconnected"
            },
            last_seen: known.last_seen.map(|at| format!("{at:.0}")),
            kubernetes_version: known.kubernetes_version,
        }
    });
    Ok(Json(ClusterList {
        clusters: lines.collect(),
    }))
}

/// `GET /readyz`: whether requests can be decided on and written down.
async fn ready(State(people): State<Arc<People>>) -> Result<&'static str, Failure> {
    match people.store.version().await {
        Ok(_) => Ok("ok"),
        Err(why) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()).into()),
    }
}

async fn metrics(State(people): State<Arc<People>>) -> impl axum::response::IntoResponse {
    (
        [(header::CONTENT_TYPE, mk8s_telemetry::OPENMETRICS_CONTENT_TYPE)],
        people.metrics.encode(),
    )
}

/// `GET /.well-known/jwks.json`: the public keys of our tokens (RFC 7517).
async fn jwks(State(people): State<Arc<People>>) -> impl axum::response::IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/jwk-set+json")],
        people.jwks.to_string(),
    )
}

async fn not_found() -> Failure {
    Problem::new(StatusCode::NOT_FOUND, "there is no such endpoint")
        .hint("a cluster's API is below /k8s/clusters/NAME/")
        .into()
}

async fn wrong_method() -> Failure {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this endpoint has no such method").into()
}
