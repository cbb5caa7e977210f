//! Our own endpoints: who answers what. Every handler below gets a [`Person`] or refuses.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::State,
    routing::{get, post, put},
};
use http::{Request, Response, StatusCode, header};
use mk8s_net::{Body, problem::Problem, status::Status};
use serde::Serialize;
use tower::ServiceExt as _;

use crate::people::{NotAdmitted, People, Person, asker::Asker, exec, failure::Failure, login, users};

/// Answers one request.
pub(crate) async fn call(
    people: Arc<People>,
    request: Request<Body>,
    person: Option<Result<Person, NotAdmitted>>,
    source: IpAddr,
) -> Response<Body> {
    let asker = Asker::new(person, source);
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

async fn not_found(request: axum::extract::Request) -> Result<Failure, axum::response::Response> {
    let first = request.uri().path().split('/').nth(1).unwrap_or_default();
    if matches!(first, "api" | "apis" | "openapi" | "version") {
        // kubectl before 1.34 leaves the server's own path out with --raw (kubernetes#131165).
        let status = Status::not_found(
            "this is the gateway, and names no cluster: a cluster's API is below /k8s/clusters/NAME/ (kubectl before 1.34 \
             drops that with --raw: give the whole path, --raw /k8s/clusters/NAME/…)",
        );
        return Err(status.into_response().map(axum::body::Body::new));
    }
    Ok(Problem::new(StatusCode::NOT_FOUND, "there is no such endpoint")
        .hint("a cluster's API is below /k8s/clusters/NAME/")
        .into())
}

async fn wrong_method() -> Failure {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this endpoint has no such method").into()
}
