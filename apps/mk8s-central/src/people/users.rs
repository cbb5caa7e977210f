//! Accounts, for administrators.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::JsonRejection},
};
use http::StatusCode;
use mk8s_authn::{Email, PasswordError, password::random_password};
use mk8s_net::problem::Problem;
use mk8s_store::{NewUser, StoreError, User};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::people::{
    People,
    asker::Asker,
    failure::{Failure, unreadable},
};

#[derive(Serialize)]
pub(super) struct UserList {
    users: Vec<User>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    email: String,
    /// Absent: one is made and shown once in the answer.
    #[serde(default)]
    password: Option<SecretString>,
    #[serde(default)]
    roles: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Created {
    #[serde(flatten)]
    user: User,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Roles {
    roles: Vec<String>,
}

/// `GET /users`
pub(super) async fn list(
    State(people): State<Arc<People>>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<UserList>, Failure> {
    asker.admin(&people)?;
    let users = people.store.users().await.map_err(|e| store_problem(&e))?;
    Ok(Json(UserList { users }))
}

/// `POST /users`
pub(super) async fn create(
    State(people): State<Arc<People>>,
    Extension(asker): Extension<Asker>,
    body: Result<Json<Create>, JsonRejection>,
) -> Result<(StatusCode, Json<Created>), Failure> {
    asker.admin(&people)?;
    let Json(Create {
        email,
        password,
        roles,
    }) = body.map_err(unreadable)?;
    let email: Email = email
        .parse()
        .map_err(|why: mk8s_authn::InvalidEmail| bad(why.to_string()))?;
    // The name goes to clusters as it is: what can't be an identity there can't be an account here.
    mk8s_model::Identity::new(email.as_str(), [""; 0], mk8s_model::AuthMethod::Token)
        .map_err(|why| bad(why.to_string()))?;
    known_roles(&people, &roles)?;
    let made = password.is_none().then(random_password);
    let chosen = match (&password, &made) {
        (Some(password), _) | (None, Some(password)) => password.clone(),
        (None, None) => return Err(bad("no password".to_owned())),
    };
    let hash = people.passwords.hash(chosen).await.map_err(|why| match why {
        PasswordError::Busy => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()).retry_after(2),
        why => Problem::new(StatusCode::BAD_REQUEST, why.to_string()),
    })?;
    let new = NewUser {
        email: &email,
        password: &hash,
        roles: &roles,
    };
    let user = people
        .store
        .create_user(new, people.clock.now())
        .await
        .map_err(|e| store_problem(&e))?;
    people.refresh_access().await;
    Ok((
        StatusCode::CREATED,
        Json(Created {
            user,
            password: made.map(|p| p.expose_secret().to_owned()),
        }),
    ))
}

/// `PUT /users/{id}/roles`
pub(super) async fn set_roles(
    State(people): State<Arc<People>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
    body: Result<Json<Roles>, JsonRejection>,
) -> Result<Json<User>, Failure> {
    asker.admin(&people)?;
    let Json(Roles { roles }) = body.map_err(unreadable)?;
    let id: Uuid = id.parse().map_err(|_| not_a_user(&id))?;
    known_roles(&people, &roles)?;
    if !roles.iter().any(|r| r == crate::access::ADMIN_ROLE)
        && people.access.is_admin(id)
        && !people.access.has_other_admin(id)
    {
        return Err(
            Problem::new(StatusCode::CONFLICT, "this is the last administrator")
                .hint("give somebody else the role \"admin\" first")
                .into(),
        );
    }
    let user = people
        .store
        .set_roles(id, &roles, people.clock.now())
        .await
        .map_err(|e| store_problem(&e))?;
    people.refresh_access().await;
    Ok(Json(user))
}

fn known_roles(people: &People, roles: &[String]) -> Result<(), Failure> {
    match roles.iter().find(|role| !people.access.has_role(role)) {
        None => Ok(()),
        Some(role) => {
            let shown: String = role.chars().take(64).collect();
            Err(bad(format!("there is no role {shown:?}")))
        }
    }
}

fn bad(why: String) -> Failure {
    Problem::new(StatusCode::BAD_REQUEST, why).into()
}

fn not_a_user(id: &str) -> Failure {
    let shown: String = id.chars().take(64).collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("there is no user with the id {shown:?}"),
    )
    .hint("GET /users lists them")
    .into()
}

fn store_problem(why: &StoreError) -> Problem {
    match why {
        StoreError::Missing(_) => Problem::new(StatusCode::NOT_FOUND, why.to_string()),
        StoreError::Exists(_) => Problem::new(StatusCode::CONFLICT, why.to_string()),
        why => {
            tracing::error!(error = %why, "the database failed");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the gateway's database does not answer",
            )
            .retry_after(5)
        }
    }
}
