//! EKS Pod Identity: an agent on the node changes the pod's token into keys of the role that is associated with its service account.
//!
//! The SDK would send the token to any host that has HTTPS. Whoever writes pods may have set the address, so that no other is asked
//! than the agent's two, which are links to the node, and the pod's own loopback.

use std::{error::Error as StdError, net::IpAddr};

use aws_config::{ecs::EcsCredentialsProvider, provider_config::ProviderConfig};
use aws_sdk_secretsmanager::config::{Credentials, ProvideCredentials as _};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};

use super::variable;
use crate::configuration::cloud::{CloudError, Store, first_cause};

/// What the cluster's webhook for EKS Pod Identity sets.
const ADDRESS: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// Where the agent listens
/// (<https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html>).
const AGENTS: [&str; 2] = ["169.254.170.23", "fd00:ec2::23"];

/// Whether the pod has this identity.
pub(super) fn is_there() -> bool {
    variable(ADDRESS).is_ok()
}

/// Keys of the pod's role.
///
/// # Errors
/// [`CloudError`].
pub(super) async fn credentials() -> Result<Credentials, CloudError> {
    let address = variable(ADDRESS)?;
    if !is_agent(&address) {
        return Err(no_identity(
            format!("{ADDRESS} is no address of the agent"),
            false,
        ));
    }
    let path = variable(TOKEN_FILE)?;
    if let Err(error) = std::fs::metadata(&path) {
        return Err(no_identity(
            format!("{path} can't be read ({})", error.kind()),
            false,
        ));
    }
    let config = ProviderConfig::without_region().with_http_client(directly());
    let agent = EcsCredentialsProvider::builder().configure(&config).build();
    agent
        .provide_credentials()
        .await
        .map_err(|error| not_given(&error))
}

/// In the clear, and through no proxy: the agent is on the node.
fn directly() -> SharedHttpClient {
    http_client_fn(|settings, components| {
        let mut connector = Connector::builder().connector_settings(settings.clone());
        connector.set_sleep_impl(components.sleep_impl());
        SharedHttpConnector::new(connector.build_http())
    })
}

fn is_agent(address: &str) -> bool {
    let Ok(address) = address.parse::<http::Uri>() else {
        return false;
    };
    let host = address.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(host) = host.parse::<IpAddr>() else {
        return false;
    };
    let is_known = AGENTS.iter().any(|agent| agent.parse() == Ok(host));
    address.scheme_str() == Some("http") && (is_known || host.is_loopback())
}

/// The SDK says it in words alone; of an answer they have the status, and else what the agent wrote, which isn't shown.
fn not_given(error: &(dyn StdError + 'static)) -> CloudError {
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if let Some((_, status)) =
            text.split_once("Non-success status from HTTP credential provider: StatusCode(")
        {
            let status: u16 = status.trim_end_matches(')').parse().unwrap_or_default();
            let code = format!("HTTP {status}");
            return match status == 429 || status >= 500 {
                true => no_identity(format!("the agent of EKS Pod Identity answers {code}"), true),
                false => CloudError::NotTrusted {
                    store: Store::Aws,
                    code,
                },
            };
        }
        if cause.downcast_ref::<std::io::Error>().is_some() {
            return no_identity(
                format!(
                    "the agent of EKS Pod Identity can't be reached ({})",
                    first_cause(error)
                ),
                true,
            );
        }
        next = cause.source();
    }
    no_identity("the agent of EKS Pod Identity gives no keys".to_owned(), false)
}

fn no_identity(why: String, is_passing: bool) -> CloudError {
    CloudError::NoIdentity {
        store: Store::Aws,
        why,
        is_passing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_addresses_and_the_pods_own_are_asked() {
        for address in [
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:8080/",
        ] {
            assert!(is_agent(address), "{address}");
        }
    }

    #[test]
    fn a_token_goes_nowhere_else() {
        for address in [
            "",
            "/v1/credentials",
            "https://evil.example/v1/credentials",
            "https://169.254.170.23/v1/credentials",
            "http://evil.example/",
            "http://localhost/",
            "http://169.254.169.254/latest/meta-data",
            "http://169.254.170.23.evil.example/",
            "http://169.254.170.23@evil.example/",
            "http://10.0.0.1/v1/credentials",
        ] {
            assert!(!is_agent(address), "{address}");
        }
    }
}
