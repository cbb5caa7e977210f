//! What happens to a request of the pod's containers once the door let it in: to which cluster, counted, and on to the one
//! path.

use std::{net::IpAddr, sync::Arc, time::Instant};

use http::{Request, Response};
use mk8s_model::{AuthMethod, ClusterName, Identity, InvalidIdentity, KubeRequest};
use mk8s_net::Body;
use mk8s_proxy::{Caller, Inbound, Proxy, Upgrade};

use crate::{
    metrics::Metrics,
    route::{self, Way},
    routes::Routes,
};

/// Everything behind the door.
pub(crate) struct Inside {
    proxy: Proxy,
    routes: Arc<Routes>,
    metrics: Arc<Metrics>,
    /// What the path calls the pod's containers. Nobody is told: the API server knows them by the real token.
    identity: Identity,
}

impl Inside {
    pub(crate) fn new(
        proxy: Proxy,
        routes: Arc<Routes>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, InvalidIdentity> {
        Ok(Self {
            proxy,
            routes,
            metrics,
            identity: Identity::new("pod", [""; 0], AuthMethod::Pod)?,
        })
    }

    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        mut request: Request<Body>,
        upgrade: Option<Upgrade>,
        source: IpAddr,
    ) -> Response<Body> {
        let started = Instant::now();
        let way = match route::choose(&self.routes, &mut request).await {
            Ok(way) => way,
            Err(why) => {
                let series = self.metrics.series(request.method(), None, "none");
                let response = why.into_response();
                self.metrics
                    .answered(&series, response.status(), started.elapsed());
                return response;
            }
        };
        let kube = KubeRequest::classify(request.method(), request.uri()).ok();
        let series = self.metrics.series(request.method(), kube.as_ref(), way.label());
        drop(kube);
        let cluster = match way {
            Way::One(cluster) => cluster,
            Way::Several(first, _) => first,
        };
        let response = self.ask(cluster, request, upgrade, source).await;
        self.metrics
            .answered(&series, response.status(), started.elapsed());
        response
    }

    /// Asks one cluster, by the one path.
    async fn ask(
        &self,
        cluster: ClusterName,
        request: Request<Body>,
        upgrade: Option<Upgrade>,
        source: IpAddr,
    ) -> Response<Body> {
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
}
