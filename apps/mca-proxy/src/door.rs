//! The pod's door: HTTPS on the loopback. Whoever shows the placeholder token is a container of this pod.

use std::{convert::Infallible, net::IpAddr, pin::Pin, sync::Arc};

use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use mk8s_model::{AuthMethod, Identity};
use mk8s_net::{Body, drain::Watch, serve, status::Status};
use mk8s_proxy::{Caller, Inbound, Proxy, Upgrade};
use mk8s_tls::ServerConfig;
use tokio::net::TcpStream;

use crate::{
    route::{self, Way},
    routes::Routes,
    service_account::Placeholder,
};

/// The door. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door(Arc<Pod>);

struct Pod {
    tls: Arc<ServerConfig>,
    proxy: Proxy,
    placeholder: Placeholder,
    /// What the path calls the pod's containers. Nobody is told: the API server knows them by the real token.
    identity: Identity,
    routes: Arc<Routes>,
}

impl Door {
    pub(crate) fn new(
        tls: Arc<ServerConfig>,
        proxy: Proxy,
        placeholder: Placeholder,
        routes: Arc<Routes>,
    ) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Pod {
            tls,
            proxy,
            placeholder,
            identity: Identity::new("pod", [""; 0], AuthMethod::Pod)?,
            routes,
        })))
    }

    /// Serves one connection.
    pub(crate) async fn serve(self, stream: TcpStream, peer: IpAddr, drain: Watch) {
        let Some(stream) = serve::tls(self.0.tls.clone(), stream).await else {
            return;
        };
        let protocol = serve::negotiated(&stream);
        let service = Connection { pod: self.0, peer };
        serve::connection(stream, protocol, service, drain).await;
    }
}

impl Pod {
    async fn handle(&self, mut request: Request<Incoming>, source: IpAddr) -> Response<Body> {
        if let Err(why) = self.admit(request.headers()) {
            return why.into_response();
        }
        let upgrade = Upgrade::from_http1(&mut request);
        let mut request = Body::from_request(request);
        let way = match route::choose(&self.routes, &mut request).await {
            Ok(way) => way,
            Err(why) => return why.into_response(),
        };
        let cluster = match way {
            Way::One(cluster) => cluster,
            Way::Several(clusters) => match clusters.into_iter().next() {
                Some(first) => first,
                None => self.routes.home().clone(),
            },
        };
        let inbound = Inbound {
            caller: Caller {
                identity: self.identity.clone(),
                subject: None,
                session: None,
                source,
                until: None,
            },
            cluster,
            request,
            upgrade,
            audit_id: None,
        };
        self.proxy.handle(inbound).await
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), Status> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (value, more) = (values.next(), values.next());
        let Some(value) = value else {
            return Err(Status::unauthorized(
                "no token: send the one in /var/run/secrets/kubernetes.io/serviceaccount/token of this pod's containers",
            ));
        };
        let is_ours =
            more.is_none() && bearer(value.as_bytes()).is_some_and(|token| self.placeholder.is(token));
        if is_ours {
            return Ok(());
        }
        Err(Status::unauthorized(
            "this is not the token of this pod's containers: read \
             /var/run/secrets/kubernetes.io/serviceaccount/token, and send it as a Bearer token",
        ))
    }
}

/// The token of `Bearer TOKEN` (RFC 6750, 2.1); the scheme in any letter case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// One connection's service.
struct Connection {
    pod: Arc<Pod>,
    peer: IpAddr,
}

impl hyper::service::Service<Request<Incoming>> for Connection {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (pod, peer) = (self.pod.clone(), self.peer);
        Box::pin(async move { Ok(pod.handle(request, peer).await) })
    }
}
