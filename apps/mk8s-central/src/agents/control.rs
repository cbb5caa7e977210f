//! The control calls: joining with a token, signs of life, renewal.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use mk8s_authn::{AgentTokenError, AgentTokens, Clock};
use mk8s_model::ClusterName;
use mk8s_store::{AgentIdentity, Store};
use mk8s_tls::{CertificateAuthority, CertificateChain, ClientSubject, PeerCertificate};
use mk8s_tunnel::proto::{
    ClusterMetadata, HeartbeatRequest, HeartbeatResponse, RegisterRequest, RegisterResponse, RenewRequest,
    RenewResponse, agent_service_server::AgentService,
};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};
use tracing::{error, info, warn};

use crate::{
    agents::{AGENT_URI, known_agent},
    registry::{Entry, Registry},
};

/// How long an agent's certificate is good for. Short, because revocation is by not renewing (and by the registry).
const AGENT_VALIDITY: Duration = Duration::from_secs(24 * 3600);
const HEARTBEAT_SECONDS: u32 = 10;
/// What agents' certificates have as organization: no Kubernetes group, and never `system:`.
const ORGANIZATION: &str = "mk8s:agents";

/// The service.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) authority: Arc<CertificateAuthority>,
    pub(crate) tokens: AgentTokens,
    pub(crate) store: Store,
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[tonic::async_trait]
impl AgentService for Control {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let peer = request.extensions().get::<SocketAddr>().copied();
        let request = request.into_inner();
        let name: ClusterName = request
            .cluster_name
            .parse()
            .map_err(|why: mk8s_model::InvalidClusterName| Status::invalid_argument(why.to_string()))?;
        // Before the token is used up: it must not be lost on a mistake in the name.
        if let Some(entry) = self
            .registry
            .find(name.as_str())
            .filter(|entry| entry.is_connected())
        {
            warn!(?peer, cluster = %name, "refused a second agent for a connected cluster");
            let since = entry
                .known()
                .last_seen
                .map(|at| format!(", last heard of at {at:.0}"))
                .unwrap_or_default();
            return Err(Status::already_exists(format!(
                "cluster {name} has a connected agent already{since}: stop that one first, or register under another name"
            )));
        }
        let key = hex(&Sha256::digest(&request.certificate_signing_request));
        // What the signature proves is checked before the token is spent.
        let probe = self.sign(&request.certificate_signing_request, &name, "unregistered")?;
        drop(probe);
        let agent_id = self
            .tokens
            .redeem(&request.token, &name, &key)
            .await
            .map_err(|why| {
                warn!(?peer, cluster = %name, %why, "refused a join token");
                token_status(&why)
            })?
            .to_string();
        let chain = self.sign(&request.certificate_signing_request, &name, &agent_id)?;
        let agent = AgentIdentity {
            agent_id: agent_id.clone(),
            certificate: chain.fingerprint().to_hex(),
            serial: PeerCertificate::from_der(chain.leaf())
                .map(|c| c.serial)
                .unwrap_or_default(),
            public_key: key,
        };
        let metadata = metadata(request.metadata);
        let cluster = self
            .store
            .upsert_cluster(&name, &agent, &metadata, self.clock.now())
            .await
            .map_err(internal)?;
        self.registry.refresh().await.map_err(internal)?;
        info!(?peer, cluster = %name, agent = agent_id, "agent registered");
        Ok(Response::new(RegisterResponse {
            certificate_chain: chain.pem(),
            cluster_id: cluster.id.to_string(),
            agent_id,
        }))
    }

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        let (entry, _) = self.agent(&request)?;
        let request = request.into_inner();
        let version = request
            .metadata
            .map(|m| m.kubernetes_version)
            .filter(|v| !v.is_empty());
        let now = self.clock.now().as_millisecond();
        if (now - request.sent_at_ms).abs() > 60_000 {
            warn!(cluster = %entry.name, seconds = (now - request.sent_at_ms) / 1000, "an agent's clock is off");
        }
        if entry.is_connected() {
            self.registry
                .seen(&entry, version, false)
                .await
                .map_err(internal)?;
        }
        Ok(Response::new(HeartbeatResponse {
            interval_seconds: HEARTBEAT_SECONDS,
            received_at_ms: now,
        }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let (entry, agent_id) = self.agent(&request)?;
        let chain = self.sign(
            &request.into_inner().certificate_signing_request,
            &entry.name,
            &agent_id,
        )?;
        info!(cluster = %entry.name, agent = agent_id, "agent certificate renewed");
        Ok(Response::new(RenewResponse {
            certificate_chain: chain.pem(),
        }))
    }
}

impl Control {
    fn sign(&self, csr: &[u8], cluster: &ClusterName, agent_id: &str) -> Result<CertificateChain, Status> {
        let subject = ClientSubject {
            common_name: cluster.to_string(),
            organizations: vec![ORGANIZATION.to_owned()],
            uri_sans: vec![format!("{AGENT_URI}{agent_id}")],
        };
        self.authority
            .sign_csr(csr, &subject, AGENT_VALIDITY, Timestamp::now())
            .map_err(|why| Status::invalid_argument(format!("the certificate signing request: {why}")))
    }

    fn agent<T>(&self, request: &Request<T>) -> Result<(Arc<Entry>, String), Status> {
        let certificate = request
            .extensions()
            .get::<Arc<PeerCertificate>>()
            .map(AsRef::as_ref);
        let entry = known_agent(&self.registry, certificate)
            .map_err(|why| Status::unauthenticated(why.to_string()))?;
        let agent_id = entry.known().agent_id.unwrap_or_default();
        Ok((entry, agent_id))
    }
}

fn metadata(metadata: Option<ClusterMetadata>) -> serde_json::Value {
    let metadata = metadata.unwrap_or_default();
    let short = |text: String| text.chars().take(128).collect::<String>();
    serde_json::json!({
        "kubernetes_version": short(metadata.kubernetes_version),
        "agent_version": short(metadata.agent_version),
    })
}

fn token_status(why: &AgentTokenError) -> Status {
    match why {
        AgentTokenError::Storage(_) => Status::unavailable("the database is away; try again"),
        why => Status::permission_denied(why.to_string()),
    }
}

fn internal(why: mk8s_store::StoreError) -> Status {
    error!(error = %why, "the database failed");
    Status::unavailable("the database is away; try again")
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
