//! By a kubeconfig: a context of it, with a token, a token file or a client certificate.
//!
//! What would run a program or ask a person (`exec`, `auth-provider`, a password) is refused: a server acts on these.

mod schema;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mk8s_proxy::credentials::{Credentials, CredentialsError};
use mk8s_tls::{
    CertificateChain, Issued, MaterialError, PrivateKey, ReloadError, ReloadingCertificate, Roots,
};
use secrecy::ExposeSecret as _;

use self::schema::{Cluster, Kubeconfig, User};
use crate::{Target, plugin::Plugin};

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
    #[error("{0}")]
    Malformed(String),
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
    #[error("its user acts as somebody else (as), which isn't supported: give one who has those rights")]
    ActsAs,
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
enum Files<'a> {
    /// Those on this machine, relative to the kubeconfig's directory.
    Beside(&'a Path),
    /// None: it came from elsewhere, and could name what isn't its author's to read.
    None,
}

/// The target of a context in a kubeconfig file; without a name, of the current one.
///
/// # Errors
/// [`KubeconfigError`], naming the file and what of it can't be used.
pub fn from_file(path: &Path, context: Option<&str>) -> Result<Target, KubeconfigError> {
    let files = Files::Beside(path.parent().unwrap_or(Path::new("")));
    read(path)
        .and_then(|text| target(&parse(&text)?, context, files))
        .map_err(|why| at(path.display(), why))
}

/// The same for a program that somebody started for themselves: a context that runs a credential plugin gives the plugin along, for
/// the target's credentials. Nothing is run here.
///
/// # Errors
/// [`KubeconfigError`], naming the file and what of it can't be used.
pub fn for_person(path: &Path, context: Option<&str>) -> Result<(Target, Option<Plugin>), KubeconfigError> {
    let directory = path.parent().unwrap_or(Path::new(""));
    read(path)
        .and_then(|text| {
            let mut kubeconfig = parse(&text)?;
            let plugin = take_plugin(&mut kubeconfig, context, directory);
            let target = target(&kubeconfig, context, Files::Beside(directory))?;
            Ok((target, plugin))
        })
        .map_err(|why| at(path.display(), why))
}

/// Takes the plugin out of the context's user, as client-go would run it: a command with a slash is a path from the kubeconfig.
fn take_plugin(kubeconfig: &mut Kubeconfig, context: Option<&str>, directory: &Path) -> Option<Plugin> {
    let name = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig
        .contexts
        .iter()
        .find(|known| known.name == name)?
        .context
        .as_ref()?;
    let user = kubeconfig
        .users
        .iter_mut()
        .find(|known| known.name == context.user)?
        .user
        .as_mut()?;
    user.exec.take().map(|plugin| plugin.beside(directory))
}

/// The target of a kubeconfig's text, which may not name files. `origin` says in errors where it came from.
///
/// # Errors
/// [`KubeconfigError`], naming the origin and what of it can't be used.
pub fn from_text(text: &str, context: Option<&str>, origin: &str) -> Result<Target, KubeconfigError> {
    parse(text)
        .and_then(|kubeconfig| target(&kubeconfig, context, Files::None))
        .map_err(|why| at(origin, why))
}

/// The contexts of a kubeconfig file, in its order, and which of them is the current one.
///
/// # Errors
/// [`KubeconfigError`], if the file can't be read.
pub fn contexts(path: &Path) -> Result<(Vec<String>, Option<String>), KubeconfigError> {
    let kubeconfig = read(path)
        .and_then(|text| parse(&text))
        .map_err(|why| at(path.display(), why))?;
    let names = kubeconfig.contexts.into_iter().map(|context| context.name);
    Ok((
        names.collect(),
        kubeconfig.current_context.filter(|name| !name.is_empty()),
    ))
}

fn at(origin: impl fmt::Display, why: Why) -> KubeconfigError {
    KubeconfigError {
        origin: origin.to_string(),
        why,
    }
}

fn read(path: &Path) -> Result<String, Why> {
    std::fs::read_to_string(path).map_err(|why| Why::Read {
        file: path.display().to_string(),
        why,
    })
}

/// The message says where, and shows nothing of the text: there are keys in it.
fn parse(text: &str) -> Result<Kubeconfig, Why> {
    serde_saphyr::from_str(text).map_err(|error| Why::Malformed(error.without_snippet().to_string()))
}

fn target(kubeconfig: &Kubeconfig, context: Option<&str>, files: Files<'_>) -> Result<Target, Why> {
    let name = context
        .or(kubeconfig.current_context.as_deref())
        .filter(|name| !name.is_empty())
        .ok_or(Why::NoContext)?;
    let named = |kind| Why::Dangling {
        context: name.to_owned(),
        kind,
    };
    let context = kubeconfig
        .contexts
        .iter()
        .find(|c| c.name == name)
        .and_then(|c| c.context.as_ref())
        .ok_or_else(|| Why::UnknownContext(name.to_owned()))?;
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|c| c.name == context.cluster)
        .and_then(|c| c.cluster.as_ref())
        .ok_or_else(|| named("cluster"))?;
    let user = kubeconfig
        .users
        .iter()
        .find(|u| u.name == context.user)
        .and_then(|u| u.user.as_ref())
        .ok_or_else(|| named("user"))?;
    if cluster.insecure_skip_tls_verify {
        return Err(Why::Insecure);
    }
    if cluster.proxy_url.is_some() {
        return Err(Why::ProxyUrl);
    }
    if user.acts_as.is_some() {
        return Err(Why::ActsAs);
    }
    Ok(Target {
        roots: roots(cluster, files)?,
        server: cluster.server.clone().ok_or(Why::NoServer)?,
        server_name: cluster.tls_server_name.clone(),
        certificate: certificate(user, files)?,
        credentials: credentials(user, files)?,
        namespace: context.namespace.clone(),
    })
}

fn roots(cluster: &Cluster, files: Files<'_>) -> Result<Roots, Why> {
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

fn certificate(user: &User, files: Files<'_>) -> Result<Option<Arc<ReloadingCertificate>>, Why> {
    match (&user.client_certificate_data, &user.client_key_data) {
        (Some(certificate), Some(key)) => {
            let chain = base64("client-certificate-data", certificate)?;
            let key = base64("client-key-data", key.expose_secret())?;
            let issued = Issued::new(CertificateChain::from_pem(&chain)?, PrivateKey::from_pem(&key)?)?;
            Ok(Some(ReloadingCertificate::from_issued(&issued)?))
        }
        (None, None) => match (&user.client_certificate, &user.client_key) {
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

fn credentials(user: &User, files: Files<'_>) -> Result<Credentials, Why> {
    let for_people = [
        (user.exec.is_some(), "exec"),
        (user.auth_provider.is_some(), "auth-provider"),
        (user.username.is_some() || user.password.is_some(), "a password"),
    ];
    if let Some((_, what)) = for_people.iter().find(|(is_there, _)| *is_there) {
        return Err(Why::ForPeople(what));
    }
    // As in client-go: the file wins, because it is renewed.
    if let Some(file) = &user.token_file {
        return Ok(Credentials::token_file(local(file, files)?)?);
    }
    match &user.token {
        Some(token) => Ok(Credentials::token(token)?),
        None => Ok(Credentials::None),
    }
}

fn local(file: &str, files: Files<'_>) -> Result<PathBuf, Why> {
    match files {
        Files::Beside(directory) => Ok(directory.join(file)),
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
    fn a_malformed_one_is_told_by_its_line_and_shows_no_secret() {
        for (text, line) in [
            (PLAIN.replace("{token: abc}", "{token: [hidden]}"), "line 7"),
            (PLAIN.replace("{token: abc}", "{token: \"hidden}"), "line 7"),
            (PLAIN.replace("contexts: [", "contexts: hidden ["), "line 5"),
            (
                PLAIN.replace("tls-server-name", "insecure-skip-tls-verify"),
                "line 6",
            ),
        ] {
            let error = refused(&text);
            assert!(error.contains(line) && !error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn what_kubectl_writes_of_nothing_is_read() {
        let error = refused(
            "apiVersion: v1\nclusters: null\ncontexts: null\nusers: null\ncurrent-context: \"\"\npreferences: {}\n",
        );
        assert!(error.contains("no current-context"), "{error}");
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
        assert!(with_user("{token: abc, as: somebody}").contains("acts as somebody else"));
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
