//! The pod's door: HTTPS on the loopback. Whoever shows the placeholder token is a container of this pod.

use std::sync::Arc;

use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use mk8s_net::{Body, drain::Watch, serve, status::Status};
use mk8s_proxy::Upgrade;
use mk8s_tls::ServerConfig;
use tokio::net::TcpStream;

use crate::{inside::Inside, limit::Limit, metrics::Metrics, service_account::Placeholder};

/// The door. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door(Arc<Entrance>);

/// What the door is made of.
pub(crate) struct Entrance {
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) placeholder: Placeholder,
    pub(crate) limit: Option<Limit>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) inside: Inside,
}

impl Door {
    pub(crate) fn new(entrance: Entrance) -> Self {
        Self(Arc::new(entrance))
    }

    /// Serves one connection.
    pub(crate) async fn serve(self, stream: TcpStream, drain: Watch) {
        let Some(stream) = serve::tls(self.0.tls.clone(), stream).await else {
            return;
        };
        let _open = self.0.metrics.connected();
        let protocol = serve::negotiated(&stream);
        let service = serve::answering(move |request| {
            let entrance = self.0.clone();
            async move { entrance.handle(request).await }
        });
        serve::connection(stream, protocol, service, drain).await;
    }
}

impl Entrance {
    async fn handle(&self, mut request: Request<Incoming>) -> Response<Body> {
        if let Err(why) = self.admit(request.headers()) {
            self.metrics.unauthorized.inc();
            return why.into_response();
        }
        if let Some(limit) = &self.limit
            && let Err(why) = limit.admit()
        {
            self.metrics.limited.inc();
            return why.into_response();
        }
        // It has said what it has to say.
        request.headers_mut().remove(header::AUTHORIZATION);
        let upgrade = Upgrade::from_http1(&mut request);
        self.inside.answer(Body::from_request(request), upgrade).await
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
