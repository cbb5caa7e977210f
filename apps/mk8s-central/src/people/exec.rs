//! `POST /clusters/{id}/exec`: one kubectl command, run at the agent in the person's name.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::JsonRejection},
};
use http::StatusCode;
use mk8s_net::problem::Problem;
use mk8s_tunnel::{
    CONTROL_AUTHORITY,
    grpc::Channel,
    proto::{CommandRequest, command_service_client::CommandServiceClient},
};
use serde::{Deserialize, Serialize};

use crate::people::{
    People,
    asker::Asker,
    failure::{Failure, unreadable},
};

/// A command may run this long, in seconds.
const TIMEOUT: u32 = 60;
const MAX_ARGUMENTS: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    /// kubectl's arguments.
    command: Vec<String>,
    #[serde(default)]
    timeout_seconds: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct Ran {
    output: String,
    exit_code: i32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// `POST /clusters/{id}/exec`
pub(super) async fn exec(
    State(people): State<Arc<People>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
    body: Result<Json<Command>, JsonRejection>,
) -> Result<Json<Ran>, Failure> {
    let person = asker.person()?;
    let Json(Command {
        command,
        timeout_seconds,
    }) = body.map_err(unreadable)?;
    if command.is_empty() || command.len() > MAX_ARGUMENTS {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("give 1 to {MAX_ARGUMENTS} arguments"),
        )
        .into());
    }
    let user = person.token.user_id;
    // One answer for "not there" and "not yours": nobody learns which clusters there are.
    let entry = people
        .registry
        .find(&id)
        .filter(|entry| people.access.may_see(user, &entry.name))
        .ok_or_else(|| {
            let shown: String = id.chars().take(64).collect();
            Problem::new(
                StatusCode::NOT_FOUND,
                format!("there is no cluster {shown:?} that you have a role on"),
            )
            .hint("GET /clusters lists yours")
        })?;
    let link = entry.link().ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("cluster {} is disconnected", entry.name),
        )
        .retry_after(5)
    })?;
    let policy = serde_json::to_string(&people.access.policy_of(user)).map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "your roles can't be written down",
        )
    })?;
    tracing::info!(user = person.identity.user(), cluster = %entry.name, command = ?command, "exec");
    let origin = http::Uri::builder()
        .scheme("https")
        .authority(CONTROL_AUTHORITY)
        .path_and_query("/")
        .build()
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no origin"))?;
    let request = CommandRequest {
        arguments: command,
        user: person.identity.user().to_owned(),
        groups: person.identity.groups().map(str::to_owned).collect(),
        policy,
        timeout_seconds: timeout_seconds.unwrap_or(TIMEOUT),
    };
    let answer = CommandServiceClient::with_origin(Channel::new(link), origin)
        .max_decoding_message_size(8 * 1024 * 1024)
        .execute_command(request)
        .await
        .map_err(|status| problem(&status))?
        .into_inner();
    Ok(Json(Ran {
        output: answer.output,
        exit_code: answer.exit_code,
        truncated: answer.truncated,
    }))
}

fn problem(status: &tonic::Status) -> Problem {
    let code = match status.code() {
        tonic::Code::InvalidArgument => StatusCode::BAD_REQUEST,
        tonic::Code::PermissionDenied => StatusCode::FORBIDDEN,
        tonic::Code::FailedPrecondition => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::BAD_GATEWAY,
    };
    Problem::new(code, status.message().to_owned())
}
