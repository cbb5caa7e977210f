//! Federation with a management cluster in memory, and workload clusters that are real TLS servers.

mod hub;
mod listing;
mod naming;
mod rights;
mod ways;
mod workload;

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use mk8s_federation::{Federation, Management, Settings};
use mk8s_mcp_core::{
    cluster::Clusters as _,
    principal::{Call, Principal},
};
use mk8s_model::{AuthMethod, Identity};
use mk8s_net::Body;
use mk8s_proxy::audit::LogOnly;
use uuid::Uuid;

use crate::hub::Hub;

const PODS: &str = "/api/v1/namespaces/shop/pods";

/// What a configuration file says.
fn settings(written: serde_json::Value) -> Settings {
    serde_json::from_value(written).expect("settings")
}

fn federation(hub: &Arc<Hub>) -> Federation {
    federation_with(hub, Settings::default())
}

/// In users' names, and where the server asks itself, in the name of `server`.
fn federation_with(hub: &Arc<Hub>, settings: Settings) -> Federation {
    let cluster: mk8s_model::ClusterName = "hub".parse().expect("a name");
    let management = Management {
        clusters: hub.clone(),
        cluster: cluster.clone(),
    };
    let own = Management {
        clusters: hub.as_server(),
        cluster,
    };
    Federation::new(settings, management, Some(own), Arc::new(LogOnly)).expect("a federation")
}

fn principal(user: &str) -> Principal {
    let identity = Identity::new(user, ["devs"], AuthMethod::Token).expect("an identity");
    Principal {
        proof: Some([1; 32]),
        ..Principal::local(identity)
    }
}

fn call(principal: &Principal) -> Call {
    Call {
        principal: principal.clone(),
        id: Uuid::now_v7(),
        tool: "get",
        client: Some("a client".to_owned()),
    }
}

fn get() -> Request<Body> {
    request(Method::GET)
}

fn request(method: Method) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = PODS.parse().expect("a path");
    request
}

/// Reads a cluster's pods: the status, and what was said.
async fn read(federation: &Federation, principal: &Principal, cluster: &str) -> (StatusCode, String) {
    let cluster = cluster.parse().expect("a name");
    told(federation.send(&call(principal), &cluster, get()).await).await
}

async fn told(response: Response<Body>) -> (StatusCode, String) {
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .expect("all of it")
        .to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

/// The names and what is said of them.
async fn known(federation: &Federation, user: &str) -> Vec<(String, String)> {
    let listed = federation.list(&principal(user)).await.expect("a list");
    let one = |known: mk8s_mcp_core::cluster::KnownCluster| {
        (known.name.to_string(), known.about.unwrap_or_default())
    };
    listed.into_iter().map(one).collect()
}
