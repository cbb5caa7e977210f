//! What every way to a cluster has in common: who is said to ask, and what becomes of a connection into a pod.

use mk8s_mcp_core::{cluster::Upgraded, principal::Principal};
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
