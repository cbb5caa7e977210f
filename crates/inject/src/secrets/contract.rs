//! What injection of secrets writes into pods, and what `keeper-secrets` finds there.

/// The init container that writes secrets before the pod's own containers start.
pub const INIT_CONTAINER: &str = "keeper-secrets-init";
/// The native sidecar that keeps them up to date.
pub const SIDECAR_CONTAINER: &str = "keeper-secrets-sidecar";
/// The image, unless the operator sets another.
pub const DEFAULT_IMAGE: &str = concat!("mk8s/keeper-secrets:", env!("CARGO_PKG_VERSION"));
/// The group that every container of the pod is in, so that each can read the files whatever its user.
pub const DEFAULT_READERS: u32 = 65531;
/// The user that secrets are written by.
pub const DEFAULT_WRITER: u32 = 65531;

/// What all volumes of injection begin with.
pub const VOLUME_PREFIX: &str = "keeper-secrets";
/// Files at [`mk8s_secrets::contract::BASE`]; further directories have a number behind it.
pub const FILES_VOLUME: &str = "keeper-secrets";
/// The program that sets the environment, and what it sets.
pub const ENVIRONMENT_VOLUME: &str = "keeper-secrets-env";
/// The application's configuration; mounted by our containers alone.
pub const CONFIG_VOLUME: &str = "keeper-secrets-config";
/// Certificate authorities for the way to the vault.
pub const AUTHORITIES_VOLUME: &str = "keeper-secrets-ca";
/// The service account's token, for Kubernetes Secrets.
pub const API_VOLUME: &str = "keeper-secrets-api";
/// With a number behind it: a Secret that is a record.
pub const SOURCE_VOLUME: &str = "keeper-secrets-source";

/// Where the application's configuration is mounted.
pub const CONFIG_PATH: &str = "/keeper/config";
/// Where certificate authorities are mounted, as `ca.crt`.
pub const AUTHORITIES_PATH: &str = "/keeper/ca";
/// Where Secrets that are records are mounted, each in a directory of its name.
pub const SOURCE_PATH: &str = "/keeper/source";
/// Where the environment is mounted.
pub const ENVIRONMENT_PATH: &str = "/keeper/env";
/// The program that sets the environment and becomes the container's own.
pub const EXEC_PROGRAM: &str = "/keeper/env/keeper-secrets-exec";
/// The variables: `NAME=value`, each ended by a NUL.
pub const ENVIRONMENT_FILE: &str = "/keeper/env/environment";

/// What is asked for, as JSON.
pub const REQUEST_VARIABLE: &str = "KEEPER_SECRETS_REQUEST";
/// The hosts that may be asked, by comma.
pub const HOSTS_VARIABLE: &str = "KEEPER_SECRETS_HOSTS";
/// The group that files are for.
pub const READERS_VARIABLE: &str = "KEEPER_SECRETS_READERS";
/// The log filter.
pub const LOG_VARIABLE: &str = "KEEPER_SECRETS_LOG";
/// Where `/metrics` is served.
pub const METRICS_PORT_VARIABLE: &str = "KEEPER_SECRETS_METRICS_PORT";
/// The pod's name, namespace and UID, by the downward API.
pub const POD_VARIABLES: [(&str, &str); 3] = [
    ("POD_NAME", "metadata.name"),
    ("POD_NAMESPACE", "metadata.namespace"),
    ("POD_UID", "metadata.uid"),
];

/// Whether a volume's name is one of injection's.
pub fn is_own_volume(name: &str) -> bool {
    name == FILES_VOLUME
        || name
            .strip_prefix(VOLUME_PREFIX)
            .is_some_and(|rest| rest.starts_with('-'))
}
