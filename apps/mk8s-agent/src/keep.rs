//! Where the identity outlives the process: in two files, or in a Secret, because a pod that is moved to another node
//! takes no disk with it, and a join token works once.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use mk8s_net::Body;
use mk8s_proxy::Direct;
use mk8s_tls::Issued;
use serde_json::{Value, json};

use crate::config::StateSecret;

/// The API server's own limit for a request, so no Secret is larger. In bytes.
const MAX_ANSWER: usize = 3 * 1024 * 1024;
/// Who we are in the Secret's managed fields.
const FIELD_MANAGER: &str = "mk8s-agent";

/// The place, and how to get there.
#[derive(Clone)]
pub(crate) enum Keep {
    /// A directory of ours.
    Directory { certificate: PathBuf, key: PathBuf },
    /// A Secret of type `kubernetes.io/tls`.
    Secret {
        api_server: Arc<Direct>,
        secret: StateSecret,
    },
}

impl Keep {
    /// In files below `directory`, which is made if it isn't there.
    pub(crate) fn directory(directory: &PathBuf) -> anyhow::Result<Self> {
        std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
            .create(directory)
            .with_context(|| {
                format!(
                    "can't use the state directory {} (state_dir)",
                    directory.display()
                )
            })?;
        Ok(Self::Directory {
            certificate: directory.join("agent.crt"),
            key: directory.join("agent.key"),
        })
    }

    /// What is kept, if anything is.
    pub(crate) async fn load(&self) -> anyhow::Result<Option<Issued>> {
        let unreadable = || format!("the identity kept in {self} can't be read");
        match self {
            Self::Directory { certificate, key } => {
                if !certificate.exists() {
                    return Ok(None);
                }
                let read = |path: &PathBuf| {
                    std::fs::read(path).with_context(|| format!("can't read {}", path.display()))
                };
                let issued = Issued::from_pem(&read(certificate)?, &read(key)?);
                issued.map(Some).with_context(unreadable)
            }
            Self::Secret { api_server, secret } => {
                let (status, answer) = ask(api_server, Method::GET, secret, "", None).await?;
                if status == StatusCode::NOT_FOUND {
                    return Ok(None);
                }
                succeeded(status, &answer).with_context(unreadable)?;
                let pem = |key: &str| {
                    let text = answer["data"][key]
                        .as_str()
                        .with_context(|| format!("it has no {key}"))?;
                    BASE64_STANDARD
                        .decode(text)
                        .with_context(|| format!("its {key} is no base64"))
                };
                let issued = pem("tls.crt").and_then(|chain| Ok(Issued::from_pem(&chain, &pem("tls.key")?)?));
                issued.map(Some).with_context(unreadable)
            }
        }
    }

    /// Keeps this from now on, in place of what was kept.
    pub(crate) async fn save(&self, issued: &Issued) -> anyhow::Result<()> {
        match self {
            Self::Directory { certificate, key } => Ok(issued.save(certificate, key)?),
            Self::Secret { api_server, secret } => {
                apply(api_server, secret, "", &issued.chain.pem(), &issued.key.pem())
                    .await
                    .with_context(|| format!("can't keep the identity in {self}"))
            }
        }
    }

    /// Whether something could be kept here: asked before a join token is spent, which couldn't be taken back.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Directory { certificate, .. } => {
                let directory = certificate.parent().context("the state directory has no name")?;
                tempfile::tempfile_in(directory)
                    .map(drop)
                    .with_context(|| format!("can't write to the state directory {}", directory.display()))
            }
            Self::Secret { api_server, secret } => apply(api_server, secret, "&dryRun=All", "", "")
                .await
                .with_context(|| format!("the identity couldn't be kept in {self}")),
        }
    }
}

impl std::fmt::Display for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory { certificate, key } => {
                write!(f, "{} and {}", certificate.display(), key.display())
            }
            Self::Secret { secret, .. } => write!(f, "Secret {secret}"),
        }
    }
}

/// Server-side apply: makes the Secret or changes it, in one request.
async fn apply(
    api_server: &Arc<Direct>,
    secret: &StateSecret,
    options: &str,
    certificate: &str,
    key: &str,
) -> anyhow::Result<()> {
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": secret.name, "namespace": secret.namespace},
        "data": {
            "tls.crt": BASE64_STANDARD.encode(certificate),
            "tls.key": BASE64_STANDARD.encode(key),
        },
    });
    let query = format!("?fieldManager={FIELD_MANAGER}&force=true{options}");
    let (status, answer) = ask(api_server, Method::PATCH, secret, &query, Some(&manifest)).await?;
    succeeded(status, &answer)
}

async fn ask(
    api_server: &Arc<Direct>,
    method: Method,
    secret: &StateSecret,
    query: &str,
    body: Option<&Value>,
) -> anyhow::Result<(StatusCode, Value)> {
    let path = format!(
        "/api/v1/namespaces/{}/secrets/{}{query}",
        secret.namespace, secret.name
    );
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/apply-patch+yaml")
        .body(body.map_or_else(Body::empty, |body| Body::full(body.to_string())))?;
    let unreachable = "can't ask the API server for the Secret that holds the agent's identity";
    let response = api_server
        .ask_as_self(request)
        .await
        .map_err(|e| anyhow::anyhow!(e))
        .context(unreachable)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(|e| anyhow::anyhow!(e))
        .context(unreachable)?
        .to_bytes();
    let answer = serde_json::from_slice(&body)
        .with_context(|| format!("the API server answered {status} with something else than JSON"))?;
    Ok((status, answer))
}

/// What the API server says against it, if it does.
fn succeeded(status: StatusCode, answer: &Value) -> anyhow::Result<()> {
    if status.is_success() {
        return Ok(());
    }
    let why = answer["message"].as_str().unwrap_or("nothing more");
    if status == StatusCode::FORBIDDEN {
        bail!("{why}; give the agent the verbs get, create and patch on it, as deploy/agent-rbac.yaml does");
    }
    bail!("the API server answered {status}: {why}")
}
