//! AWS Secrets Manager, with the pod's IAM role: by IRSA, where its service account's token is changed into keys that live for an
//! hour, or else by EKS Pod Identity ([`pod_identity`]).
//!
//! The token is changed by a call of our own and not by the SDK's chain of credentials. The chain logs what the service answers, and
//! where it finds no role of the pod it takes the node's.

mod pod_identity;

use std::{env, path::PathBuf};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_secretsmanager::{
    config::Credentials,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueOutput,
};
use aws_smithy_http_client::{
    Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{SharedHttpClient, SharedHttpConnector, http_client_fn},
    orchestrator::HttpResponse,
};
use mk8s_secrets::Hidden;

use super::cloud::{CloudError, Store, code, first_cause};

/// What the cluster's webhook for IRSA sets.
const ROLE: &str = "AWS_ROLE_ARN";
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// What CloudTrail shows as the session's name.
const SESSION: &str = "keeper-secrets";
/// Codes that say "not so fast".
const THROTTLED: [&str; 4] = [
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
];

/// Gets a secret's current version.
///
/// # Errors
/// [`CloudError`].
pub(super) async fn get(secret_id: &str, region: Option<&str>) -> Result<Hidden, CloudError> {
    // As the SDK's own chain has it, IRSA goes first.
    let by_agent = variable(ROLE).is_err() && pod_identity::is_there();
    let irsa = match by_agent {
        true => None,
        false => Some((variable(ROLE)?, token()?)),
    };
    let region = region_of(secret_id, region)?;
    // SDKs' own retries are off: whoever asked us tries again.
    let shared = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .no_credentials()
        .region(Region::new(region))
        .http_client(http_client())
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    let credentials = match irsa {
        Some((role, token)) => credentials(&shared, role, token).await?,
        None => pod_identity::credentials().await?,
    };
    let config = aws_sdk_secretsmanager::config::Builder::from(&shared)
        .credentials_provider(credentials)
        .build();
    let answer = aws_sdk_secretsmanager::Client::from_conf(config)
        .get_secret_value()
        .secret_id(secret_id)
        .send()
        .await
        .map_err(|error| not_read(&error, secret_id))?;
    value(answer).ok_or_else(|| CloudError::Empty {
        store: Store::Aws,
        secret: secret_id.to_owned(),
    })
}

fn value(answer: GetSecretValueOutput) -> Option<Hidden> {
    let value = match (answer.secret_string, answer.secret_binary) {
        (Some(text), _) => Hidden::from(text),
        (None, Some(binary)) => Hidden::new(binary.into_inner()),
        (None, None) => return None,
    };
    (!value.is_empty()).then_some(value)
}

/// Changes the pod's token into keys (AssumeRoleWithWebIdentity).
async fn credentials(shared: &SdkConfig, role: String, token: String) -> Result<Credentials, CloudError> {
    let answer = aws_sdk_sts::Client::new(shared)
        .assume_role_with_web_identity()
        .role_arn(role)
        .role_session_name(SESSION)
        .web_identity_token(token)
        .send()
        .await
        .map_err(|error| match failure(&error) {
            Failure::Broken(error) => error,
            Failure::Answered {
                code,
                is_passing: true,
            } => CloudError::Refused {
                store: Store::Aws,
                secret: "keys for the pod's role".to_owned(),
                code,
                is_passing: true,
            },
            Failure::Answered { code, .. } => CloudError::NotTrusted {
                store: Store::Aws,
                code,
            },
        })?;
    let Some(keys) = answer.credentials else {
        return Err(CloudError::NotTrusted {
            store: Store::Aws,
            code: "no keys".to_owned(),
        });
    };
    Ok(Credentials::new(
        keys.access_key_id,
        keys.secret_access_key,
        Some(keys.session_token),
        keys.expiration.try_into().ok(),
        "IRSA",
    ))
}

/// rustls with aws-lc, the system's authorities, and the proxies of the environment, which the SDK's default doesn't heed.
fn http_client() -> SharedHttpClient {
    http_client_fn(|settings, components| {
        let mut connector = Connector::builder()
            .connector_settings(settings.clone())
            .proxy_config(ProxyConfig::from_env());
        connector.set_sleep_impl(components.sleep_impl());
        let connector = connector
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build();
        SharedHttpConnector::new(connector)
    })
}

/// The annotation's region, or that of the secret's ARN, or the pod's.
fn region_of(secret_id: &str, region: Option<&str>) -> Result<String, CloudError> {
    let of_arn = || {
        let mut parts = secret_id.split(':');
        (parts.next() == Some("arn")).then(|| parts.nth(2)).flatten()
    };
    let region = region.or_else(of_arn).map(str::to_owned);
    let of_pod = || REGIONS.iter().find_map(|name| env::var(name).ok());
    let region = region.or_else(of_pod).unwrap_or_default();
    // It becomes part of a host's name, and whoever writes pods may have set the variable.
    let is_region =
        (1..=32).contains(&region.len()) && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_region.then_some(region).ok_or(CloudError::NoRegion)
}

fn token() -> Result<String, CloudError> {
    let path = PathBuf::from(variable(TOKEN_FILE)?);
    let token = std::fs::read_to_string(&path).map_err(|error| CloudError::NoIdentity {
        store: Store::Aws,
        why: format!("{} can't be read ({})", path.display(), error.kind()),
        is_passing: false,
    })?;
    Ok(token.trim().to_owned())
}

fn variable(name: &str) -> Result<String, CloudError> {
    let value = env::var(name).unwrap_or_default();
    if !value.is_empty() {
        return Ok(value);
    }
    Err(CloudError::NoIdentity {
        store: Store::Aws,
        why: format!("{name} isn't set"),
        is_passing: false,
    })
}

fn not_read<E>(error: &SdkError<E, HttpResponse>, secret_id: &str) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let (store, secret) = (Store::Aws, secret_id.to_owned());
    match failure(error) {
        Failure::Broken(error) => error,
        Failure::Answered { code, is_passing } => match code.as_str() {
            "ResourceNotFoundException" => CloudError::NotFound { store, secret },
            "AccessDeniedException" => CloudError::Denied { store, secret, code },
            _ => CloudError::Refused {
                store,
                secret,
                code,
                is_passing,
            },
        },
    }
}

enum Failure {
    Answered { code: String, is_passing: bool },
    Broken(CloudError),
}

fn failure<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let store = Store::Aws;
    let status = |response: &HttpResponse| response.status().as_u16();
    match error {
        SdkError::ServiceError(answered) => {
            let status = status(answered.raw());
            let code = match answered.err().code() {
                Some(text) => code(text),
                None => format!("HTTP {status}"),
            };
            let is_passing = status >= 500 || THROTTLED.contains(&code.as_str());
            Failure::Answered { code, is_passing }
        }
        SdkError::ResponseError(answered) => {
            let status = status(answered.raw());
            Failure::Answered {
                code: format!("HTTP {status}"),
                is_passing: status >= 500,
            }
        }
        SdkError::TimeoutError(_) => Failure::Broken(CloudError::Unreachable {
            store,
            reason: "it took too long".to_owned(),
        }),
        SdkError::DispatchFailure(broken) => Failure::Broken(CloudError::Unreachable {
            store,
            reason: match broken.as_connector_error() {
                Some(error) => first_cause(error),
                None => "the connection broke".to_owned(),
            },
        }),
        // The rest are requests that weren't sent.
        _ => Failure::Answered {
            code: "a bad request".to_owned(),
            is_passing: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_its_region_and_the_annotation_wins() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/config-AbCdEf";
        assert_eq!(region_of(arn, None).expect("a region"), "eu-west-1");
        assert_eq!(
            region_of(arn, Some("eu-north-1")).expect("a region"),
            "eu-north-1"
        );
        assert_eq!(
            region_of("app", Some("eu-west-3")).expect("a region"),
            "eu-west-3"
        );
    }

    #[test]
    fn a_region_that_would_lead_elsewhere_is_none() {
        for region in ["", "evil.example/", "eu-west-1.evil.example", "a b"] {
            let error = region_of("app", Some(region)).expect_err(region);
            assert!(error.to_string().contains("no AWS region is known"), "{error}");
        }
    }
}
