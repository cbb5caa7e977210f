//! What happens to a request of the pod's containers once the door let it in: to which cluster, counted, and on to the one
//! path.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Instant,
};

use http::{HeaderName, HeaderValue, Request, Response, request::Parts};
use mk8s_cache::{Cache, IdentityKey};
use mk8s_fleet::{Ask, Asked};
use mk8s_model::{AuthMethod, ClusterName, Identity, InvalidIdentity, KubeRequest};
use mk8s_net::{Body, status::Status};
use mk8s_proxy::{Caller, Extra, Inbound, Proxy, Upgrade};
use mk8s_telemetry::{RequestSpan, Traces};

use crate::{
    metrics::{Metrics, Series},
    route::{self, Way},
    routes::Routes,
    several,
};

/// Everything behind the door.
pub(crate) struct Inside {
    asker: Arc<Asker>,
    routes: Arc<Routes>,
    metrics: Arc<Metrics>,
    traces: Option<Arc<Traces>>,
}

/// Asks clusters, by the cache if there is one.
pub(crate) struct Asker {
    path: OnePath,
    cache: Option<(Cache, IdentityKey)>,
}

/// Asks clusters by the one path. Cheap to clone.
#[derive(Clone)]
struct OnePath {
    proxy: Proxy,
    /// What the path calls the pod's containers. Nobody is told: the API server knows them by the real token.
    identity: Identity,
}

impl Inside {
    pub(crate) fn new(
        proxy: Proxy,
        routes: Arc<Routes>,
        metrics: Arc<Metrics>,
        traces: Option<Arc<Traces>>,
        cache: Option<Cache>,
    ) -> Result<Self, InvalidIdentity> {
        let asker = Asker {
            path: OnePath {
                proxy,
                identity: Identity::new("pod", [""; 0], AuthMethod::Pod)?,
            },
            // All containers are one service account to each cluster.
            cache: cache.map(|cache| (cache, IdentityKey::new("pod"))),
        };
        Ok(Self {
            asker: Arc::new(asker),
            routes,
            metrics,
            traces,
        })
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request<Body>, upgrade: Option<Upgrade>) -> Response<Body> {
        let started = Instant::now();
        let (mut parts, mut body) = request.into_parts();
        let (way, series) = match self.way(&mut parts, &mut body).await {
            Ok(found) => found,
            Err(why) => {
                let series = self.metrics.series(&parts.method, None, "none");
                let response = why.into_response();
                self.metrics
                    .answered(&series, response.status(), started.elapsed());
                return response;
            }
        };
        let mut request = Request::from_parts(parts, body);
        let span = self
            .traces
            .as_ref()
            .map(|traces| begin(traces, &series, &mut request));
        let response = match way {
            Way::One(cluster) => self.asker.ask_one(cluster, request, upgrade).await,
            // Boxed, because it is large and rare: each request's future has room for all that it may become.
            Way::Several(clusters) => {
                Box::pin(several::answer(self.asker.clone(), clusters, request, upgrade)).await
            }
        };
        self.metrics
            .answered(&series, response.status(), started.elapsed());
        if let Some(span) = span {
            span.answered(response.status().as_u16());
        }
        response
    }
}

impl Inside {
    /// Where a request goes, and as what it counts.
    async fn way(&self, parts: &mut Parts, body: &mut Body) -> Result<(Way, Arc<Series>), Status> {
        let requested = route::take_requested(&mut parts.headers, &mut parts.uri)?;
        let kube = KubeRequest::classify(&parts.method, &parts.uri).ok();
        let (requested, query) = (requested.as_deref(), parts.uri.query());
        let way = route::choose(
            &self.routes,
            requested,
            kube.as_ref(),
            query,
            &parts.headers,
            body,
        )
        .await?;
        let series = self.metrics.series(&parts.method, kube.as_ref(), way.label());
        Ok((way, series))
    }
}

/// Begins a span, and lets whoever is asked next continue the trace.
fn begin(traces: &Traces, series: &Series, request: &mut Request<Body>) -> RequestSpan {
    let mut set = Vec::new();
    let span = traces.begin(
        series.to_string(),
        |name| request.headers().get(name)?.to_str().ok(),
        |name, value| set.push((name.to_owned(), value)),
        series.attributes(),
    );
    for (name, value) in set {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            request.headers_mut().insert(name, value);
        }
    }
    span
}

impl Asker {
    /// Asks one cluster.
    pub(crate) async fn ask_one(
        &self,
        cluster: ClusterName,
        request: Request<Body>,
        upgrade: Option<Upgrade>,
    ) -> Response<Body> {
        match &self.cache {
            // Boxed, because it is large: whoever has no cache needn't have room for it.
            Some((cache, identity)) if upgrade.is_none() => {
                Box::pin(cache.answer(&self.path, &cluster, identity, request)).await
            }
            _ => self.path.ask(cluster, request, upgrade).await,
        }
    }
}

impl OnePath {
    async fn ask(
        &self,
        cluster: ClusterName,
        request: Request<Body>,
        upgrade: Option<Upgrade>,
    ) -> Response<Body> {
        let inbound = Inbound {
            caller: Caller {
                identity: self.identity.clone(),
                subject: None,
                session: None,
                source: IpAddr::V4(Ipv4Addr::LOCALHOST),
                until: None,
                extra: Extra::default(),
                held: None,
            },
            cluster,
            request,
            upgrade,
            audit_id: None,
        };
        self.proxy.handle(inbound).await
    }
}

impl mk8s_cache::Ask for OnePath {
    fn ask(
        &self,
        cluster: ClusterName,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send {
        OnePath::ask(self, cluster, request, None)
    }
}

impl Ask for Asker {
    fn ask<'a>(&'a self, cluster: &'a ClusterName, request: Request<Body>) -> Asked<'a> {
        Box::pin(self.ask_one(cluster.clone(), request, None))
    }
}
