//! By a mounted Secret, whose keys say what it is: `kubeconfig`, or `token`, or `tls.crt` and `tls.key`; and `ca.crt`, the
//! authorities of the server's certificate.
//!
//! A token is read again as it changes; for anything else the target is made anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use mk8s_proxy::credentials::{Credentials, CredentialsError};
use mk8s_tls::{ReloadError, ReloadingCertificate, Roots};

use crate::{
    Target,
    kubeconfig::{self, KubeconfigError},
};

const KUBECONFIG: &str = "kubeconfig";
const TOKEN: &str = "token";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";

/// Why a Secret gives no target.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It isn't mounted.
    #[error("there is no Secret mounted at {0}")]
    Absent(PathBuf),
    /// It has none of the keys.
    #[error("the Secret at {0} has no token, no tls.crt with tls.key, and no kubeconfig")]
    Empty(PathBuf),
    /// It says who we are, and nothing says where.
    #[error("the Secret at {0} has no kubeconfig, so the cluster needs a server")]
    NoServer(PathBuf),
    /// A key can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its kubeconfig can't be used.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// Its token can't be used.
    #[error(transparent)]
    Token(#[from] CredentialsError),
    /// Its certificate can't be used.
    #[error(transparent)]
    Certificate(#[from] ReloadError),
}

/// The target of a Secret mounted at `directory`. `server` goes before what a kubeconfig says, `authorities` (PEM) before
/// whatever the Secret says.
///
/// # Errors
/// [`SecretError`] if something is missing or can't be used.
pub fn target(
    directory: &Path,
    server: Option<&str>,
    authorities: Option<&str>,
) -> Result<Target, SecretError> {
    if !directory.is_dir() {
        return Err(SecretError::Absent(directory.to_owned()));
    }
    let mut target = match read(&directory.join(KUBECONFIG))? {
        Some(text) => {
            let text = String::from_utf8_lossy(&text).into_owned();
            let origin = directory.join(KUBECONFIG).display().to_string();
            let target = kubeconfig::from_text(&text, None, &origin)?;
            Target {
                server: server.map_or(target.server, str::to_owned),
                ..target
            }
        }
        None => by_keys(directory, server)?,
    };
    if let Some(pem) = read(&directory.join(AUTHORITIES))? {
        target.roots = Roots::Pem(pem);
    }
    if let Some(pem) = authorities {
        target.roots = Roots::Pem(pem.as_bytes().to_vec());
    }
    Ok(target)
}

/// What changes when the target must be made anew: everything in the Secret but the token. Not readable.
pub fn fingerprint(directory: &Path) -> Vec<Option<mk8s_tls::Fingerprint>> {
    [KUBECONFIG, CERTIFICATE, KEY, AUTHORITIES]
        .map(|key| {
            fs::read(directory.join(key))
                .ok()
                .map(|content| mk8s_tls::Fingerprint::of(&content))
        })
        .into_iter()
        // A token that appears where there was none is a change, too.
        .chain([directory
            .join(TOKEN)
            .exists()
            .then(|| mk8s_tls::Fingerprint::of(b"a token"))])
        .collect()
}

fn by_keys(directory: &Path, server: Option<&str>) -> Result<Target, SecretError> {
    let there = |key: &str| directory.join(key).exists();
    let (credentials, certificate) = if there(TOKEN) {
        (Credentials::token_file(directory.join(TOKEN))?, None)
    } else if there(CERTIFICATE) && there(KEY) {
        let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
        (
            Credentials::None,
            Some(ReloadingCertificate::from_files(&certificate, &key)?),
        )
    } else {
        return Err(SecretError::Empty(directory.to_owned()));
    };
    let server = server.ok_or_else(|| SecretError::NoServer(directory.to_owned()))?;
    Ok(Target {
        server: server.to_owned(),
        server_name: None,
        roots: Roots::System,
        certificate,
        credentials,
        namespace: None,
    })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, SecretError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SecretError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(keys: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("tempdir");
        for (key, content) in keys {
            fs::write(dir.path().join(key), content).expect("write");
        }
        dir
    }

    const KUBECONFIG_TEXT: &str = "
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: \"https://c.example\"}}]
users: [{name: u, user: {token: abc}}]
";

    #[test]
    fn a_token_with_its_authorities() {
        let dir = secret(&[("token", "first"), ("ca.crt", "pem")]);
        let target = target(dir.path(), Some("https://s"), None).expect("a target");
        assert_eq!(target.server, "https://s");
        assert_eq!(
            target.credentials.authorization().expect("a token"),
            "Bearer first"
        );
        assert!(matches!(&target.roots, Roots::Pem(pem) if pem == b"pem"));
    }

    #[test]
    fn a_kubeconfig_says_where_unless_the_cluster_does() {
        let dir = secret(&[("kubeconfig", KUBECONFIG_TEXT)]);
        assert_eq!(
            target(dir.path(), None, None).expect("a target").server,
            "https://c.example"
        );
        let moved = target(dir.path(), Some("https://s"), Some("pem")).expect("a target");
        assert_eq!(moved.server, "https://s");
        assert!(matches!(&moved.roots, Roots::Pem(pem) if pem == b"pem"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let dir = secret(&[("tls.crt", "x")]);
        let error = |dir: &Path| {
            target(dir, Some("https://s"), None)
                .expect_err("refused")
                .to_string()
        };
        assert!(
            error(dir.path()).contains("has no token"),
            "{}",
            error(dir.path())
        );
        assert!(error(&dir.path().join("nowhere")).contains("no Secret mounted"));
        let dir = secret(&[("token", "x")]);
        let error = target(dir.path(), None, None).expect_err("no server").to_string();
        assert!(error.contains("needs a server"), "{error}");
    }

    #[test]
    fn a_new_token_is_no_reason_to_connect_anew_and_a_new_certificate_is() {
        let dir = secret(&[("token", "x")]);
        let first = fingerprint(dir.path());
        fs::write(dir.path().join("token"), "y").expect("write");
        assert_eq!(fingerprint(dir.path()), first);
        fs::write(dir.path().join("ca.crt"), "y").expect("write");
        assert_ne!(fingerprint(dir.path()), first);
    }
}
