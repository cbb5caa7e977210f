//! Who we are to central: a client certificate of one day, got once for a join token and renewed from then on.

use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use mk8s_net::link::{Link, StreamCounters};
use mk8s_proxy::Direct;
use mk8s_tls::{CertificateChain, Issued, ReloadingCertificate, Roots, generate_csr};
use mk8s_tunnel::{
    agent::Central,
    grpc::Channel,
    proto::{ClusterMetadata, RegisterRequest, RenewRequest, agent_service_client::AgentServiceClient},
};
use secrecy::ExposeSecret;
use tracing::info;

use crate::{
    config::{Config, State},
    keep::Keep,
};

/// What central can be told about us by every call.
pub(crate) fn metadata(kubernetes_version: Option<String>) -> ClusterMetadata {
    ClusterMetadata {
        kubernetes_version: kubernetes_version.unwrap_or_default(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The certificate, where it is kept, and where it is for.
#[derive(Clone)]
pub(crate) struct Identity {
    host: String,
    port: u16,
    roots: Arc<Roots>,
    certificate: Arc<ReloadingCertificate>,
    keep: Keep,
}

impl Identity {
    /// The identity that was kept if it is still good, else a new one for the join token.
    pub(crate) async fn obtain(
        config: &Config,
        api_server: &Arc<Direct>,
        kubernetes_version: Option<String>,
    ) -> anyhow::Result<Self> {
        let keep = match &config.state {
            State::Directory(directory) => Keep::directory(directory)?,
            State::Secret(secret) => Keep::Secret {
                api_server: api_server.clone(),
                secret: secret.clone(),
            },
        };
        let roots = Arc::new(match &config.tls.ca_file {
            Some(file) => Roots::Files(vec![file.clone()]),
            None => Roots::System,
        });
        let issued = match keep.load().await? {
            Some(kept) if kept.chain.not_after() > Timestamp::now() => kept,
            _ => register(config, &roots, &keep, kubernetes_version).await?,
        };
        let certificate = ReloadingCertificate::from_issued(&issued)?;
        Ok(Self {
            host: config.central.host.clone(),
            port: config.central.port,
            roots,
            certificate,
            keep,
        })
    }

    /// How to reach central with this identity.
    pub(crate) fn central(&self, alpn: &[u8]) -> anyhow::Result<Central> {
        let tls = mk8s_tls::client::config_tls13(&self.roots, Some(self.certificate.clone()), &[alpn])?;
        Ok(Central {
            host: self.host.clone(),
            port: self.port,
            tls,
        })
    }

    /// When the certificate ends.
    pub(crate) fn not_after(&self) -> Timestamp {
        self.certificate.not_after()
    }

    /// Exchanges the certificate for a fresh one; the next connections use it.
    pub(crate) async fn renew(&self, client: &mut AgentServiceClient<Channel>) -> anyhow::Result<()> {
        let (key, csr) = generate_csr()?;
        let request = RenewRequest {
            certificate_signing_request: csr.der().to_vec(),
        };
        let answer = client.renew(request).await.map_err(refused)?.into_inner();
        let issued = Issued::new(
            CertificateChain::from_pem(answer.certificate_chain.as_bytes())?,
            key,
        )?;
        self.certificate.replace(&issued)?;
        info!(until = %issued.chain.not_after(), "certificate renewed");
        // What is kept is good for hours yet, and the next renewal is kept before it ends.
        self.keep.save(&issued).await
    }
}

async fn register(
    config: &Config,
    roots: &Roots,
    keep: &Keep,
    kubernetes_version: Option<String>,
) -> anyhow::Result<Issued> {
    let token = config.central.token.as_ref().filter(|t| !t.expose_secret().is_empty()).with_context(|| {
        format!(
            "no join token, and no identity that is still good in {keep}: make one with `mk8s-central agent-token create --cluster {}` and give \
             it in AGENT_TOKEN or central.token",
            config.cluster.name
        )
    })?;
    keep.check().await?;
    let tls = mk8s_tls::client::config_tls13(roots, None, &[mk8s_tunnel::GRPC_ALPN])?;
    let central = Central {
        host: config.central.host.clone(),
        port: config.central.port,
        tls,
    };
    let mut client = control(&central).await?;
    let (key, csr) = generate_csr()?;
    let answer = client
        .register(RegisterRequest {
            cluster_name: config.cluster.name.to_string(),
            token: token.expose_secret().to_owned(),
            certificate_signing_request: csr.der().to_vec(),
            metadata: Some(metadata(kubernetes_version)),
        })
        .await
        .map_err(refused)?
        .into_inner();
    let issued = Issued::new(
        CertificateChain::from_pem(answer.certificate_chain.as_bytes())?,
        key,
    )?;
    keep.save(&issued).await?;
    info!(cluster = %config.cluster.name, agent = answer.agent_id, until = %issued.chain.not_after(), "registered");
    Ok(issued)
}

/// A client for the control calls on a connection of its own.
pub(crate) async fn control(central: &Central) -> anyhow::Result<AgentServiceClient<Channel>> {
    let reach = || format!("can't reach central at {}:{}", central.host, central.port);
    let stream = central
        .connect()
        .await
        .map_err(|e| anyhow::anyhow!("{e}"))
        .with_context(reach)?;
    let link = Link::handshake(stream, Arc::new(StreamCounters::default()), || {})
        .await
        .with_context(reach)?;
    let origin: http::Uri = format!("https://{}:{}", central.host, central.port)
        .parse()
        .with_context(reach)?;
    Ok(AgentServiceClient::with_origin(Channel::new(link), origin))
}

/// Central's own words, without gRPC's wrapping.
pub(crate) fn refused(status: tonic::Status) -> anyhow::Error {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::Unknown => anyhow::anyhow!("central: {}", status.message()),
        _ => anyhow::anyhow!("central refused this agent: {}", status.message()),
    }
}
