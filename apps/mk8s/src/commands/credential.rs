//! `mk8s credential`: the program that kubeconfigs name for a token.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::{
    cli::Credential,
    clock::Moment,
    context::{Context, block_on},
    contract::exposed,
    credentials::Session,
    error::{Failure, Result},
    kubeconfig::EXEC_API_VERSION,
    output,
    session::Access,
};

/// How long a token is lent when it is due for renewal and central can't be asked for a new one.
const STOPGAP: Duration = Duration::from_secs(10);

/// `ExecCredential` of client.authentication.k8s.io/v1.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential<'a> {
    api_version: &'a str,
    kind: &'a str,
    status: ExecCredentialStatus<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredentialStatus<'a> {
    /// By this machine's clock, because client-go compares it with that.
    expiration_timestamp: String,
    #[serde(serialize_with = "exposed")]
    token: &'a SecretString,
}

/// Prints a token that is good for a while.
pub(crate) fn run(context: &Context<'_>, command: Credential) -> Result<()> {
    let central = command.central.map_or_else(|| context.central(), Ok)?;
    let access = Access::new(context, central);
    let session = match access.fresh()? {
        Some(session) => session,
        None => block_on(access.session())?,
    };
    if session.token.expose_secret().is_empty() {
        return Err(Failure::new("the token is empty").hint("mk8s login"));
    }
    let now = Moment::now();
    let credential = ExecCredential {
        api_version: EXEC_API_VERSION,
        kind: "ExecCredential",
        status: ExecCredentialStatus {
            expiration_timestamp: now.rfc3339_after(lent_for(&session, &now)),
            token: &session.token,
        },
    };
    let json = serde_json::to_string(&credential)
        .map_err(|error| Failure::new(format!("can't write the credential: {error}")))?;
    output::print(&format!("{json}\n"))
}

/// Until the token is due for renewal, so that whoever comes again then gets a new one while the old one still works.
fn lent_for(session: &Session, now: &Moment) -> Duration {
    match session.fresh_for(now) {
        Duration::ZERO => session.remaining(now).min(STOPGAP),
        fresh => fresh,
    }
}
