//! The door: TLS with a client certificate. Its common name is the user, each of its organizations a group.

use std::{net::IpAddr, sync::Arc, time::Instant};

use http::{Request, Response, header};
use hyper::body::Incoming;
use mk8s_model::ClusterName;
use mk8s_net::{Body, drain::Watch, serve, status::Status};
use mk8s_operators::{Admitted, Operators, Refused};
use mk8s_proxy::{Caller, Extra, Inbound, Proxy, Upgrade};
use mk8s_tls::{ServerConfig, ServerConnection};
use tokio::net::TcpStream;
use tracing::{info, warn};

use crate::metrics::Metrics;

/// The door. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door(Arc<Entrance>);

/// What the door is made of.
pub(crate) struct Entrance {
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) proxy: Proxy,
    pub(crate) cluster: ClusterName,
    pub(crate) operators: Arc<Operators>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Door {
    pub(crate) fn new(entrance: Entrance) -> Self {
        Self(Arc::new(entrance))
    }

    /// Serves one connection.
    pub(crate) async fn serve(self, stream: TcpStream, peer: IpAddr, drain: Watch) {
        let entrance = self.0;
        let stream = match serve::handshake(entrance.tls.clone(), stream).await {
            Ok(stream) => stream,
            Err(error) => {
                entrance.metrics.handshakes_refused.inc();
                info!(%peer, %error, "nobody was let in: the handshake failed");
                return;
            }
        };
        let _open = entrance.metrics.connected();
        let guest = match entrance.admit(stream.get_ref().1, peer) {
            Ok(guest) => Ok(guest),
            Err(why) => {
                entrance.metrics.certificates_refused.inc();
                warn!(%peer, %why, "a certificate lets nobody in");
                Err(Status::forbidden(why.to_string()))
            }
        };
        let protocol = serve::negotiated(&stream);
        let guest = Arc::new(guest);
        let service = serve::answering(move |request| {
            let (entrance, guest) = (entrance.clone(), guest.clone());
            async move {
                let started = Instant::now();
                let response = entrance.handle(&guest, request).await;
                entrance
                    .metrics
                    .answers
                    .count(response.status().as_u16(), started.elapsed());
                response
            }
        });
        serve::connection(stream, protocol, service, drain).await;
    }
}

/// Who came in, and as whom they ask.
struct Guest {
    admitted: Admitted,
    caller: Caller,
}

impl Entrance {
    fn admit(&self, connection: &ServerConnection, source: IpAddr) -> Result<Guest, Refused> {
        let admitted = self.operators.admit(connection)?;
        let caller = Caller {
            identity: admitted.identity()?,
            subject: None,
            session: Some(admitted.session()),
            source,
            until: admitted.until(),
            extra: Extra::default(),
            held: Some(admitted.held()),
        };
        Ok(Guest { admitted, caller })
    }

    async fn handle(&self, guest: &Result<Guest, Status>, mut request: Request<Incoming>) -> Response<Body> {
        let caller = match guest {
            Ok(guest) => {
                guest.admitted.settled().await;
                guest.caller.clone()
            }
            Err(status) => return status.clone().into_response(),
        };
        // The certificate says who asks; a token beside it says nothing, and is the client's secret.
        request.headers_mut().remove(header::AUTHORIZATION);
        let upgrade = Upgrade::from_http1(&mut request);
        let inbound = Inbound {
            caller,
            cluster: self.cluster.clone(),
            request: Body::from_request(request),
            upgrade,
            audit_id: None,
        };
        self.proxy.handle(inbound).await
    }
}
