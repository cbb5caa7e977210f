//! The one cluster of `mk8s-mcp serve`, asked as ourselves or as each user, by the one path.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use http::{Request, Response};
use mk8s_connect::Target;
use mk8s_mcp_core::{
    cluster::{Clusters, KnownCluster, Upgraded, again},
    error::ToolError,
    principal::{Call, Principal},
};
use mk8s_model::{ClusterName, Identity};
use mk8s_net::{Body, link::StreamCounters, status::Status};
use mk8s_oauth::KubernetesTokens;
use mk8s_proxy::{
    AuditLog, CredentialsRefused, Inbound, OnlyCluster, Proxy, Upstream, credentials::Credentials,
    decide::AllowAll, upstream::Naming,
};
use moka::{Expiry, sync::Cache};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::people::Known;
use crate::asking;

/// For how many tokens connections are kept.
const KEPT: u64 = 1_000;
/// For how long, at most.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

/// The one cluster.
pub(crate) struct OneCluster {
    known: KnownCluster,
    way: Way,
}

enum Way {
    /// With our own credentials, whoever asks.
    AsSelf(Proxy),
    /// With a token of theirs.
    AsThem(AsThem),
}

/// The ways of those who come as themselves: each token has connections of its own, so that nobody's request can leave on
/// somebody else's.
pub(crate) struct AsThem {
    target: Target,
    tokens: Arc<dyn KubernetesTokens>,
    kept: Cache<Key, Kept>,
    audit: Arc<dyn AuditLog>,
    counters: Arc<StreamCounters>,
}

/// Whose way.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    identity: Identity,
    /// The proof they came with.
    proof: [u8; 32],
    /// SHA-256 of the token for Kubernetes.
    token: [u8; 32],
}

#[derive(Clone)]
struct Kept {
    proxy: Proxy,
    until: Option<Instant>,
}

/// A way isn't kept for longer than the proof of identity holds that it was made for.
struct UntilTheEnd;

impl Expiry<Key, Kept> for UntilTheEnd {
    fn expire_after_create(&self, _: &Key, kept: &Kept, now: Instant) -> Option<Duration> {
        let left = kept.until.map(|until| until.saturating_duration_since(now));
        Some(left.map_or(KEPT_FOR, |left| left.min(KEPT_FOR)))
    }
}

/// The way there for everybody who asks, in the name of our own credentials.
pub(crate) fn as_self(
    name: ClusterName,
    target: Target,
    audit: Arc<dyn AuditLog>,
) -> anyhow::Result<OneCluster> {
    let direct = target.direct(Naming::AsSelf, Arc::default())?;
    let only = OnlyCluster(Upstream::Direct(Arc::new(direct)));
    let proxy = Proxy::new(Arc::new(AllowAll::by("the cluster's own")), Arc::new(only), audit);
    Ok(OneCluster::new(name, Way::AsSelf(proxy)))
}

/// The way there for those who bring a token that becomes one for Kubernetes. Nothing of our own credentials is used.
pub(crate) fn as_them(
    name: ClusterName,
    target: Target,
    tokens: Arc<dyn KubernetesTokens>,
    audit: Arc<dyn AuditLog>,
) -> OneCluster {
    let target = Target {
        certificate: None,
        credentials: Credentials::None,
        ..target
    };
    let as_them = AsThem {
        target,
        tokens,
        kept: Cache::builder()
            .max_capacity(KEPT)
            .expire_after(UntilTheEnd)
            .build(),
        audit,
        counters: Arc::default(),
    };
    OneCluster::new(name, Way::AsThem(as_them))
}

impl OneCluster {
    fn new(name: ClusterName, way: Way) -> Self {
        let known = KnownCluster {
            name,
            is_default: true,
            about: None,
        };
        Self { known, way }
    }
}

#[async_trait]
impl Clusters for OneCluster {
    async fn list(&self, _: &Principal) -> Result<Vec<KnownCluster>, ToolError> {
        Ok(vec![self.known.clone()])
    }

    async fn send(&self, call: &Call, cluster: &ClusterName, request: Request<Body>) -> Response<Body> {
        let inbound = |request| Inbound {
            caller: asking::caller(&call.principal),
            cluster: cluster.clone(),
            request,
            upgrade: None,
            audit_id: None,
        };
        match &self.way {
            Way::AsSelf(proxy) => proxy.handle(inbound(request)).await,
            Way::AsThem(as_them) => as_them.ask(&call.principal, inbound, request).await,
        }
    }

    async fn upgrade(
        &self,
        call: &Call,
        cluster: &ClusterName,
        request: Request<()>,
    ) -> Result<Upgraded, Response<Body>> {
        let proxy = match &self.way {
            Way::AsSelf(proxy) => proxy.clone(),
            Way::AsThem(as_them) => match as_them.way(&call.principal).await {
                Ok((_, proxy)) => proxy,
                Err(why) => return Err(why.into_response()),
            },
        };
        let caller = asking::caller(&call.principal);
        let switched = proxy.switch(caller, cluster.clone(), request).await?;
        Ok(asking::upgraded(switched))
    }
}

/// What the door knows of somebody who came with a token.
fn known(principal: &Principal) -> Result<&Known, Status> {
    let held = principal.held.as_ref();
    held.and_then(|held| held.downcast_ref::<Known>())
        .ok_or_else(|| Status::unauthorized("who asks brought no token"))
}

impl AsThem {
    async fn ask(
        &self,
        principal: &Principal,
        inbound: impl Fn(Request<Body>) -> Inbound,
        request: Request<Body>,
    ) -> Response<Body> {
        let again = again(&request);
        let (key, way) = match self.way(principal).await {
            Ok(found) => found,
            Err(why) => return why.into_response(),
        };
        let response = way.handle(inbound(request)).await;
        if response.extensions().get::<CredentialsRefused>().is_none() {
            return response;
        }
        // The issuer may have taken the token back, or changed its keys: there may be another.
        self.kept.invalidate(&key);
        if let Ok(known) = known(principal) {
            self.tokens.forget(&known.verified).await;
        }
        let Some(again) = again else { return response };
        match self.way(principal).await {
            Ok((other, way)) if other != key => way.handle(inbound(again)).await,
            _ => response,
        }
    }

    async fn way(&self, principal: &Principal) -> Result<(Key, Proxy), Status> {
        let known = known(principal)?;
        let token = self
            .tokens
            .token(&known.verified, &known.bearer)
            .await
            .map_err(|why| {
                if why.is_passing() {
                    Status::unavailable(why.to_string(), 1)
                } else {
                    Status::unauthorized(why.to_string())
                }
            })?;
        let key = Key {
            identity: principal.identity.clone(),
            proof: known.verified.token_digest.to_bytes(),
            token: Sha256::digest(token.expose_secret()).into(),
        };
        if let Some(kept) = self.kept.get(&key) {
            return Ok((key, kept.proxy));
        }
        let proxy = self.make(&token).map_err(|why| {
            warn!(%why, "a user's way to the cluster can't be made");
            Status::internal("the cluster can't be reached with the user's token")
        })?;
        let kept = Kept {
            proxy: proxy.clone(),
            until: principal.until,
        };
        self.kept.insert(key.clone(), kept);
        Ok((key, proxy))
    }

    fn make(&self, token: &SecretString) -> anyhow::Result<Proxy> {
        let target = Target {
            credentials: Credentials::token(token)?,
            ..self.target.clone()
        };
        let direct = target.direct(Naming::AsSelf, self.counters.clone())?;
        let only = OnlyCluster(Upstream::Direct(Arc::new(direct)));
        let authorizer = Arc::new(AllowAll::by("the cluster's own"));
        Ok(Proxy::new(authorizer, Arc::new(only), self.audit.clone()))
    }
}
