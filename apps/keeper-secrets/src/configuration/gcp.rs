//! Google's Secret Manager, with the pod's workload identity: the metadata server of the node gives tokens for it.
//!
//! The SDK looks for credentials as Google's programs do everywhere (ADC): a file that GOOGLE_APPLICATION_CREDENTIALS names, or else the
//! metadata server. Injection lends neither that variable nor GCE_METADATA_HOST, so in pods it is the latter, at its own address.

use std::error::Error as StdError;

use google_cloud_auth::{credentials, errors::CredentialsError};
use google_cloud_gax::{client_builder, retry_policy::NeverRetry};
use google_cloud_secretmanager_v1::{Error, client::SecretManagerService};
use mk8s_secrets::Hidden;

use super::cloud::{CloudError, Store, code, first_cause};

/// Gets a secret's newest version, or that which the id says.
///
/// # Errors
/// [`CloudError`].
pub(super) async fn get(secret_id: &str) -> Result<Hidden, CloudError> {
    let name = match secret_id.contains("/versions/") {
        true => secret_id.to_owned(),
        false => format!("{secret_id}/versions/latest"),
    };
    // The SDK is built without a provider of its own.
    mk8s_tls::install_default_provider();
    let credentials = credentials::Builder::default()
        .build()
        .map_err(|_| no_identity("the credentials that the environment names can't be used", false))?;
    // SDKs' own retries are off: whoever asked us tries again.
    let client = SecretManagerService::builder()
        .with_credentials(credentials)
        .with_retry_policy(NeverRetry)
        .build()
        .await
        .map_err(|error| not_built(&error))?;
    let answer = client
        .access_secret_version()
        .set_name(&name)
        .send()
        .await
        .map_err(|error| not_read(&error, name.clone()))?;
    match answer.payload {
        Some(payload) if !payload.data.is_empty() => Ok(Hidden::new(payload.data.to_vec())),
        _ => Err(CloudError::Empty {
            store: Store::Google,
            secret: name,
        }),
    }
}

fn no_identity(why: impl Into<String>, is_passing: bool) -> CloudError {
    CloudError::NoIdentity {
        store: Store::Google,
        why: why.into(),
        is_passing,
    }
}

fn not_built(error: &client_builder::Error) -> CloudError {
    if error.is_default_credentials() {
        return no_identity("there are no credentials", false);
    }
    CloudError::Unreachable {
        store: Store::Google,
        reason: first_cause(error),
    }
}

fn not_read(error: &Error, secret: String) -> CloudError {
    let store = Store::Google;
    if error.is_authentication() {
        return not_authenticated(error);
    }
    if error.is_timeout() {
        return CloudError::TimedOut { store };
    }
    if let Some(status) = error.http_status_code() {
        let code = match error.status() {
            Some(status) => code(status.code.name()),
            None => format!("HTTP {status}"),
        };
        return match status {
            404 => CloudError::NotFound { store, secret },
            401 => CloudError::NotTrusted { store, code },
            403 => CloudError::Denied { store, secret, code },
            _ => CloudError::Refused {
                store,
                secret,
                code,
                is_passing: status == 429 || status >= 500,
            },
        };
    }
    if error.is_connect() || error.is_io() || error.is_transport() {
        return CloudError::Unreachable {
            store,
            reason: first_cause(error),
        };
    }
    CloudError::Refused {
        store,
        secret,
        code: "an answer that isn't understood".to_owned(),
        is_passing: false,
    }
}

/// Nobody gave a token: the metadata server isn't there, or knows no identity for this pod.
fn not_authenticated(error: &Error) -> CloudError {
    let mut is_passing = false;
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<CredentialsError>() {
            is_passing |= error.is_transient();
        }
        if let Some(error) = error.downcast_ref::<Error>()
            && let Some(status) = error.http_status_code()
        {
            let is_passing = status == 429 || status >= 500;
            return no_identity(format!("the metadata server answers HTTP {status}"), is_passing);
        }
        next = error.source();
    }
    match is_passing {
        true => no_identity(
            format!("the metadata server can't be reached ({})", first_cause(error)),
            true,
        ),
        false => no_identity("the metadata server gives no token", false),
    }
}
