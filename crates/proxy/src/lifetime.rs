//! How long a stream may live. A watch is authenticated and authorized at its start only (client-go#1381); here it ends
//! when the proof of identity does, and when a policy change takes the permission away.

use std::{pin::Pin, sync::Arc};

use http::{Method, Uri};
use mk8s_model::{ClusterName, Decision, KubeRequest};

use crate::decide::{Authorizer, Caller};

/// Resolves when a stream must end, with the reason.
pub(crate) type Leash = Pin<Box<dyn Future<Output = &'static str> + Send>>;

/// What a stream was allowed to do, kept so that the question can be asked again.
pub(crate) struct Standing {
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) caller: Caller,
    pub(crate) cluster: ClusterName,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
}

impl Standing {
    /// A leash for a stream; none if nothing can end it.
    pub(crate) fn leash(self) -> Option<Leash> {
        let changes = self.authorizer.changes();
        if changes.is_none() && self.caller.until.is_none() {
            return None;
        }
        let until = self.caller.until;
        let expired = async move {
            match until {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let withdrawn = async move {
            let Some(mut changes) = changes else {
                return std::future::pending().await;
            };
            // Asked first of all: what changed while the upstream was waited for has been missed.
            while self.still_holds() {
                if changes.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        Some(Box::pin(async move {
            tokio::select! {
                () = expired => "the login expired",
                () = withdrawn => "the permission was withdrawn",
            }
        }))
    }

    fn still_holds(&self) -> bool {
        KubeRequest::classify(&self.method, &self.uri).is_ok_and(|request| {
            matches!(
                self.authorizer.decide(&self.caller, &self.cluster, &request),
                Decision::Allow(_)
            )
        })
    }
}
