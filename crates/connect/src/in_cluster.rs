//! As a pod: the address from the variables that the kubelet sets, the credentials from the service account's files
//! (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>).

use std::path::{Path, PathBuf};

use mk8s_proxy::credentials::{Credentials, CredentialsError};
use mk8s_tls::Roots;

use crate::Target;

/// Where a pod finds its service account.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Names the API server's host.
pub const HOST_VARIABLE: &str = "KUBERNETES_SERVICE_HOST";
/// Names the API server's port.
pub const PORT_VARIABLE: &str = "KUBERNETES_SERVICE_PORT";

/// Why a pod's way to its API server can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum InClusterError {
    /// We are in no pod.
    #[error("{0} is not set: run in a pod, or give a kubeconfig")]
    NoPod(&'static str),
    /// The service account's token can't be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// The API server of the cluster we run in. `variable` reads the environment; `service_account` is a directory with
/// `token` and `ca.crt`, usually [`SERVICE_ACCOUNT`].
///
/// # Errors
/// [`InClusterError`] if the address or the token isn't there.
pub fn target(
    service_account: &Path,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Target, InClusterError> {
    let set = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .ok_or(InClusterError::NoPod(name))
    };
    let (host, port) = (set(HOST_VARIABLE)?, set(PORT_VARIABLE)?);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    Ok(Target {
        server: format!("https://{host}:{port}"),
        server_name: None,
        roots: Roots::Files(vec![service_account.join("ca.crt")]),
        certificate: None,
        credentials: Credentials::token_file(service_account.join("token"))?,
        namespace: namespace(service_account),
    })
}

/// The namespace of the pod we are in, from the service account's file of that name.
pub fn namespace(service_account: &Path) -> Option<String> {
    let text = std::fs::read_to_string(PathBuf::from(service_account).join("namespace")).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_become_urls_and_their_absence_is_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("token"), "t").expect("write");
        let of = |host: &'static str| {
            target(dir.path(), move |name| match name {
                HOST_VARIABLE => Some(host.to_owned()),
                PORT_VARIABLE => Some("443".to_owned()),
                _ => None,
            })
        };
        assert_eq!(of("10.0.0.1").expect("a target").server, "https://10.0.0.1:443");
        assert_eq!(of("fd00::1").expect("a target").server, "https://[fd00::1]:443");
        let error = of("").expect_err("no host").to_string();
        assert!(
            error.contains(HOST_VARIABLE) && error.contains("kubeconfig"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_token_is_named_by_its_file() {
        let dir = tempfile::tempdir().expect("tempdir");
        let error = target(dir.path(), |_| Some("1".to_owned()))
            .expect_err("no token")
            .to_string();
        assert!(
            error.contains("token") && error.contains(&dir.path().display().to_string()),
            "{error}"
        );
    }
}
