//! By a kubeconfig: a context of it, with a token, a token file or a client certificate.
//!
//! What would run a program or ask a person (`exec`, `auth-provider`, a password) is refused: a server acts on these.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig};
use mk8s_proxy::credentials::{Credentials, CredentialsError};
use mk8s_tls::{
    CertificateChain, Issued, MaterialError, PrivateKey, ReloadError, ReloadingCertificate, Roots,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::Target;

/// A kubeconfig that can't be used, and where it came from.
#[derive(Debug, thiserror::Error)]
#[error("kubeconfig {origin}: {why}")]
pub struct KubeconfigError {
    origin: String,
    #[source]
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    // In a box, for it is large.
    #[error("{0}")]
    Unreadable(Box<kube::config::KubeconfigError>),
    #[error("it has no current-context: name a context")]
    NoContext,
    #[error("it has no context {0:?}")]
    UnknownContext(String),
    #[error("context {context:?} names a {kind} that isn't there")]
    Dangling { context: String, kind: &'static str },
    #[error("the cluster has no server")]
    NoServer,
    #[error("insecure-skip-tls-verify would send credentials to anybody: give certificate-authority instead")]
    Insecure,
    #[error("proxy-url isn't supported: the API server must be reachable directly")]
    ProxyUrl,
    #[error(
        "{0} is for people at a terminal: give a token, a tokenFile or a client certificate (a service account's, for example)"
    )]
    ForPeople(&'static str),
    #[error(
        "it names the file {0}, which isn't here: put its content into the kubeconfig (kubectl config view --flatten)"
    )]
    File(String),
    #[error("{0} is no base64")]
    Base64(&'static str),
    #[error("client-certificate-data has no client-key-data beside it, or the other way round")]
    HalfPair,
    #[error(transparent)]
    Material(#[from] MaterialError),
    #[error(transparent)]
    Certificate(#[from] ReloadError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("can't read {file}: {why}")]
    Read { file: String, why: std::io::Error },
}

/// Whether a kubeconfig may name files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    /// Those on this machine, relative to the kubeconfig.
    Local,
    /// None: it came from elsewhere, and could name what isn't its author's to read.
    None,
}

/// The target of a context in a kubeconfig file; without a name, of the current one.
///
/// # Errors
/// [`KubeconfigError`], naming the file and what of it can't be used.
pub fn from_file(path: &Path, context: Option<&str>) -> Result<Target, KubeconfigError> {
    let read = Kubeconfig::read_from(path).map_err(|e| Why::Unreadable(Box::new(e)));
    read.and_then(|kubeconfig| target(kubeconfig, context, Files::Local))
        .map_err(|why| at(path.display(), why))
}

/// The target of a kubeconfig's text, which may not name files. `origin` says in errors where it came from.
///
/// # Errors
/// [`KubeconfigError`], naming the origin and what of it can't be used.
pub fn from_text(text: &str, context: Option<&str>, origin: &str) -> Result<Target, KubeconfigError> {
    let read = Kubeconfig::from_yaml(text).map_err(|e| Why::Unreadable(Box::new(e)));
    read.and_then(|kubeconfig| target(kubeconfig, context, Files::None))
        .map_err(|why| at(origin, why))
}

fn at(origin: impl fmt::Display, why: Why) -> KubeconfigError {
    KubeconfigError {
        origin: origin.to_string(),
        why,
    }
}

fn target(kubeconfig: Kubeconfig, context: Option<&str>, files: Files) -> Result<Target, Why> {
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..Default::default()
    };
    let name = options
        .context
        .or_else(|| kubeconfig.current_context.clone())
        .filter(|name| !name.is_empty())
        .ok_or(Why::NoContext)?;
    let named = |kind| Why::Dangling {
        context: name.clone(),
        kind,
    };
    let context = kubeconfig
        .contexts
        .iter()
        .find(|c| c.name == name)
        .and_then(|c| c.context.clone())
        .ok_or_else(|| Why::UnknownContext(name.clone()))?;
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|c| c.name == context.cluster)
        .and_then(|c| c.cluster.clone())
        .ok_or_else(|| named("cluster"))?;
    let user = context.user.clone().unwrap_or_default();
    let auth = kubeconfig
        .auth_infos
        .iter()
        .find(|a| a.name == user)
        .and_then(|a| a.auth_info.clone())
        .ok_or_else(|| named("user"))?;
    if cluster.insecure_skip_tls_verify == Some(true) {
        return Err(Why::Insecure);
    }
    if cluster.proxy_url.is_some() {
        return Err(Why::ProxyUrl);
    }
    Ok(Target {
        roots: roots(&cluster, files)?,
        server: cluster.server.ok_or(Why::NoServer)?,
        server_name: cluster.tls_server_name,
        certificate: certificate(&auth, files)?,
        credentials: credentials(&auth, files)?,
        namespace: context.namespace,
    })
}

fn roots(cluster: &Cluster, files: Files) -> Result<Roots, Why> {
    if let Some(data) = &cluster.certificate_authority_data {
        return Ok(Roots::Pem(base64("certificate-authority-data", data)?));
    }
    match &cluster.certificate_authority {
        None => Ok(Roots::System),
        Some(file) => {
            let read = std::fs::read(local(file, files)?);
            Ok(Roots::Pem(read.map_err(|why| Why::Read {
                file: file.clone(),
                why,
            })?))
        }
    }
}

fn certificate(auth: &AuthInfo, files: Files) -> Result<Option<Arc<ReloadingCertificate>>, Why> {
    match (&auth.client_certificate_data, &auth.client_key_data) {
        (Some(certificate), Some(key)) => {
            let chain = base64("client-certificate-data", certificate)?;
            let key = base64("client-key-data", key.expose_secret())?;
            let issued = Issued::new(CertificateChain::from_pem(&chain)?, PrivateKey::from_pem(&key)?)?;
            Ok(Some(ReloadingCertificate::from_issued(&issued)?))
        }
        (None, None) => match (&auth.client_certificate, &auth.client_key) {
            (Some(certificate), Some(key)) => Ok(Some(ReloadingCertificate::from_files(
                &local(certificate, files)?,
                &local(key, files)?,
            )?)),
            (None, None) => Ok(None),
            _ => Err(Why::HalfPair),
        },
        _ => Err(Why::HalfPair),
    }
}

fn credentials(auth: &AuthInfo, files: Files) -> Result<Credentials, Why> {
    let for_people = [
        (auth.exec.is_some(), "exec"),
        (auth.auth_provider.is_some(), "auth-provider"),
        (auth.username.is_some() || auth.password.is_some(), "a password"),
    ];
    if let Some((_, what)) = for_people.iter().find(|(is_there, _)| *is_there) {
        return Err(Why::ForPeople(what));
    }
    // As in client-go: the file wins, because it is renewed.
    if let Some(file) = &auth.token_file {
        return Ok(Credentials::token_file(local(file, files)?)?);
    }
    match &auth.token {
        Some(token) => Ok(Credentials::token(&SecretString::from(
            token.expose_secret().to_owned(),
        ))?),
        None => Ok(Credentials::None),
    }
}

fn local(file: &str, files: Files) -> Result<PathBuf, Why> {
    match files {
        Files::Local => Ok(PathBuf::from(file)),
        Files::None => Err(Why::File(file.to_owned())),
    }
}

fn base64(field: &'static str, text: &str) -> Result<Vec<u8>, Why> {
    BASE64_STANDARD
        .decode(text.trim())
        .map_err(|_| Why::Base64(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "
apiVersion: v1
kind: Config
current-context: main
contexts: [{name: main, context: {cluster: c, user: u}}, {name: adrift, context: {cluster: nowhere, user: u}}]
clusters: [{name: c, cluster: {server: \"https://c.example:6443\", tls-server-name: kubernetes}}]
users: [{name: u, user: {token: abc}}]
";

    fn refused(text: &str) -> String {
        from_text(text, None, "of a test")
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn a_context_with_a_token_is_a_target() {
        let target = from_text(PLAIN, None, "of a test").expect("a target");
        assert_eq!(target.server, "https://c.example:6443");
        assert_eq!(target.server_name.as_deref(), Some("kubernetes"));
        let authorization = target.credentials.authorization().expect("a token");
        assert_eq!(authorization, "Bearer abc");
    }

    #[test]
    fn contexts_that_lead_nowhere_are_named() {
        let error = from_text(PLAIN, Some("other"), "of a test")
            .expect_err("unknown")
            .to_string();
        assert_eq!(error, "kubeconfig of a test: it has no context \"other\"");
        let error = from_text(PLAIN, Some("adrift"), "of a test")
            .expect_err("dangling")
            .to_string();
        assert!(error.contains("\"adrift\" names a cluster"), "{error}");
        let error = refused(&PLAIN.replace("current-context: main", ""));
        assert!(error.contains("no current-context"), "{error}");
        assert!(refused("[1").contains("of a test"));
    }

    #[test]
    fn what_would_run_or_ask_or_trust_blindly_is_refused() {
        let with_user = |user: &str| refused(&PLAIN.replace("{token: abc}", user));
        assert!(
            with_user("{exec: {command: sh, apiVersion: client.authentication.k8s.io/v1}}").contains("exec")
        );
        assert!(with_user("{username: a, password: b}").contains("a password"));
        assert!(with_user("{client-certificate-data: YQ==}").contains("beside it"));
        assert!(with_user("{client-certificate-data: '!', client-key-data: YQ==}").contains("no base64"));
        let with_cluster = |more: &str| refused(&PLAIN.replace("tls-server-name: kubernetes", more));
        assert!(with_cluster("insecure-skip-tls-verify: true").contains("certificate-authority"));
        assert!(with_cluster("proxy-url: \"http://p\"").contains("proxy-url"));
    }

    #[test]
    fn a_text_from_elsewhere_names_no_files() {
        for user in [
            "{tokenFile: /etc/hostname}",
            "{client-certificate: /a, client-key: /b}",
        ] {
            let error = refused(&PLAIN.replace("{token: abc}", user));
            assert!(error.contains("--flatten"), "{error}");
        }
        let error = refused(&PLAIN.replace(
            "tls-server-name: kubernetes",
            "certificate-authority: /etc/hostname",
        ));
        assert!(error.contains("/etc/hostname"), "{error}");
    }

    #[test]
    fn files_are_found_beside_the_kubeconfig() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("token"), "from-a-file").expect("write");
        let path = dir.path().join("config");
        std::fs::write(&path, PLAIN.replace("{token: abc}", "{tokenFile: token}")).expect("write");
        let target = from_file(&path, None).expect("a target");
        assert_eq!(
            target.credentials.authorization().expect("a token"),
            "Bearer from-a-file"
        );
    }
}
