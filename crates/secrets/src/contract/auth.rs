//! Where the application's configuration is. Names in it become parts of addresses, so that nothing but names gets through.

use serde::{Deserialize, Serialize};

use super::{
    finding::quote,
    names::{
        AUTH_SECRET, AWS_REGION, AWS_SECRET_ID, AZURE_SECRET_NAME, AZURE_VAULT_NAME, GCP_SECRET_ID,
        KSM_CONFIG,
    },
    values::ObjectName,
};

/// The methods' names, with the annotations of each.
pub(super) const METHODS: [(&str, &[&str]); 5] = [
    ("secret", &[KSM_CONFIG, AUTH_SECRET]),
    ("aws-secrets-manager", &[AWS_SECRET_ID, AWS_REGION]),
    ("gcp-secret-manager", &[GCP_SECRET_ID]),
    ("azure-key-vault", &[AZURE_VAULT_NAME, AZURE_SECRET_NAME]),
    ("kubernetes", &[]),
];

/// Where the application's configuration is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "method",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Auth {
    /// In a Secret of the pod's namespace, under the key `config`.
    Secret {
        /// Its name.
        name: ObjectName,
    },
    /// In AWS Secrets Manager, with the pod's IAM role.
    AwsSecretsManager {
        /// Name or ARN.
        secret_id: String,
        /// The region, if it isn't the pod's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
    },
    /// In Google's Secret Manager, with the pod's workload identity.
    GcpSecretManager {
        /// `projects/PROJECT/secrets/NAME`, and maybe `/versions/VERSION`.
        secret_id: String,
    },
    /// In an Azure key vault, with the pod's workload identity.
    AzureKeyVault {
        /// The vault's name.
        vault: String,
        /// The secret's name in it.
        secret: String,
    },
    /// Nowhere: no vault is asked. Records are Secrets of the pod's namespace, their fields its keys.
    Kubernetes {},
}

impl Auth {
    /// What is wrong, with the annotation that says it.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        match self {
            Self::Secret { .. } | Self::Kubernetes {} => Ok(()),
            Self::AwsSecretsManager { secret_id, region } => {
                if !is_of(secret_id, b"/_+=.@:-", 2048) {
                    let problem = format!(
                        "{} is no name or ARN of a secret in AWS; write one",
                        quote(secret_id)
                    );
                    return Err((AWS_SECRET_ID, problem));
                }
                match region {
                    Some(region) if !is_of(region, b"-", 32) => {
                        let problem = format!("{} is no AWS region; write one like eu-west-1", quote(region));
                        Err((AWS_REGION, problem))
                    }
                    _ => Ok(()),
                }
            }
            Self::GcpSecretManager { secret_id } => match is_google_secret(secret_id) {
                true => Ok(()),
                false => Err((
                    GCP_SECRET_ID,
                    format!(
                        "{} is no secret of Google's; write projects/PROJECT/secrets/NAME, and maybe /versions/VERSION",
                        quote(secret_id)
                    ),
                )),
            },
            Self::AzureKeyVault { vault, secret } => {
                if !is_key_vault(vault) {
                    let problem = format!(
                        "{} is no key vault's name; write 3 to 24 letters, digits and '-', a letter first",
                        quote(vault)
                    );
                    return Err((AZURE_VAULT_NAME, problem));
                }
                if !is_of(secret, b"-", 127) {
                    let problem = format!(
                        "{} is no secret's name in a key vault; write letters, digits and '-'",
                        quote(secret)
                    );
                    return Err((AZURE_SECRET_NAME, problem));
                }
                Ok(())
            }
        }
    }
}

/// Letters and digits of ASCII, and these.
fn is_of(text: &str, extra: &[u8], most: usize) -> bool {
    let is_right = |b: u8| b.is_ascii_alphanumeric() || extra.contains(&b);
    (1..=most).contains(&text.len()) && text.bytes().all(is_right)
}

fn is_google_secret(id: &str) -> bool {
    let parts: Vec<&str> = id.split('/').collect();
    match parts.as_slice() {
        ["projects", project, "secrets", name] => is_of(project, b"-", 63) && is_of(name, b"_-", 255),
        ["projects", project, "secrets", name, "versions", version] => {
            is_of(project, b"-", 63) && is_of(name, b"_-", 255) && is_of(version, b"_-", 63)
        }
        _ => false,
    }
}

fn is_key_vault(name: &str) -> bool {
    name.len() >= 3
        && is_of(name, b"-", 24)
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !name.ends_with('-')
        && !name.contains("--")
}
