//! A management cluster in memory: Cluster objects, Secrets, and who may see which.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{Request, Response, StatusCode};
use mk8s_mcp_core::{
    cluster::{Clusters, KnownCluster},
    error::ToolError,
    principal::{Call, Principal},
};
use mk8s_model::ClusterName;
use mk8s_net::Body;
use serde_json::{Value, json};

/// The cluster.
#[derive(Default)]
pub(crate) struct Hub(Mutex<State>);

#[derive(Default)]
struct State {
    /// `cluster.x-k8s.io`'s.
    versions: Vec<&'static str>,
    clusters: Vec<Value>,
    secrets: BTreeMap<(String, String), Value>,
    /// Who may do what: `anna clusters *`, `anna secrets team-a`.
    rights: BTreeSet<String>,
    /// Who asked for what.
    asked: Vec<String>,
    written: u64,
    fails: Option<(u16, &'static str)>,
    /// Clusters of one page.
    page: usize,
}

impl Hub {
    /// Cluster API as it is today, and nobody who may do anything.
    pub(crate) fn new() -> Arc<Self> {
        Self::with(&["v1beta2", "v1beta1"])
    }

    pub(crate) fn with(versions: &[&'static str]) -> Arc<Self> {
        let hub = Self::default();
        hub.state().versions = versions.to_vec();
        hub.state().page = usize::MAX;
        Arc::new(hub)
    }

    /// As the server's own account.
    pub(crate) fn as_server(self: &Arc<Self>) -> Arc<dyn Clusters> {
        Arc::new(AsServer(self.clone()))
    }

    pub(crate) fn cluster(&self, namespace: &str, name: &str) {
        self.object(json!({"metadata": {"namespace": namespace, "name": name},
            "spec": {"infrastructureRef": {"kind": "DockerCluster"}},
            "status": {"phase": "Provisioned", "conditions": [{"type": "Available", "status": "True"}]}}));
    }

    pub(crate) fn object(&self, cluster: Value) {
        self.state().clusters.push(cluster);
    }

    /// A kubeconfig, in place of the one before.
    pub(crate) fn kubeconfig(&self, namespace: &str, name: &str, kubeconfig: &str) {
        self.secret(
            namespace,
            name,
            json!({"value": BASE64_STANDARD.encode(kubeconfig)}),
        );
    }

    pub(crate) fn secret(&self, namespace: &str, name: &str, data: Value) {
        let mut state = self.state();
        state.written += 1;
        let name = format!("{name}-kubeconfig");
        let secret = json!({"kind": "Secret", "data": data, "metadata": {"namespace": namespace, "name": name,
            "uid": format!("uid-of-{namespace}-{name}"), "resourceVersion": state.written.to_string()}});
        state.secrets.insert((namespace.to_owned(), name), secret);
    }

    /// `allow("anna", "clusters", "*")`.
    pub(crate) fn allow(&self, user: &str, what: &str, namespace: &str) {
        self.state().rights.insert(format!("{user} {what} {namespace}"));
    }

    pub(crate) fn forbid(&self, user: &str, what: &str, namespace: &str) {
        self.state().rights.remove(&format!("{user} {what} {namespace}"));
    }

    /// Answers everything with this from now on.
    pub(crate) fn fail(&self, code: u16, message: &'static str) {
        self.state().fails = Some((code, message));
    }

    pub(crate) fn page(&self, clusters: usize) {
        self.state().page = clusters;
    }

    /// Who asked for what, since this was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked)
    }

    /// Who read Secrets, since this or [`Hub::asked`] was asked.
    pub(crate) fn secrets_read(&self) -> Vec<String> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.contains("/secrets/"));
        asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    fn answer(&self, user: &str, request: &Request<Body>) -> Result<Value, (u16, String)> {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let mut state = self.state();
        state
            .asked
            .push(format!("{user} {} {}", request.method(), request.uri()));
        if let Some((code, message)) = state.fails {
            return Err((code, message.to_owned()));
        }
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match *parts {
            ["version"] => Ok(json!({"gitVersion": "v1.36.3"})),
            ["apis", "cluster.x-k8s.io", version, "clusters"] => {
                state.check(user, "clusters", "*")?;
                state.list(version, None, query)
            }
            [
                "apis",
                "cluster.x-k8s.io",
                version,
                "namespaces",
                namespace,
                "clusters",
            ] => {
                state.check(user, "clusters", namespace)?;
                state.list(version, Some(namespace), query)
            }
            [
                "apis",
                "cluster.x-k8s.io",
                version,
                "namespaces",
                namespace,
                "clusters",
                name,
            ] => {
                state.check(user, "clusters", namespace)?;
                state.version(version)?;
                let found = state.clusters.iter().find(|object| {
                    object["metadata"]["namespace"] == namespace && object["metadata"]["name"] == name
                });
                found
                    .cloned()
                    .ok_or_else(|| (404, format!("clusters {name:?} not found")))
            }
            ["api", "v1", "namespaces", namespace, "secrets", name] => {
                state.check(user, "secrets", namespace)?;
                let key = (namespace.to_owned(), name.to_owned());
                let found = state.secrets.get(&key);
                found
                    .cloned()
                    .ok_or_else(|| (404, format!("secrets {name:?} not found")))
            }
            _ => panic!("nobody should ask for {path}"),
        }
    }
}

impl State {
    fn check(&self, user: &str, what: &str, namespace: &str) -> Result<(), (u16, String)> {
        let may = [namespace, "*"]
            .iter()
            .any(|namespace| self.rights.contains(&format!("{user} {what} {namespace}")));
        if may {
            Ok(())
        } else {
            Err((403, format!("{what} is forbidden: {user} in {namespace}")))
        }
    }

    fn version(&self, version: &str) -> Result<(), (u16, String)> {
        if self.versions.contains(&version) {
            Ok(())
        } else {
            Err((404, "the server could not find the requested resource".to_owned()))
        }
    }

    fn list(&self, version: &str, namespace: Option<&str>, query: &str) -> Result<Value, (u16, String)> {
        self.version(version)?;
        let parameter = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
        };
        if parameter("labelSelector") == Some("bad%3D%3D") {
            return Err((400, "unable to parse requirement".to_owned()));
        }
        let label = parameter("labelSelector").map(|selector| {
            let (key, value) = selector.split_once("%3D").expect("one equation");
            (key.to_owned(), value.to_owned())
        });
        let from: usize = parameter("continue").map_or(0, |at| at.parse().expect("a number"));
        let fits = |object: &&Value| {
            namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace)
                && label
                    .as_ref()
                    .is_none_or(|(key, value)| object["metadata"]["labels"][key] == **value)
        };
        let all: Vec<_> = self.clusters.iter().filter(fits).collect();
        let to = from.saturating_add(self.page).min(all.len());
        let next = if to < all.len() {
            to.to_string()
        } else {
            String::new()
        };
        Ok(json!({"items": all[from..to], "metadata": {"continue": next}}))
    }
}

#[async_trait]
impl Clusters for Hub {
    async fn list(&self, _: &Principal) -> Result<Vec<KnownCluster>, ToolError> {
        panic!("nobody should ask what there is beside it")
    }

    async fn send(&self, call: &Call, cluster: &ClusterName, request: Request<Body>) -> Response<Body> {
        assert_eq!(cluster.as_str(), "hub");
        response(self.answer(call.principal.identity.user(), &request))
    }
}

struct AsServer(Arc<Hub>);

#[async_trait]
impl Clusters for AsServer {
    async fn list(&self, _: &Principal) -> Result<Vec<KnownCluster>, ToolError> {
        panic!("nobody should ask what there is beside it")
    }

    async fn send(&self, _: &Call, cluster: &ClusterName, request: Request<Body>) -> Response<Body> {
        assert_eq!(cluster.as_str(), "hub");
        response(self.0.answer("server", &request))
    }
}

fn response(answer: Result<Value, (u16, String)>) -> Response<Body> {
    match answer {
        Ok(object) => Response::new(Body::full(object.to_string())),
        Err((code, message)) => {
            let status = json!({"kind": "Status", "code": code, "reason": "Refused", "message": message});
            let mut response = Response::new(Body::full(status.to_string()));
            *response.status_mut() = StatusCode::from_u16(code).expect("a status");
            response
        }
    }
}
