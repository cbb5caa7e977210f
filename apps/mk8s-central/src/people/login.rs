//! Signing in and out.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
};
use http::StatusCode;
use mk8s_authn::{LoginError, RefreshError, TokenPair};
use mk8s_net::problem::Problem;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::people::{
    People,
    asker::Asker,
    failure::{Failure, away, unreadable},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    email: String,
    password: SecretString,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    refresh_token: SecretString,
}

/// `POST /auth/login`
pub(super) async fn login(
    State(people): State<Arc<People>>,
    Extension(asker): Extension<Asker>,
    body: Result<Json<Credentials>, JsonRejection>,
) -> Result<Json<TokenPair>, Failure> {
    let Json(Credentials { email, password }) = body.map_err(unreadable)?;
    let pair = people
        .logins
        .login(&email, password, asker.source)
        .await
        .map_err(|why| {
            tracing::warn!(source = %asker.source, %why, "login refused");
            login_problem(&why)
        })?;
    Ok(Json(pair))
}

/// `POST /auth/refresh`
pub(super) async fn refresh(
    State(people): State<Arc<People>>,
    body: Result<Json<Refresh>, JsonRejection>,
) -> Result<Json<TokenPair>, Failure> {
    let Json(Refresh { refresh_token }) = body.map_err(unreadable)?;
    let refreshed = people
        .logins
        .refresh(secrecy::ExposeSecret::expose_secret(&refresh_token))
        .await;
    let pair = refreshed.map_err(|why| refresh_problem(&why))?;
    // A reuse has just ended a session: this replica should know at once.
    Ok(Json(pair))
}

/// `POST /auth/logout`
pub(super) async fn logout(
    State(people): State<Arc<People>>,
    body: Result<Json<Refresh>, JsonRejection>,
) -> Result<StatusCode, Failure> {
    let Json(Refresh { refresh_token }) = body.map_err(unreadable)?;
    people
        .logins
        .logout(secrecy::ExposeSecret::expose_secret(&refresh_token))
        .await
        .map_err(|_| away())?;
    people.refresh_access().await;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
pub(super) struct WhoAmI {
    email: String,
    roles: Vec<String>,
    expires_at: String,
    clusters: Vec<ClusterPermissions>,
}

#[derive(Serialize)]
struct ClusterPermissions {
    name: String,
    permissions: Vec<String>,
}

/// `GET /auth/whoami`
pub(super) async fn whoami(
    State(people): State<Arc<People>>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<WhoAmI>, Failure> {
    let person = asker.person()?;
    let user = person.token.user_id;
    let clusters = people
        .registry
        .all()
        .into_iter()
        .filter(|entry| people.access.may_see(user, &entry.name));
    Ok(Json(WhoAmI {
        email: person.identity.user().to_owned(),
        roles: people
            .access
            .roles(user)
            .iter()
            .map(ToString::to_string)
            .collect(),
        expires_at: format!("{:.0}", person.token.expires_at),
        clusters: clusters
            .map(|entry| ClusterPermissions {
                name: entry.name.to_string(),
                permissions: people
                    .access
                    .describe(user, &entry.name)
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            })
            .collect(),
    }))
}

impl People {
    /// Takes over at once what this replica itself has just written, and whatever else moved the version: nobody else will see
    /// it move.
    pub(super) async fn refresh_access(&self) {
        let refreshed = async {
            if self.access.refresh().await? {
                self.registry.refresh().await?;
            }
            Ok::<_, mk8s_store::StoreError>(())
        };
        if let Err(error) = refreshed.await {
            tracing::warn!(%error, "can't read the users anew; the next round will");
        }
    }
}

fn login_problem(why: &LoginError) -> Problem {
    match why {
        LoginError::WrongCredentials => Problem::new(StatusCode::UNAUTHORIZED, why.to_string()),
        LoginError::Disabled => Problem::new(StatusCode::FORBIDDEN, why.to_string()),
        LoginError::Limited { retry_after } => Problem::new(StatusCode::TOO_MANY_REQUESTS, why.to_string())
            .retry_after(retry_after.as_secs().max(1)),
        LoginError::Busy | LoginError::Storage(_) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()).retry_after(2)
        }
        LoginError::Failed => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string()),
    }
}

fn refresh_problem(why: &RefreshError) -> Problem {
    match why {
        RefreshError::Disabled => Problem::new(StatusCode::FORBIDDEN, why.to_string()),
        RefreshError::Storage(_) | RefreshError::Failed => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()).retry_after(2)
        }
        _ => Problem::new(StatusCode::UNAUTHORIZED, why.to_string()).hint("run `mk8s login`"),
    }
}
