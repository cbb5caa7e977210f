//! Who we are towards Keeper: the application's configuration, from a mounted Secret or from a cloud's store.

use std::path::Path;

use anyhow::{Context as _, bail};
use mk8s_secrets::{Hidden, contract::Auth};

/// The file in the mounted directory.
const FILE: &str = "config";

/// Reads the configuration, as the store has it now.
///
/// # Errors
/// Where it isn't, and what to do. Nothing of it is quoted.
pub(crate) async fn load(auth: &Auth, directory: &Path) -> anyhow::Result<Hidden> {
    match auth {
        Auth::Secret { name } => {
            let path = directory.join(FILE);
            std::fs::read(&path).map(Hidden::new).with_context(|| {
                format!(
                    "can't read {}: has the Secret {name} the key config?",
                    path.display()
                )
            })
        }
        Auth::AwsSecretsManager { .. } => built_without("AWS Secrets Manager", "aws"),
        Auth::GcpSecretManager { .. } => built_without("Google's Secret Manager", "gcp"),
        Auth::AzureKeyVault { .. } => built_without("Azure Key Vault", "azure"),
        Auth::Kubernetes {} => bail!("no configuration is needed"),
    }
}

fn built_without(what: &str, feature: &str) -> anyhow::Result<Hidden> {
    bail!(
        "this program was built without {what}: use an image with the feature {feature}, or auth-method secret"
    )
}
