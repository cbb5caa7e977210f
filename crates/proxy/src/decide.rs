//! May they? The step that turns a request into a [`Permitted`] one.

use std::{any::Any, net::IpAddr, sync::Arc, time::Instant};

use mk8s_model::{ClusterName, Decision, Denial, Grant, Identity, KubeRequest};
use tokio::sync::watch;
use uuid::Uuid;

use crate::Extra;

/// Who stands at the door, with what the door found out about them.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The name that Kubernetes will be told.
    pub identity: Identity,
    /// What the authorizer knows them by: a user id, or nothing where the identity is all there is.
    pub subject: Option<Uuid>,
    /// The login that vouches for them; revoking it ends their streams.
    pub session: Option<Uuid>,
    /// From which address.
    pub source: IpAddr,
    /// Until when the door's proof of identity holds. Streams end then.
    pub until: Option<Instant>,
    /// What else Kubernetes will be told of them, where we dial its API server ourselves. Never of a client's making.
    pub extra: Extra,
    /// What the authorizer knows them by is there as long as this is. It goes along with each request, because a stream may
    /// outlive the connection's own part of the door: what comes after an upgrade does.
    pub held: Option<Arc<dyn Any + Send + Sync>>,
}

/// Decides. Implementations are pure and quick: they are asked on every request, and again on live streams whenever
/// [`Authorizer::changes`] moves.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether the caller may do this on that cluster.
    fn decide(&self, caller: &Caller, cluster: &ClusterName, request: &KubeRequest<'_>) -> Decision;

    /// Moves whenever an earlier decision may no longer hold. None where decisions never change.
    fn changes(&self) -> Option<watch::Receiver<u64>>;
}

/// Allows everything: for where somebody else has decided, or will.
#[derive(Debug)]
pub struct AllowAll(Grant);

impl AllowAll {
    /// `who` decides instead; the audit log has it for a rule.
    pub fn by(who: &'static str) -> Self {
        Self(Grant {
            rule: who.into(),
            policy_version: 0,
        })
    }
}

impl Authorizer for AllowAll {
    fn decide(&self, _: &Caller, _: &ClusterName, _: &KubeRequest<'_>) -> Decision {
        Decision::Allow(self.0.clone())
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

/// Something that an authorizer allowed. Can be made only here, by asking one.
#[derive(Debug)]
pub struct Permitted<T> {
    inner: T,
    grant: Grant,
}

impl<T> Permitted<T> {
    /// Asks, and lets `inner` through if the answer is yes.
    ///
    /// # Errors
    /// The [`Denial`], if it is no.
    pub fn ask(
        authorizer: &dyn Authorizer,
        caller: &Caller,
        cluster: &ClusterName,
        request: &KubeRequest<'_>,
        inner: T,
    ) -> Result<Self, Denial> {
        match authorizer.decide(caller, cluster, request) {
            Decision::Allow(grant) => Ok(Self { inner, grant }),
            Decision::Deny(denial) => Err(denial),
        }
    }

    /// The rule that allowed it.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// What it is about.
    pub(crate) fn inner(&self) -> &T {
        &self.inner
    }

    /// The same permission for what `inner` was made into.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Permitted<U> {
        Permitted {
            inner: change(self.inner),
            grant: self.grant,
        }
    }

    /// Takes the permission off, to act on it.
    pub(crate) fn into_inner(self) -> T {
        self.inner
    }
}
