//! Azure Key Vault, with the pod's workload identity: its service account's token is changed into one of Entra's.

use std::{env, error::Error as StdError, sync::Arc};

use azure_core::{
    Error,
    error::ErrorKind,
    http::{ClientOptions, RetryOptions, Transport},
};
use azure_identity::{
    ClientAssertionCredentialOptions, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use mk8s_secrets::Hidden;
use mk8s_tls::Roots;
use reqwest::redirect::Policy;

use super::cloud::{CloudError, Store, code, first_cause};

/// What the cluster's webhook for workload identity sets.
const VARIABLES: [&str; 3] = ["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"];
/// And this says in which of the clouds it is.
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";
/// Where Entra signs in, and what vaults are below, in each cloud. Whoever writes pods may set the variable, so that no other host
/// is believed.
const CLOUDS: [(&str, &str); 3] = [
    ("login.microsoftonline.com", "vault.azure.net"),
    ("login.microsoftonline.us", "vault.usgovcloudapi.net"),
    ("login.chinacloudapi.cn", "vault.azure.cn"),
];

/// Gets a secret's current version.
///
/// # Errors
/// [`CloudError`].
pub(super) async fn get(vault: &str, secret: &str) -> Result<Hidden, CloudError> {
    let vaults = vaults(env::var(AUTHORITY).ok().as_deref())?;
    if let Some(missing) = VARIABLES
        .iter()
        .find(|name| env::var(name).unwrap_or_default().is_empty())
    {
        return Err(no_identity(format!("{missing} isn't set")));
    }
    let options = client_options()?;
    let credential = WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
        credential_options: ClientAssertionCredentialOptions {
            client_options: options.clone(),
        },
        ..WorkloadIdentityCredentialOptions::default()
    }))
    // All that is looked at until now are the variables, and the token's file.
    .map_err(|error| no_identity(format!("its token can't be used ({})", first_cause(&error))))?;
    let client_options = SecretClientOptions {
        client_options: options,
        ..SecretClientOptions::default()
    };
    let address = format!("https://{vault}.{vaults}");
    let name = format!("secret {secret} in {vault}");
    let client = SecretClient::new(&address, credential, Some(client_options))
        .map_err(|error| not_read(&error, name.clone()))?;
    let answer = client
        .get_secret(secret, None)
        .await
        .and_then(|answer| answer.into_model())
        .map_err(|error| not_read(&error, name.clone()))?;
    match answer.value {
        Some(value) if !value.is_empty() => Ok(Hidden::from(value)),
        _ => Err(CloudError::Empty {
            store: Store::Azure,
            secret: name,
        }),
    }
}

/// Our own TLS and the environment's proxies, no redirects, and no retries: whoever asked us tries again.
fn client_options() -> Result<ClientOptions, CloudError> {
    let unusable = |reason: String| CloudError::Unreachable {
        store: Store::Azure,
        reason,
    };
    let tls = mk8s_tls::client::config(&Roots::System, None, &[b"h2", b"http/1.1"])
        .map_err(|error| unusable(error.to_string()))?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.as_ref().clone())
        .https_only(true)
        .redirect(Policy::none())
        .referer(false)
        .build()
        .map_err(|error| unusable(first_cause(&error)))?;
    Ok(ClientOptions {
        transport: Some(Transport::new(Arc::new(client))),
        retry: RetryOptions::none(),
        ..ClientOptions::default()
    })
}

/// The domain of the cloud's vaults.
fn vaults(authority: Option<&str>) -> Result<&'static str, CloudError> {
    let authority = authority.filter(|host| !host.is_empty());
    let host = match authority {
        None => CLOUDS[0].0,
        Some(url) => url.strip_prefix("https://").unwrap_or(url).trim_end_matches('/'),
    };
    let cloud = CLOUDS.iter().find(|(login, _)| *login == host);
    cloud
        .map(|(_, vaults)| *vaults)
        .ok_or_else(|| no_identity(format!("{AUTHORITY} is none of Microsoft's clouds")))
}

fn no_identity(why: String) -> CloudError {
    CloudError::NoIdentity {
        store: Store::Azure,
        why,
        is_passing: false,
    }
}

fn not_read(error: &Error, secret: String) -> CloudError {
    let store = Store::Azure;
    match error.kind() {
        ErrorKind::HttpResponse {
            status, error_code, ..
        } => {
            let status = u16::from(*status);
            let code = match error_code {
                Some(text) => code(text),
                None => format!("HTTP {status}"),
            };
            match status {
                404 => CloudError::NotFound { store, secret },
                401 | 403 => CloudError::Denied { store, secret, code },
                _ => CloudError::Refused {
                    store,
                    secret,
                    code,
                    is_passing: is_passing(status),
                },
            }
        }
        ErrorKind::Credential => not_authenticated(error),
        ErrorKind::Connection | ErrorKind::Io => CloudError::Unreachable {
            store,
            reason: first_cause(error),
        },
        _ => CloudError::Refused {
            store,
            secret,
            code: "an answer that isn't understood".to_owned(),
            is_passing: false,
        },
    }
}

/// Entra gave no token. Its own error is wrapped in one that only says so.
fn not_authenticated(error: &Error) -> CloudError {
    let store = Store::Azure;
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(cause) = next {
        if let Some(inner) = cause.downcast_ref::<Error>() {
            match inner.kind() {
                ErrorKind::HttpResponse {
                    status, error_code, ..
                } => {
                    let status = u16::from(*status);
                    let code = match error_code {
                        Some(text) => format!("AADSTS{}", code(text)),
                        None => format!("HTTP {status}"),
                    };
                    return match is_passing(status) {
                        true => CloudError::Refused {
                            store,
                            secret: "a token".to_owned(),
                            code,
                            is_passing: true,
                        },
                        false => CloudError::NotTrusted { store, code },
                    };
                }
                ErrorKind::Connection | ErrorKind::Io => {
                    return CloudError::Unreachable {
                        store,
                        reason: first_cause(inner),
                    };
                }
                _ => {}
            }
        }
        next = cause.source();
    }
    CloudError::NotTrusted {
        store,
        code: "no token".to_owned(),
    }
}

fn is_passing(status: u16) -> bool {
    status == 429 || status >= 500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_its_vaults() {
        for (authority, expected) in [
            (None, "vault.azure.net"),
            (Some(""), "vault.azure.net"),
            (Some("https://login.microsoftonline.com/"), "vault.azure.net"),
            (Some("https://login.chinacloudapi.cn"), "vault.azure.cn"),
            (
                Some("https://login.microsoftonline.us/"),
                "vault.usgovcloudapi.net",
            ),
        ] {
            assert_eq!(vaults(authority).expect("a cloud"), expected, "{authority:?}");
        }
    }

    #[test]
    fn an_authority_that_is_nobodys_cloud_gets_no_token() {
        for authority in [
            "https://evil.example/",
            "https://login.microsoftonline.com.evil.example",
            "https://evil.example/login.microsoftonline.com",
            "http://login.microsoftonline.com",
            "https://169.254.169.254",
        ] {
            let error = vaults(Some(authority)).expect_err(authority);
            assert!(
                error.to_string().contains("none of Microsoft's clouds"),
                "{error}"
            );
        }
    }
}
