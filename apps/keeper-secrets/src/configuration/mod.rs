//! Who we are towards Keeper: the application's configuration, from a mounted Secret or from a cloud's store.
//!
//! Each cloud is a cargo feature of its own (`aws`, `gcp`, `azure`), and asked through its official SDK.

pub(crate) mod authorities;
#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
mod cloud;
#[cfg(feature = "gcp")]
mod gcp;

use std::{
    io,
    path::{Path, PathBuf},
};

use mk8s_secrets::{Hidden, contract::Auth};

/// How the modules of SDKs begin.
const SDKS: [&str; 4] = ["aws_", "azure_", "google_cloud_", "typespec"];

/// The file in the mounted directory.
const FILE: &str = "config";

/// There is no configuration. Nothing of it is quoted, nor what a cloud answers beyond its codes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The mounted one can't be read.
    #[error("can't read {}: has the Secret {name} the key config?: {source}", path.display())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// The Secret.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The cloud isn't built in.
    #[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
    #[error(
        "this program was built without {store}: use an image with the feature {feature}, or auth-method secret"
    )]
    BuiltWithout {
        /// The cloud's store.
        store: &'static str,
        /// The cargo feature.
        feature: &'static str,
    },
    /// No vault is asked at all.
    #[error("no configuration is needed")]
    NotNeeded,
    /// The cloud doesn't give it.
    #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
    #[error(transparent)]
    Cloud(#[from] cloud::CloudError),
}

impl LoadError {
    /// Whether it may be over in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
            Self::Cloud(error) => error.is_passing(),
            _ => false,
        }
    }
}

/// Reads the configuration, as the store has it now.
///
/// # Errors
/// [`LoadError`]: where it isn't, and what to do.
pub(crate) async fn load(auth: &Auth, directory: &Path) -> Result<Hidden, LoadError> {
    match auth {
        Auth::Secret { name } => {
            let path = directory.join(FILE);
            std::fs::read(&path)
                .map(Hidden::new)
                .map_err(|source| LoadError::Unreadable {
                    path,
                    name: name.to_string(),
                    source,
                })
        }
        Auth::Kubernetes {} => Err(LoadError::NotNeeded),

        #[cfg(feature = "aws")]
        Auth::AwsSecretsManager { secret_id, region } => {
            Ok(cloud::patiently(cloud::Store::Aws, aws::get(secret_id, region.as_deref())).await?)
        }
        #[cfg(not(feature = "aws"))]
        Auth::AwsSecretsManager { .. } => Err(LoadError::BuiltWithout {
            store: "AWS Secrets Manager",
            feature: "aws",
        }),

        #[cfg(feature = "gcp")]
        Auth::GcpSecretManager { secret_id } => {
            Ok(cloud::patiently(cloud::Store::Google, gcp::get(secret_id)).await?)
        }
        #[cfg(not(feature = "gcp"))]
        Auth::GcpSecretManager { .. } => Err(LoadError::BuiltWithout {
            store: "Google's Secret Manager",
            feature: "gcp",
        }),

        #[cfg(feature = "azure")]
        Auth::AzureKeyVault { vault, secret } => {
            Ok(cloud::patiently(cloud::Store::Azure, azure::get(vault, secret)).await?)
        }
        #[cfg(not(feature = "azure"))]
        Auth::AzureKeyVault { .. } => Err(LoadError::BuiltWithout {
            store: "Azure Key Vault",
            feature: "azure",
        }),
    }
}

/// A log filter that lets nothing of SDKs through, whatever it says: they log answers, and with them what nobody should read.
pub(crate) fn without_sdks(filter: &str) -> String {
    let is_ours = |directive: &&str| !SDKS.iter().any(|sdk| directive.trim().starts_with(sdk));
    let mut directives: Vec<String> = filter.split(',').filter(is_ours).map(str::to_owned).collect();
    // Without any it is nothing that could be read, which is for whoever reads it to say.
    if directives.iter().any(|directive| !directive.trim().is_empty()) {
        directives.extend(SDKS.map(|sdk| format!("{sdk}=off")));
    }
    directives.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_lets_sdks_talk() {
        let off = "aws_=off,azure_=off,google_cloud_=off,typespec=off";
        for (filter, expected) in [
            ("trace", format!("trace,{off}")),
            ("info,hyper=debug", format!("info,hyper=debug,{off}")),
            (
                "info, aws_smithy_runtime=trace,azure_core::http=debug",
                format!("info,{off}"),
            ),
            ("typespec_client_core=trace", String::new()),
            ("", String::new()),
            (" ", " ".to_owned()),
        ] {
            assert_eq!(without_sdks(filter), expected, "{filter:?}");
        }
    }
}
