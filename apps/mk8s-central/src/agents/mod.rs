//! The agents' door: one port, TLS 1.3, two protocols by ALPN. `h2` carries the control calls ([`control`]);
//! `mk8s-tunnel/1` is a connection on which the roles are reversed and central asks.

mod control;

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use mk8s_net::{
    Body,
    drain::Watch,
    serve::{self, Protocol},
};
use mk8s_tls::{PeerCertificate, ServerConfig, ServerTlsStream, peer_certificate};
use mk8s_tunnel::{grpc, proto::agent_service_server::AgentServiceServer};
use tokio::net::TcpStream;
use tracing::{debug, info, warn};

pub(crate) use control::Control;

use crate::registry::{Entry, Registry};

/// What the URI in an agent's certificate begins with; the agent's id follows.
pub(crate) const AGENT_URI: &str = "mk8s://agent/";

/// Serves what comes in on the agents' port. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AgentsDoor {
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) control: AgentServiceServer<Control>,
}

/// Why a certificate that our CA signed doesn't connect its holder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stranger {
    #[error("no agent certificate was shown")]
    NoCertificate,
    #[error("the certificate is no agent's")]
    NoAgent,
    #[error("no cluster of this name is registered")]
    NoCluster,
    #[error(
        "this agent was revoked, or another one registered for its cluster: to have it back, delete its state directory \
         and give it a new join token"
    )]
    Replaced,
}

impl AgentsDoor {
    /// Serves one connection.
    pub(crate) async fn serve(self, stream: TcpStream, drain: Watch) {
        let Some(stream) = serve::tls(self.tls.clone(), stream).await else {
            return;
        };
        let certificate = match peer_certificate(stream.get_ref().1) {
            Ok(certificate) => certificate,
            Err(error) => {
                debug!(%error, "an agent's certificate can't be read");
                return;
            }
        };
        match stream.get_ref().1.alpn_protocol() {
            Some(alpn) if alpn == mk8s_tunnel::ALPN => self.tunnel(stream, certificate, drain).await,
            _ => self.control(stream, certificate, drain).await,
        }
    }

    async fn tunnel(
        self,
        stream: Box<ServerTlsStream<TcpStream>>,
        certificate: Option<PeerCertificate>,
        mut drain: Watch,
    ) {
        let peer = stream.get_ref().0.peer_addr().ok();
        let entry = match known_agent(&self.registry, certificate.as_ref()) {
            Ok(entry) => entry,
            Err(why) => {
                warn!(?peer, %why, "refused a tunnel");
                return;
            }
        };
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let counters = self.registry.counters().clone();
        let link = match mk8s_tunnel::central::accept(stream, counters, move || drop(ended)).await {
            Ok(link) => link,
            Err(error) => {
                warn!(?peer, cluster = %entry.name, %error, "a tunnel did not come up");
                return;
            }
        };
        info!(?peer, cluster = %entry.name, "tunnel up");
        if let Err(error) = self.registry.connect(&entry, link.clone()).await {
            warn!(cluster = %entry.name, %error, "can't write the cluster's status");
        }
        tokio::select! {
            _ = end => {}
            // Tunnels outlive the people's requests: they are drained after those.
            () = drain.draining() => link.cut(),
        }
        if let Err(error) = self.registry.disconnected(&entry).await {
            warn!(cluster = %entry.name, %error, "can't write the cluster's status");
        }
    }

    async fn control(
        self,
        stream: Box<ServerTlsStream<TcpStream>>,
        certificate: Option<PeerCertificate>,
        drain: Watch,
    ) {
        let (service, certificate) = (self.control, certificate.map(Arc::new));
        let peer = stream.get_ref().0.peer_addr().ok();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let service = service.clone();
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            async move { Ok::<Response<Body>, Infallible>(grpc::serve(service, request).await) }
        });
        serve::connection(stream, Protocol::Http2, service, drain).await;
    }
}

/// The cluster whose agent shows this certificate.
pub(crate) fn known_agent(
    registry: &Registry,
    certificate: Option<&PeerCertificate>,
) -> Result<Arc<Entry>, Stranger> {
    let certificate = certificate.ok_or(Stranger::NoCertificate)?;
    let agent_id = certificate
        .uri_sans
        .iter()
        .find_map(|uri| uri.strip_prefix(AGENT_URI))
        .ok_or(Stranger::NoAgent)?;
    let entry = registry
        .find(&certificate.common_name)
        .ok_or(Stranger::NoCluster)?;
    if entry.known().agent_id.as_deref() == Some(agent_id) {
        Ok(entry)
    } else {
        Err(Stranger::Replaced)
    }
}
