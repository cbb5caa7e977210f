//! The clusters themselves. What happens to a request reads from [`Federation::send`] downwards.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response};
use mk8s_mcp_core::{
    cluster::{ClusterFilter, Clusters, KnownCluster, NoSuchCluster, Upgraded, again},
    error::ToolError,
    principal::{Call, Principal},
};
use mk8s_model::ClusterName;
use mk8s_net::{Body, link::StreamCounters, status::Status};
use mk8s_proxy::{
    AuditLog, Caller, CredentialsRefused, Extra, Inbound, InvalidExtra, OnlyCluster, Proxy, Unreached,
    Upstream, decide::AllowAll, upstream::Naming,
};
use tracing::info;
use uuid::Uuid;

use crate::{
    InvalidSettings,
    discovery::{self, Seen},
    management::{Management, Refused},
    names::Place,
    secret::{self, NoKubeconfig},
    settings::{CredentialMode, Settings},
    ways::{NoWay, Way, Ways},
};

/// What is told of whoever can't be told more. The same for all reasons.
const HIDDEN: &str = "there is no such cluster for you, or no way to it";
/// Who we are, in audit logs of workload clusters.
const AGENT: &str = "mk8s-mcp";

/// A management cluster, and the workload clusters that its Cluster API knows.
pub struct Federation {
    settings: Settings,
    /// In each user's own name.
    management: Management,
    /// In the name of whoever reads Secrets.
    secrets: Management,
    ways: Ways,
    audit: Arc<dyn AuditLog>,
}

impl Federation {
    /// `management` reaches the management cluster in each user's own name; `own` does in the server's, and is needed where Secrets are
    /// read so. Requests to workload clusters are written to `audit`. Nothing is asked yet.
    ///
    /// # Errors
    /// [`InvalidSettings`], if the settings can't be meant.
    pub fn new(
        settings: Settings,
        management: Management,
        own: Option<Management>,
        audit: Arc<dyn AuditLog>,
    ) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let secrets = match (settings.credentials, own) {
            (CredentialMode::User, _) => management.clone(),
            (CredentialMode::ServiceAccount, Some(own)) => own,
            (CredentialMode::ServiceAccount, None) => return Err(InvalidSettings::no_account()),
        };
        Ok(Self {
            ways: Ways::new(&settings.cache),
            settings,
            management,
            secrets,
            audit,
        })
    }
}

#[async_trait]
impl Clusters for Federation {
    async fn list(&self, principal: &Principal) -> Result<Vec<KnownCluster>, ToolError> {
        self.select(principal, &ClusterFilter::default()).await
    }

    async fn select(
        &self,
        principal: &Principal,
        filter: &ClusterFilter,
    ) -> Result<Vec<KnownCluster>, ToolError> {
        let call = listing(principal);
        let seen = discovery::clusters(&self.management, &call, &self.settings, filter).await?;
        let (clusters, about) = match seen {
            Seen::Clusters(clusters) => (clusters, "management cluster"),
            Seen::Forbidden => (
                Vec::new(),
                "management cluster; you may not list its Cluster API clusters",
            ),
            Seen::NoClusterApi => (Vec::new(), "management cluster; it has no Cluster API"),
        };
        let mut known: Vec<_> = clusters
            .iter()
            .filter(|cluster| self.settings.reads_secrets_in(cluster.place.namespace()))
            .map(|cluster| cluster.known())
            .collect();
        if *filter == ClusterFilter::default() {
            known.push(KnownCluster {
                name: self.settings.management_name.clone(),
                is_default: true,
                about: Some(about.to_owned()),
            });
        }
        known.sort_by(|one, other| one.name.cmp(&other.name));
        // A cluster that moved to another page meanwhile comes twice.
        known.dedup_by(|one, other| one.name == other.name);
        Ok(known)
    }

    async fn choose(&self, principal: &Principal, asked: Option<&str>) -> Result<ClusterName, ToolError> {
        let management = &self.settings.management_name;
        let Some(asked) = asked.filter(|asked| *asked != management.as_str()) else {
            return Ok(management.clone());
        };
        let nobody = || ToolError::NoCluster(asked.chars().filter(|c| !c.is_control()).take(80).collect());
        let place = asked.parse().ok().and_then(|called| Place::meant(&called));
        let place = place.filter(|place| self.settings.reads_secrets_in(place.namespace()));
        let place = place.ok_or_else(nobody)?;
        match discovery::cluster(&self.management, &listing(principal), &self.settings, &place).await {
            Ok(()) => Ok(place.called().clone()),
            Err(refused) if refused.hides_it() => Err(nobody()),
            Err(refused) => Err(discovery::failed(refused)),
        }
    }

    async fn send(&self, call: &Call, cluster: &ClusterName, request: Request<Body>) -> Response<Body> {
        if *cluster == self.settings.management_name {
            let Management { clusters, cluster } = &self.management;
            return clusters.send(call, cluster, request).await;
        }
        let Some(place) = Place::meant(cluster) else {
            return refuse(&NoWay::Hidden);
        };
        let find = self.find(call, &place);
        let way = match self.ways.to(&call.principal, &place, find).await {
            Ok(way) => way,
            Err(why) => return refuse(&why),
        };
        // Reading is asked again if there is another kubeconfig by now; what has a body is not read twice.
        let again = again(&request);
        let response = self.ask(call, cluster, &way, request).await;
        if !is_way_lost(&response) {
            return response;
        }
        let find = self.find(call, &place);
        match self.ways.beside(&way, &call.principal, &place, find).await {
            // Whoever lost the right to it since has lost the way.
            Err(why @ NoWay::Hidden) => refuse(&why),
            Err(NoWay::Failed { .. }) => response,
            Ok(other) => match again {
                Some(again) if other.version != way.version => self.ask(call, cluster, &other, again).await,
                _ => response,
            },
        }
    }

    async fn upgrade(
        &self,
        call: &Call,
        cluster: &ClusterName,
        request: Request<()>,
    ) -> Result<Upgraded, Response<Body>> {
        if *cluster == self.settings.management_name {
            let Management { clusters, cluster } = &self.management;
            return clusters.upgrade(call, cluster, request).await;
        }
        let Some(place) = Place::meant(cluster) else {
            return Err(refuse(&NoWay::Hidden));
        };
        // Entering a container was approved of once, and isn't tried again by another way.
        let way = self
            .ways
            .to(&call.principal, &place, self.find(call, &place))
            .await;
        let way = way.map_err(|why| refuse(&why))?;
        let caller = caller(call).map_err(|why| Status::internal(why.to_string()).into_response())?;
        let switched = way.proxy.switch(caller, cluster.clone(), request);
        let limit = self.settings.request_limit();
        match tokio::time::timeout(limit, switched).await {
            Ok(switched) => switched.map(|switched| Upgraded {
                headers: switched.headers,
                stream: Box::new(switched.stream),
            }),
            Err(_) => {
                let seconds = limit.as_secs();
                Err(Status::timeout(format!("the cluster gave no answer within {seconds} s")).into_response())
            }
        }
    }
}

/// Who asks a workload cluster, and for what.
fn caller(call: &Call) -> Result<Caller, InvalidExtra> {
    let principal = &call.principal;
    let id = call.id.to_string();
    let told = [("agent", AGENT), ("tool", call.tool), ("request-id", &id)];
    Ok(Caller {
        identity: principal.identity.clone(),
        subject: None,
        session: None,
        source: principal.source,
        until: principal.until,
        extra: Extra::new(told)?,
        held: None,
    })
}

impl Federation {
    /// The way to a cluster: with the user's right to see it, and by the kubeconfig in its Secret.
    async fn find(&self, call: &Call, place: &Place) -> Result<Way, NoWay> {
        let user = &call.principal.identity;
        let hidden = |why: &str| {
            info!(cluster = %place.called(), %user, call = %call.id, why, "there is no way to a cluster");
            NoWay::Hidden
        };
        let failed = |refused: &Refused| match refused {
            refused if refused.hides_it() => hidden(&refused.to_string()),
            refused => NoWay::Failed {
                code: refused.code(),
                message: refused.to_string(),
            },
        };
        if !self.settings.reads_secrets_in(place.namespace()) {
            return Err(hidden("its namespace isn't among rbac.allowedNamespaces"));
        }
        discovery::cluster(&self.management, call, &self.settings, place)
            .await
            .map_err(|refused| failed(&refused))?;
        let limit = self.settings.request_limit();
        let found = secret::read(&self.secrets, call, place, limit)
            .await
            .map_err(|why| match why {
                NoKubeconfig::Refused(refused) => failed(&refused),
                NoKubeconfig::Unusable(why) => hidden(&why),
            })?;
        let direct = found
            .target
            .direct(Naming::Impersonate, Arc::new(StreamCounters::default()))
            .map_err(|why| hidden(&why.to_string()))?
            .connecting_within(self.settings.connect_limit());
        let only = OnlyCluster(Upstream::Direct(Arc::new(direct)));
        Ok(Way {
            proxy: Proxy::new(
                Arc::new(AllowAll::by("the cluster's own")),
                Arc::new(only),
                self.audit.clone(),
            ),
            version: found.version,
        })
    }

    /// Sends a request on a way, in the user's name.
    async fn ask(
        &self,
        call: &Call,
        cluster: &ClusterName,
        way: &Way,
        request: Request<Body>,
    ) -> Response<Body> {
        let caller = match caller(call) {
            Ok(caller) => caller,
            Err(why) => return Status::internal(why.to_string()).into_response(),
        };
        let inbound = Inbound {
            caller,
            cluster: cluster.clone(),
            request,
            upgrade: None,
            audit_id: None,
        };
        let limit = self.settings.request_limit();
        match tokio::time::timeout(limit, way.proxy.handle(inbound)).await {
            Ok(response) => response,
            Err(_) => {
                let seconds = limit.as_secs();
                Status::timeout(format!("cluster {cluster}: no answer within {seconds} s")).into_response()
            }
        }
    }
}

/// Finding out which clusters there are, for whatever tool.
fn listing(principal: &Principal) -> Call {
    Call {
        principal: principal.clone(),
        id: Uuid::now_v7(),
        tool: "clusters",
        client: None,
    }
}

/// Whether another kubeconfig may lead where this one didn't: nobody was reached, or we aren't known there.
fn is_way_lost(response: &Response<Body>) -> bool {
    let extensions = response.extensions();
    extensions.get::<CredentialsRefused>().is_some() || extensions.get::<Unreached>().is_some()
}

fn refuse(why: &NoWay) -> Response<Body> {
    match why {
        NoWay::Hidden => {
            let mut response = Status::not_found(HIDDEN).into_response();
            response.extensions_mut().insert(NoSuchCluster);
            response
        }
        NoWay::Failed { code, message } => {
            let message = format!("the management cluster can't be asked for the way: {message}");
            let status = match code {
                Some(401) => Status::unauthorized(message),
                _ => Status::unavailable(message, 1),
            };
            status.into_response()
        }
    }
}
