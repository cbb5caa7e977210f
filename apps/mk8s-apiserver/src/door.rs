//! The door: the API server with what it says of whoever asked it, or anybody with a token of the cluster.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Instant,
};

use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use mk8s_net::{Body, drain::Watch, serve, status::Status};
use mk8s_serving::ServedCertificate;
use mk8s_tls::peer_certificate;
use tokio::net::TcpStream;
use tracing::{debug, info, warn};

use crate::{
    api::Api, grants::Grants, metrics::Metrics, request_header::RequestHeader, requester::Requester,
    reviews::Reviews,
};

/// The door. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door(Arc<Entrance>);

/// What the door is made of.
pub(crate) struct Entrance {
    pub(crate) served: Arc<ServedCertificate>,
    pub(crate) request_header: Arc<RequestHeader>,
    pub(crate) reviews: Reviews,
    pub(crate) grants: Arc<Grants>,
    /// Known once the API server has said what there is to list.
    pub(crate) api: Arc<OnceLock<Arc<Api>>>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Door {
    pub(crate) fn new(entrance: Entrance) -> Self {
        Self(Arc::new(entrance))
    }

    /// Serves one connection.
    pub(crate) async fn serve(self, stream: TcpStream, peer: IpAddr, drain: Watch) {
        let Some(stream) = serve::tls(self.0.request_header.tls(), stream).await else {
            return;
        };
        let common_name = match peer_certificate(stream.get_ref().1) {
            Ok(certificate) => certificate.map(|certificate| certificate.common_name),
            Err(error) => {
                warn!(%peer, %error, "a certificate says nothing");
                None
            }
        };
        let protocol = serve::negotiated(&stream);
        let peer = Arc::new(Peer {
            address: peer,
            common_name,
        });
        let service = serve::answering(move |request| {
            let (entrance, peer) = (self.0.clone(), peer.clone());
            async move {
                let started = Instant::now();
                let response = entrance.handle(&peer, request).await;
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

/// Who is at the other end of a connection.
struct Peer {
    address: IpAddr,
    /// Of a certificate that the request-header authority signed.
    common_name: Option<String>,
}

impl Entrance {
    async fn handle(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let request = Request::from_parts(parts, ());
        match request.uri().path() {
            "/healthz" | "/livez" => return Response::new(Body::full("ok")),
            "/readyz" => return self.readiness(),
            _ => {}
        }
        let requester = match self.requester(peer, request.headers()).await {
            Ok(requester) => requester,
            Err(why) => {
                self.metrics.unauthorized.inc();
                info!(peer = %peer.address, why = why.message(), "nobody was let in");
                return why.into_response();
            }
        };
        let Some(api) = self.api.get() else {
            return Status::unavailable("mk8s-apiserver is starting; try again", 1).into_response();
        };
        let directly = peer.common_name.is_none();
        let response = api.answer(&requester, directly, &request).await;
        log(peer, &requester, &request, &response);
        response
    }

    async fn requester(&self, peer: &Peer, headers: &HeaderMap) -> Result<Arc<Requester>, Status> {
        if let Some(common_name) = &peer.common_name {
            let said = self.request_header.requester(common_name, headers);
            return said
                .map(Arc::new)
                .map_err(|why| Status::unauthorized(why.to_string()));
        }
        // Whatever X-Remote-* headers say without such a certificate, nobody has proven it.
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let token = match (values.next(), values.next()) {
            (Some(value), None) => bearer(value.as_bytes()),
            (None, _) => {
                return Err(Status::unauthorized(
                    "come through the API server (kubectl get --raw /apis/custom.api.local/v1), or send a token of the cluster",
                ));
            }
            (Some(_), Some(_)) => None,
        };
        let token = token.ok_or_else(|| {
            Status::unauthorized("there must be one Authorization header, with a Bearer token")
        })?;
        match self.reviews.holder(token).await {
            Ok(Some(requester)) => Ok(requester),
            Ok(None) => Err(Status::unauthorized("the API server doesn't know this token")),
            Err(why) => Err(Status::unavailable(why.to_string(), 1)),
        }
    }

    fn readiness(&self) -> Response<Body> {
        if let Some(why) = self.served.objection(Timestamp::now()) {
            return Status::unavailable(why, 1).into_response();
        }
        if self.api.get().is_none() {
            return Status::unavailable("the API server hasn't said yet what there is to list", 1)
                .into_response();
        }
        if !self.grants.is_complete() {
            return Status::unavailable("roles and bindings haven't been read yet", 1).into_response();
        }
        Response::new(Body::full("ok"))
    }
}

/// One line a request; what asks what there is asks often, and is told at "debug" alone.
fn log(peer: &Peer, requester: &Requester, request: &Request<()>, response: &Response<Body>) {
    let path = request.uri().path();
    let (user, status) = (&requester.name, response.status().as_u16());
    let query = request.uri().query().unwrap_or_default();
    let is_noise = path == "/apis"
        || path == "/version"
        || path.starts_with("/openapi")
        || path.trim_end_matches('/') == crate::discovery::PREFIX
        || path == "/apis/custom.api.local";
    if is_noise {
        debug!(peer = %peer.address, user, path, status, "discovery");
    } else {
        info!(peer = %peer.address, user, method = %request.method(), path, query, status, "request");
    }
}

/// The token of `Bearer TOKEN` (RFC 6750, 2.1); the scheme in any letter case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    let token = std::str::from_utf8(token).ok()?.trim();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_one() {
        assert_eq!(bearer(b"Bearer abc"), Some("abc"));
        assert_eq!(bearer(b"bearer  abc "), Some("abc"));
        for odd in [&b"Basic abc"[..], b"Bearer", b"Bearer ", b"", b"Bearer \xff"] {
            assert_eq!(bearer(odd), None, "{odd:?}");
        }
    }
}
