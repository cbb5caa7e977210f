//! What is served on a tunnel: the cluster's API to those whom central names, and the agent's own calls.
//!
//! Central says who asks in impersonation headers. Whatever it says, nobody becomes `system:*` here, and the only
//! destination is this cluster's API server.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::Arc,
};

use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use mk8s_model::{AuditId, AuthMethod, ClusterName, Identity};
use mk8s_net::{Body, status::Status};
use mk8s_proxy::{
    Caller, Direct, Extra, Inbound, OnlyCluster, Proxy, Upgrade, Upstream,
    audit::LogOnly,
    decide::AllowAll,
    rewrite::{AUDIT_ID, IMPERSONATE_GROUP, IMPERSONATE_USER, KUBERNETES_AUTHORITY},
};
use mk8s_tunnel::{
    CONTROL_AUTHORITY, HEALTH_PATH, grpc, proto::command_service_server::CommandServiceServer,
};
use tracing::debug;

use crate::command::Commands;

/// Serves one tunnel's requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door(Arc<Room>);

struct Room {
    cluster: ClusterName,
    proxy: Proxy,
    commands: CommandServiceServer<Commands>,
}

impl Door {
    /// The door to one API server.
    pub(crate) fn new(cluster: ClusterName, api_server: Arc<Direct>) -> Self {
        let only = Arc::new(OnlyCluster(Upstream::Direct(api_server)));
        let proxy = Proxy::new(Arc::new(AllowAll::by("central")), only.clone(), Arc::new(LogOnly));
        let commands = CommandServiceServer::new(Commands::new(cluster.clone(), only));
        Self(Arc::new(Room {
            cluster,
            proxy,
            commands,
        }))
    }
}

impl Room {
    async fn serve(&self, request: Request<Incoming>) -> Response<Body> {
        match request.uri().authority().map(http::uri::Authority::as_str) {
            Some(KUBERNETES_AUTHORITY) => self.kubernetes(request).await,
            Some(CONTROL_AUTHORITY) if request.uri().path() == HEALTH_PATH => Response::new(Body::full("ok")),
            Some(CONTROL_AUTHORITY) => Box::pin(grpc::serve(self.commands.clone(), request)).await,
            other => {
                debug!(authority = ?other, "refused a request for another destination");
                let mut response =
                    Status::bad_request("this agent reaches its own API server alone").into_response();
                *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
                response
            }
        }
    }

    async fn kubernetes(&self, mut request: Request<Incoming>) -> Response<Body> {
        let upgrade = Upgrade::from_connect(&mut request);
        let identity = match named(request.headers_mut()) {
            Ok(identity) => identity,
            Err(why) => return why.into_response(),
        };
        let audit_id = request
            .headers()
            .get(&AUDIT_ID)
            .and_then(|id| id.to_str().ok())
            .and_then(|id| id.parse().ok())
            .map(AuditId);
        let caller = Caller {
            identity,
            subject: None,
            session: None,
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            until: None,
            extra: Extra::default(),
            held: None,
        };
        let inbound = Inbound {
            caller,
            cluster: self.cluster.clone(),
            request: Body::from_request(request),
            upgrade,
            audit_id,
        };
        let mut response = self.proxy.handle(inbound).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // On an extended CONNECT, success says what 101 says on HTTP/1.1 (RFC 8441, 5).
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().remove(header::CONNECTION);
            response.headers_mut().remove(header::UPGRADE);
        }
        response
    }
}

impl hyper::service::Service<Request<Incoming>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let room = self.0.clone();
        Box::pin(async move { Ok(room.serve(request).await) })
    }
}

/// Whom central names, taken out of the headers.
fn named(headers: &mut HeaderMap) -> Result<Identity, Status> {
    let text = |value: &http::HeaderValue| String::from_utf8(value.as_bytes().to_vec()).ok();
    let mut users = headers.get_all(&IMPERSONATE_USER).iter();
    let (user, more) = (users.next().and_then(text), users.next());
    let user = match (user, more) {
        (Some(user), None) => user,
        _ => return Err(Status::bad_request("central must name exactly one user")),
    };
    let groups: Vec<String> = headers
        .get_all(&IMPERSONATE_GROUP)
        .iter()
        .filter_map(text)
        .collect();
    headers.remove(&IMPERSONATE_USER);
    headers.remove(&IMPERSONATE_GROUP);
    Identity::new(&user, groups, AuthMethod::Peer)
        .map_err(|why| Status::forbidden(format!("the agent refuses: {why}")))
}
