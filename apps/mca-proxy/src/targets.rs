//! The clusters that requests can go to, besides the one we are in: each with its own credentials and connections.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use mk8s_connect::{Target, secret};
use mk8s_model::ClusterName;
use mk8s_net::link::StreamCounters;
use mk8s_proxy::{Direct, Unroutable, Upstream, credentials::Credentials, upstream::Naming};
use mk8s_routing::{Cluster, Place, Table};
use mk8s_tls::{Fingerprint, Roots};

/// The ways to them.
#[derive(Debug, Default)]
pub(crate) struct Targets(BTreeMap<ClusterName, Prepared>);

/// A way, and what it was made of.
#[derive(Clone, Debug)]
struct Prepared {
    cluster: Cluster,
    /// What the mounted Secret said, but for a token.
    secret: Vec<Option<Fingerprint>>,
    way: Result<Arc<Direct>, String>,
}

impl Targets {
    /// The ways to all of a table's clusters. Those that are the same as before keep their connections.
    pub(crate) fn prepare(table: &Table, credentials: &Path, before: &Self) -> Self {
        let prepared = table.clusters().map(|(name, cluster)| {
            let directory = directory(cluster, credentials);
            let secret = directory.as_deref().map(secret::fingerprint).unwrap_or_default();
            let prepared = match before.0.get(name) {
                Some(there) if there.way.is_ok() && there.cluster == *cluster && there.secret == secret => {
                    there.clone()
                }
                _ => Prepared {
                    way: connect(cluster, directory.as_deref()),
                    cluster: cluster.clone(),
                    secret,
                },
            };
            (name.clone(), prepared)
        });
        Self(prepared.collect())
    }

    /// The way to one of them.
    pub(crate) fn upstream(&self, name: &ClusterName) -> Result<Upstream, Unroutable> {
        let prepared = self
            .0
            .get(name)
            .ok_or_else(|| Unroutable::Unknown(name.clone()))?;
        match &prepared.way {
            Ok(direct) => Ok(Upstream::Direct(direct.clone())),
            Err(why) => Err(Unroutable::Unusable {
                cluster: name.clone(),
                why: why.clone(),
            }),
        }
    }

    /// Those that lead elsewhere than before, or with other credentials, or not at all any more.
    pub(crate) fn changed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a ClusterName> {
        before.0.iter().filter_map(|(name, then)| {
            let is_same = match (&then.way, self.0.get(name).map(|now| &now.way)) {
                (Ok(then), Some(Ok(now))) => Arc::ptr_eq(then, now),
                _ => false,
            };
            (!is_same).then_some(name)
        })
    }

    /// Those that can't be used, and why.
    pub(crate) fn unusable(&self) -> impl Iterator<Item = (&ClusterName, &str)> {
        self.0
            .iter()
            .filter_map(|(name, prepared)| Some((name, prepared.way.as_ref().err()?.as_str())))
    }
}

/// Where a cluster's Secret is mounted.
fn directory(cluster: &Cluster, credentials: &Path) -> Option<PathBuf> {
    cluster.credentials.as_ref().map(|c| credentials.join(&c.secret))
}

fn connect(cluster: &Cluster, directory: Option<&Path>) -> Result<Arc<Direct>, String> {
    let server = match &cluster.place {
        Place::Server(server) => Some(server.as_str()),
        Place::Kubeconfig => None,
    };
    let authorities = cluster.certificate_authorities.as_deref();
    let mut target = match (directory, server) {
        (Some(directory), _) => {
            secret::target(directory, server, authorities).map_err(|why| why.to_string())?
        }
        (None, Some(server)) => anonymous(server, authorities),
        (None, None) => return Err("nothing says where it is".to_owned()),
    };
    if let Some(name) = &cluster.tls_server_name {
        target.server_name = Some(name.clone());
    }
    let direct = target
        .direct(Naming::AsSelf, Arc::new(StreamCounters::default()))
        .map_err(|why| why.to_string())?;
    Ok(Arc::new(direct))
}

fn anonymous(server: &str, authorities: Option<&str>) -> Target {
    Target {
        server: server.to_owned(),
        server_name: None,
        roots: authorities.map_or(Roots::System, |pem| Roots::Pem(pem.as_bytes().to_vec())),
        certificate: None,
        credentials: Credentials::None,
        namespace: None,
    }
}
