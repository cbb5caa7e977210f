//! How our own endpoints say no.

use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use mk8s_net::problem::Problem;

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

/// A body that is no such JSON.
pub(super) fn unreadable(why: JsonRejection) -> Failure {
    Problem::new(why.status(), why.body_text()).into()
}

/// The database is away.
pub(super) fn away() -> Failure {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the gateway's database does not answer",
    )
    .retry_after(5)
    .into()
}
