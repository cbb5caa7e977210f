//! Clouds that aren't built in.

use serde_json::json;

use super::program::Program;

fn says_what_is_missing(auth: &serde_json::Value, store: &str, feature: &str) {
    let ran = Program::new(auth).run();
    assert!(!ran.is_success, "{}", ran.output);
    let expected = format!("built without {store}: use an image with the feature {feature}");
    assert!(ran.output.contains(&expected), "{}", ran.output);
}

#[cfg(not(feature = "aws"))]
#[test]
fn without_aws_the_program_says_so() {
    let auth = json!({"method": "aws-secrets-manager", "secretId": "app"});
    says_what_is_missing(&auth, "AWS Secrets Manager", "aws");
}

#[cfg(not(feature = "gcp"))]
#[test]
fn without_google_the_program_says_so() {
    let auth = json!({"method": "gcp-secret-manager", "secretId": "projects/p/secrets/app"});
    says_what_is_missing(&auth, "Google's Secret Manager", "gcp");
}

#[cfg(not(feature = "azure"))]
#[test]
fn without_azure_the_program_says_so() {
    let auth = json!({"method": "azure-key-vault", "vault": "vault", "secret": "app"});
    says_what_is_missing(&auth, "Azure Key Vault", "azure");
}
