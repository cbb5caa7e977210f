//! Clusters and routes, read and checked.

use std::collections::BTreeMap;

use mk8s_model::ClusterName;
use serde_json::{Value, json};

use crate::{API_VERSION, GROUP, RoutingError, choose::Route, read::Reading};

/// What the cluster that a pod runs in is called in its routes.
pub const HOME: &str = "local";

/// A text with objects in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What errors call it: a file's path, or an object's name.
    pub name: String,
    /// YAML or JSON, one or many documents.
    pub text: String,
}

impl Source {
    /// A custom resource, by its kind's plural (`clusters`, `routes`), its name and its `spec`.
    pub fn custom_resource(kind: &str, plural: &str, name: &str, spec: &Value) -> Self {
        Self {
            name: format!("{plural}.{GROUP}/{name}"),
            // JSON is YAML.
            text: json!({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec})
                .to_string(),
        }
    }
}

/// The clusters there are, and which requests go where.
#[derive(Debug)]
pub struct Table {
    pub(crate) clusters: BTreeMap<ClusterName, Cluster>,
    /// What each name stands for: a cluster for itself, a group for its members, and home for itself.
    pub(crate) names: BTreeMap<ClusterName, Vec<ClusterName>>,
    pub(crate) routes: Vec<Route>,
}

/// A cluster that requests can go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Where it is.
    pub place: Place,
    /// The name that its certificate must have, where that isn't the host.
    pub tls_server_name: Option<String>,
    /// The authorities for its certificate, in PEM; else those that come with the credentials, else the system's.
    pub certificate_authorities: Option<String>,
    /// Who we are there.
    pub credentials: Option<Credentials>,
}

/// Where a cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An API server's URL: a cluster's own, or that under which a gateway has a cluster.
    Server(String),
    /// The kubeconfig among the credentials says it.
    Kubeconfig,
}

/// A Secret by its name, whose keys say what it is: `token`, `tls.crt` and `tls.key`, or `kubeconfig`; `ca.crt` beside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credentials {
    /// The Secret's name.
    pub secret: String,
}

impl Table {
    /// Reads all sources. `home` is what the cluster we are in is called; `own` are the addresses (`host:port`) at which
    /// we listen ourselves, to which no route may lead.
    ///
    /// # Errors
    /// [`RoutingError`] with everything that is wrong, each with its source and line.
    pub fn read(sources: &[Source], home: &ClusterName, own: &[String]) -> Result<Self, RoutingError> {
        let mut reading = Reading::default();
        for source in sources {
            reading.documents(source);
        }
        reading.check(home, own)
    }

    /// A table with home alone, to which everything goes.
    pub fn empty(home: &ClusterName) -> Self {
        Self {
            clusters: BTreeMap::new(),
            names: BTreeMap::from([(home.clone(), vec![home.clone()])]),
            routes: Vec::new(),
        }
    }

    /// All clusters, home not among them.
    pub fn clusters(&self) -> impl Iterator<Item = (&ClusterName, &Cluster)> {
        self.clusters.iter()
    }

    /// Every name that a client may use, in alphabetical order.
    pub fn known_names(&self) -> impl Iterator<Item = &ClusterName> {
        self.names.keys()
    }

    /// How many routes there are.
    pub fn route_count(&self) -> usize {
        self.routes.len()
    }

    /// What a name stands for.
    pub(crate) fn named(&self, name: &str) -> Option<&[ClusterName]> {
        let name: ClusterName = name.parse().ok()?;
        self.names.get(&name).map(Vec::as_slice)
    }
}
