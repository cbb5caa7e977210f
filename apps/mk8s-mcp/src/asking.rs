//! What every way to a cluster has in common: who is said to ask, and what may be asked again.

use http::{Method, Request};
use mk8s_mcp_core::{cluster::Upgraded, principal::Principal};
use mk8s_net::Body;
use mk8s_proxy::{Caller, Extra, Switched};

/// A principal, for the one path.
pub(crate) fn caller(principal: &Principal) -> Caller {
    Caller {
        identity: principal.identity.clone(),
        subject: None,
        session: None,
        source: principal.source,
        until: principal.until,
        extra: Extra::default(),
        held: None,
    }
}

/// A connection into a pod, as tools take it.
pub(crate) fn upgraded(switched: Switched) -> Upgraded {
    Upgraded {
        headers: switched.headers,
        stream: Box::new(switched.stream),
    }
}

/// The same request once more, if it only reads: what has a body isn't read twice.
pub(crate) fn again(request: &Request<Body>) -> Option<Request<Body>> {
    (request.method() == Method::GET).then(|| {
        let mut again = Request::new(Body::empty());
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        again
    })
}
