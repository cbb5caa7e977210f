//! The annotations' names.

/// What they all begin with.
pub const PREFIX: &str = "keeper.security/";

macro_rules! names {
    ($($(#[doc = $doc:literal])+ $constant:ident = $name:literal;)+) => {
        $($(#[doc = $doc])+ pub const $constant: &str = concat!("keeper.security/", $name);)+
        /// Every annotation with a name of its own; `secret-NAME` and `file-NAME` come on top.
        pub const KNOWN: &[&str] = &[$($constant),+];
    };
}

names! {
    /// `"true"` asks for secrets; anything else doesn't.
    INJECT = "inject";
    /// The Secret in the pod's namespace with the application's configuration, under the key `config`.
    KSM_CONFIG = "ksm-config";
    /// The older name of [`KSM_CONFIG`].
    AUTH_SECRET = "auth-secret";
    /// Where the application's configuration is: `secret`, `aws-secrets-manager`, `gcp-secret-manager`, `azure-key-vault`.
    AUTH_METHOD = "auth-method";
    /// Name or ARN in AWS Secrets Manager.
    AWS_SECRET_ID = "aws-secret-id";
    /// AWS region.
    AWS_REGION = "aws-region";
    /// `projects/PROJECT/secrets/NAME[/versions/VERSION]` in Google's Secret Manager.
    GCP_SECRET_ID = "gcp-secret-id";
    /// Azure key vault.
    AZURE_VAULT_NAME = "azure-vault-name";
    /// Secret in the Azure key vault.
    AZURE_SECRET_NAME = "azure-secret-name";
    /// One record, by title or UID.
    SECRET = "secret";
    /// Several records, by comma.
    SECRETS = "secrets";
    /// A folder's path, `A/B/C`.
    FOLDER = "folder";
    /// A folder's UID.
    FOLDER_UID = "folder-uid";
    /// The directory for a folder's records.
    FOLDER_PATH = "folder-path";
    /// Everything else, as YAML.
    CONFIG = "config";
    /// How often values are fetched again.
    REFRESH_INTERVAL = "refresh-interval";
    /// `"true"`: fetch once, before the containers start.
    INIT_ONLY = "init-only";
    /// `"false"`: start without what can't be fetched.
    FAIL_ON_ERROR = "fail-on-error";
    /// `"true"`: a title that several records have is an error.
    STRICT_LOOKUP = "strict-lookup";
    /// The signal to send after a change.
    SIGNAL = "signal";
    /// `"true"`: fields become variables, too.
    INJECT_ENV_VARS = "inject-env-vars";
    /// What variables' names begin with.
    ENV_PREFIX = "env-prefix";
    /// `"true"`: fields become a Kubernetes Secret, too.
    INJECT_AS_K8S_SECRET = "inject-as-k8s-secret";
    /// That Secret's name.
    K8S_SECRET_NAME = "k8s-secret-name";
    /// That Secret's namespace, which is the pod's.
    K8S_SECRET_NAMESPACE = "k8s-secret-namespace";
    /// What happens if it exists: `overwrite`, `merge`, `skip-if-exists`, `fail`.
    K8S_SECRET_MODE = "k8s-secret-mode";
    /// Its type.
    K8S_SECRET_TYPE = "k8s-secret-type";
    /// `"true"`: it is kept up to date.
    K8S_SECRET_ROTATION = "k8s-secret-rotation";
    /// `"true"`: it goes with the pod.
    K8S_SECRET_OWNER_REF = "k8s-secret-owner-ref";
    /// A Secret with certificate authorities.
    CA_CERT_SECRET = "ca-cert-secret";
    /// A ConfigMap with certificate authorities.
    CA_CERT_CONFIGMAP = "ca-cert-configmap";
    /// The key there.
    CA_CERT_KEY = "ca-cert-key";
    /// Written by injection. Never proof that a pod is injected.
    INJECTED = "injected";
}

/// With a name behind it: a record, and where to.
pub const SECRET_PREFIX: &str = "keeper.security/secret-";
/// With a name behind it: an attached file, and where to.
pub const FILE_PREFIX: &str = "keeper.security/file-";

/// The name most like it, if one is.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const FARTHEST: usize = 3;
    let name: Vec<char> = name.chars().take(100).collect();
    let near = known.into_iter().map(|known| (distance(&name, known), known));
    near.filter(|(distance, known)| *distance <= FARTHEST.min(known.len() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many characters to insert, remove or replace (Levenshtein).
fn distance(from: &[char], to: &str) -> usize {
    let mut row: Vec<usize> = (0..=from.len()).collect();
    for (above, to) in to.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (at, from) in from.iter().enumerate() {
            let cost = (diagonal + usize::from(*from != to))
                .min(row[at] + 1)
                .min(row[at + 1] + 1);
            diagonal = std::mem::replace(&mut row[at + 1], cost);
        }
    }
    row[from.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_near_and_strangers_are_not() {
        for (typo, meant) in [
            ("keeper.security/refresh-intervall", Some(REFRESH_INTERVAL)),
            ("keeper.security/Secret", Some(SECRET)),
            ("keeper.security/folder_uid", Some(FOLDER_UID)),
            ("keeper.security/something-else", None),
        ] {
            assert_eq!(nearest(typo, KNOWN.iter().copied()), meant, "{typo}");
        }
        assert_eq!(nearest("x", ["uid"]), None);
    }
}
