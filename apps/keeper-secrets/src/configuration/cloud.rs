//! What clouds have in common: what goes wrong, how it is said, and how long we wait.
//!
//! SDKs' own messages quote what servers answer, so none is shown: only codes, and the words of a broken connection.

use std::{error::Error as StdError, fmt, io, time::Duration};

use mk8s_secrets::Hidden;

/// How long a cloud has for all of it: identity and secret.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is shown of what somebody else wrote, in bytes.
const SHOWN: usize = 200;

/// A cloud's store of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    #[cfg(feature = "aws")]
    Aws,
    #[cfg(feature = "gcp")]
    Google,
    #[cfg(feature = "azure")]
    Azure,
}

/// There is no secret to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudError {
    /// Nothing in the pod says who it is.
    #[error("the pod has no identity for {store}: {why}; {}", store.how_to_get_an_identity())]
    NoIdentity {
        store: Store,
        why: String,
        is_passing: bool,
    },
    /// Nothing says where the secret is.
    #[cfg(feature = "aws")]
    #[error("no AWS region is known; write keeper.security/aws-region, like eu-west-1")]
    NoRegion,
    /// The cloud doesn't believe it.
    #[error("{store} doesn't take the pod's identity ({code}); {}", store.how_to_be_trusted())]
    NotTrusted { store: Store, code: String },
    /// There is no such secret, or no version of it.
    #[error("{store} has no {secret}; check {}", store.annotations())]
    NotFound { store: Store, secret: String },
    /// The identity may not read it.
    #[error("{store} doesn't let the pod read {secret} ({code}); {}", store.how_to_be_allowed())]
    Denied {
        store: Store,
        secret: String,
        code: String,
    },
    /// Anything else that the cloud answers.
    #[error("{store} refuses to give {secret} ({code}); look the code up in the cloud's documentation")]
    Refused {
        store: Store,
        secret: String,
        code: String,
        is_passing: bool,
    },
    /// No connection came about, or it broke.
    #[error("can't reach {store}: {reason}; check the network, HTTPS_PROXY and NO_PROXY")]
    Unreachable { store: Store, reason: String },
    /// It took too long.
    #[error("{store} gave no whole answer within {} s; check the network, HTTPS_PROXY and NO_PROXY", PATIENCE.as_secs())]
    TimedOut { store: Store },
    /// The secret is there, and empty.
    #[error("{secret} in {store} is empty; put the application's configuration there")]
    Empty { store: Store, secret: String },
}

impl CloudError {
    /// Whether it may be over in a moment.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::NoIdentity { is_passing, .. } | Self::Refused { is_passing, .. } => *is_passing,
            Self::Unreachable { .. } => true,
            #[cfg(feature = "aws")]
            Self::NoRegion => false,
            // Whoever didn't answer for so long is asked again at the next interval.
            Self::TimedOut { .. }
            | Self::NotTrusted { .. }
            | Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::Empty { .. } => false,
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "aws")]
            Self::Aws => "AWS Secrets Manager",
            #[cfg(feature = "gcp")]
            Self::Google => "Google's Secret Manager",
            #[cfg(feature = "azure")]
            Self::Azure => "Azure Key Vault",
        })
    }
}

impl Store {
    fn annotations(self) -> &'static str {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws => "keeper.security/aws-secret-id and aws-region",
            #[cfg(feature = "gcp")]
            Self::Google => "keeper.security/gcp-secret-id",
            #[cfg(feature = "azure")]
            Self::Azure => "keeper.security/azure-vault-name and azure-secret-name",
        }
    }

    fn how_to_get_an_identity(self) -> &'static str {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws => {
                "annotate its service account with eks.amazonaws.com/role-arn (IRSA), or associate a role with it (EKS Pod Identity), and make the pod anew"
            }
            #[cfg(feature = "gcp")]
            Self::Google => {
                "run it on a cluster with Workload Identity Federation, and let it reach the metadata server"
            }
            #[cfg(feature = "azure")]
            Self::Azure => {
                "label it azure.workload.identity/use: \"true\", annotate its service account with azure.workload.identity/client-id, and make the pod anew"
            }
        }
    }

    fn how_to_be_trusted(self) -> &'static str {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws => {
                "name its service account and the cluster's issuer in the role's trust policy, or for EKS Pod Identity the service pods.eks.amazonaws.com, and associate the role with the service account"
            }
            #[cfg(feature = "gcp")]
            Self::Google => "bind its service account to a Google one, or give it the role itself",
            #[cfg(feature = "azure")]
            Self::Azure => "add a federated credential for its service account to the managed identity",
        }
    }

    fn how_to_be_allowed(self) -> &'static str {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws => {
                "allow its role secretsmanager:GetSecretValue, and kms:Decrypt if the secret has a key of your own"
            }
            #[cfg(feature = "gcp")]
            Self::Google => "grant its service account roles/secretmanager.secretAccessor on it",
            #[cfg(feature = "azure")]
            Self::Azure => {
                "give its identity the role Key Vault Secrets User, and let the vault's firewall pass it"
            }
        }
    }
}

/// Waits for a cloud, but not for ever.
///
/// # Errors
/// [`CloudError`]: the cloud's, or that it took too long.
pub(super) async fn patiently(
    store: Store,
    asking: impl Future<Output = Result<Hidden, CloudError>>,
) -> Result<Hidden, CloudError> {
    // SDKs' futures are large; nobody who waits for this one should carry that.
    tokio::time::timeout(PATIENCE, Box::pin(asking))
        .await
        .unwrap_or(Err(CloudError::TimedOut { store }))
}

/// A code that a server gives, as long as it looks like one.
pub(super) fn code(text: &str) -> String {
    let is_code = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let code: String = text.chars().filter(|c| is_code(*c)).take(64).collect();
    if code.is_empty() {
        "no code".to_owned()
    } else {
        code
    }
}

/// The words of the first cause of a broken connection. The outer ones quote addresses and answers.
pub(super) fn first_cause(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(next) = cause(innermost) {
        innermost = next;
    }
    let text = innermost.to_string();
    let plain = text.split(" (os error").next().unwrap_or_default();
    let plain = plain.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SHOWN).collect()
}

/// The cause of an error; an I/O error hides the one that it wraps from [`StdError::source`].
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(wrapped) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(wrapped);
    }
    error.source()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_code_only_what_a_code_is_made_of_is_shown() {
        assert_eq!(code("AccessDeniedException"), "AccessDeniedException");
        assert_eq!(code("a\nb\u{1b}[31m \"secret value\""), "ab31msecretvalue");
        assert_eq!(code("\n"), "no code");
        assert_eq!(code(&"x".repeat(1000)).len(), 64);
    }

    #[test]
    fn the_first_cause_alone_is_shown() {
        let refused = io::Error::from_raw_os_error(111);
        let wrapped = io::Error::other(io::Error::other(refused));
        assert_eq!(first_cause(&wrapped), "Connection refused");
    }
}
