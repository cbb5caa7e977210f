//! The one destination an agent has: its cluster's API server, from a kubeconfig or as a pod.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Request;
use http_body_util::{BodyExt, Limited};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use mk8s_net::{Body, link::StreamCounters};
use mk8s_proxy::{Direct, credentials::Credentials, upstream::Naming};
use mk8s_tls::{CertificateChain, Issued, PrivateKey, ReloadingCertificate, Roots};
use secrecy::SecretString;
use tracing::warn;

use crate::config::{Kubernetes, SERVICE_ACCOUNT};

/// Prepares the way to the API server. Nothing is dialled yet.
pub(crate) fn connect(config: &Kubernetes, counters: Arc<StreamCounters>) -> anyhow::Result<Direct> {
    let found = match &config.kubeconfig {
        Some(path) => from_kubeconfig(path, config.context.as_deref())
            .with_context(|| format!("kubeconfig {}", path.display()))?,
        None => in_cluster()?,
    };
    let tls = |alpn: &[u8]| mk8s_tls::client::config(&found.roots, found.certificate.clone(), &[alpn]);
    Ok(Direct::new(
        &found.url,
        tls(b"h2")?,
        tls(b"http/1.1")?,
        found.credentials,
        Naming::Impersonate,
        counters,
    )?)
}

struct Found {
    url: String,
    roots: Roots,
    certificate: Option<Arc<ReloadingCertificate>>,
    credentials: Credentials,
}

fn in_cluster() -> anyhow::Result<Found> {
    let variable = |name: &str| {
        std::env::var(name).with_context(|| {
            format!("{name} is not set: run in a pod, or give a kubeconfig (kubernetes.kubeconfig)")
        })
    };
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    Ok(Found {
        url: format!("https://{host}:{port}"),
        roots: Roots::Files(vec![PathBuf::from(SERVICE_ACCOUNT).join("ca.crt")]),
        certificate: None,
        credentials: Credentials::token_file(PathBuf::from(SERVICE_ACCOUNT).join("token"))?,
    })
}

fn from_kubeconfig(path: &PathBuf, context: Option<&str>) -> anyhow::Result<Found> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..Default::default()
    };
    let name = options
        .context
        .or_else(|| kubeconfig.current_context.clone())
        .context("it has no current-context: name one in kubernetes.context")?;
    let context = kubeconfig
        .contexts
        .iter()
        .find(|c| c.name == name)
        .and_then(|c| c.context.clone())
        .with_context(|| format!("it has no context {name:?}"))?;
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|c| c.name == context.cluster)
        .and_then(|c| c.cluster.clone())
        .with_context(|| format!("context {name:?} names a cluster that isn't there"))?;
    let user = context.user.unwrap_or_default();
    let auth = kubeconfig
        .auth_infos
        .iter()
        .find(|a| a.name == user)
        .and_then(|a| a.auth_info.clone())
        .with_context(|| format!("context {name:?} names a user that isn't there"))?;
    if cluster.insecure_skip_tls_verify == Some(true) {
        bail!(
            "insecure-skip-tls-verify would send the agent's token to anybody: give certificate-authority instead"
        );
    }
    let roots = match pem(
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_deref(),
    )? {
        Some(pem) => Roots::Pem(pem),
        None => Roots::System,
    };
    Ok(Found {
        url: cluster.server.context("the cluster has no server")?,
        roots,
        certificate: certificate(&auth)?,
        credentials: credentials(&auth)?,
    })
}

fn certificate(auth: &AuthInfo) -> anyhow::Result<Option<Arc<ReloadingCertificate>>> {
    if let (Some(certificate), Some(key)) = (&auth.client_certificate, &auth.client_key) {
        return Ok(Some(ReloadingCertificate::from_files(
            certificate.as_ref(),
            key.as_ref(),
        )?));
    }
    let Some(chain) = pem(auth.client_certificate_data.as_deref(), None)? else {
        return Ok(None);
    };
    let key = auth
        .client_key_data
        .as_ref()
        .context("client-certificate-data has no client-key-data beside it")?;
    let key = BASE64_STANDARD
        .decode(secrecy::ExposeSecret::expose_secret(key).trim())
        .context("client-key-data is no base64")?;
    let issued = Issued::new(CertificateChain::from_pem(&chain)?, PrivateKey::from_pem(&key)?)?;
    Ok(Some(ReloadingCertificate::from_issued(&issued)?))
}

fn credentials(auth: &AuthInfo) -> anyhow::Result<Credentials> {
    if auth.exec.is_some() || auth.auth_provider.is_some() {
        bail!(
            "exec plugins and auth providers are for people; give the agent a token file or a client certificate"
        );
    }
    if let Some(file) = &auth.token_file {
        return Ok(Credentials::token_file(file.into())?);
    }
    match &auth.token {
        Some(token) => Ok(Credentials::token(&SecretString::from(
            secrecy::ExposeSecret::expose_secret(token).to_owned(),
        ))?),
        None => Ok(Credentials::None),
    }
}

fn pem(data: Option<&str>, file: Option<&str>) -> anyhow::Result<Option<Vec<u8>>> {
    match (data, file) {
        (Some(data), _) => Ok(Some(
            BASE64_STANDARD
                .decode(data.trim())
                .context("certificate data is no base64")?,
        )),
        (None, Some(file)) => Ok(Some(
            std::fs::read(file).with_context(|| format!("can't read {file}"))?,
        )),
        (None, None) => Ok(None),
    }
}

/// The API server's `gitVersion`, asked in the agent's own name. None if it can't be told: an agent whose API server is
/// away still connects, and says 503 to those who ask.
pub(crate) async fn version(api_server: &Arc<Direct>) -> Option<String> {
    match ask_version(api_server).await {
        Ok(version) => Some(version),
        Err(error) => {
            warn!(%error, "can't ask the API server for its version");
            None
        }
    }
}

async fn ask_version(api_server: &Arc<Direct>) -> Result<String, mk8s_net::BoxError> {
    let response = api_server
        .ask_as_self(Request::get("/version").body(Body::empty())?)
        .await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), 64 * 1024)
        .collect()
        .await?
        .to_bytes();
    if !status.is_success() {
        return Err(format!("it answered {status}").into());
    }
    let version: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(version["gitVersion"]
        .as_str()
        .ok_or("its answer has no gitVersion")?
        .to_owned())
}
