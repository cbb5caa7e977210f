//! Which clusters there are, and by which connections they can be reached.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use mk8s_model::ClusterName;
use mk8s_net::link::{Link, LinkSet, StreamCounters, Traffic};
use mk8s_proxy::{Clusters, Unroutable, Upstream};
use mk8s_store::{Cluster, ClusterStatus, Store, StoreError};
use serde_json::Value;
use tracing::info;
use uuid::Uuid;

/// All clusters. Shared by all doors.
pub(crate) struct Registry {
    store: Store,
    clusters: ArcSwap<HashMap<ClusterName, Arc<Entry>>>,
    counters: Arc<StreamCounters>,
}

/// One cluster.
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) name: ClusterName,
    links: Arc<LinkSet>,
    known: RwLock<Known>,
}

/// What changes about a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The agent that may connect; anybody else's certificate for this cluster is of the past.
    pub(crate) agent_id: Option<String>,
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) kubernetes_version: Option<String>,
    /// When `last_seen` was last written to the database.
    written: Option<Timestamp>,
}

impl Entry {
    pub(crate) fn known(&self) -> Known {
        self.known
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn update(&self, change: impl FnOnce(&mut Known)) {
        change(
            &mut self
                .known
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.links.open() > 0
    }

    /// A connection to its agent.
    pub(crate) fn link(&self) -> Option<Link> {
        self.links.pick(Traffic::Brief)
    }
}

impl Registry {
    /// The clusters that the database knows, none of them connected yet.
    pub(crate) async fn load(store: Store) -> Result<Arc<Self>, StoreError> {
        let registry = Arc::new(Self {
            store,
            clusters: ArcSwap::default(),
            counters: Arc::new(StreamCounters::default()),
        });
        registry.refresh().await?;
        Ok(registry)
    }

    /// Takes over what the database knows by now. Agents that were revoked or replaced lose their connections.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        let stored = self.store.clusters().await?;
        let revoked: Vec<String> = self
            .store
            .agent_tokens()
            .await?
            .into_iter()
            .filter(|token| token.revoked_at.is_some())
            .map(|token| token.id.to_string())
            .collect();
        let old = self.clusters.load();
        let mut next = HashMap::with_capacity(stored.len());
        for cluster in stored {
            let agent_id = cluster
                .agent
                .as_ref()
                .map(|a| a.agent_id.clone())
                .filter(|id| !revoked.contains(id));
            let entry = match old.get(&cluster.name) {
                Some(entry) => entry.clone(),
                None => Arc::new(self.entry(&cluster)),
            };
            if entry.known().agent_id != agent_id {
                entry.update(|known| known.agent_id.clone_from(&agent_id));
                if entry.links.cut() > 0 {
                    info!(cluster = %entry.name, "the agent was revoked or replaced: its connections are cut");
                }
            }
            next.insert(cluster.name, entry);
        }
        for (name, entry) in old.iter() {
            if !next.contains_key(name) {
                entry.links.cut();
            }
        }
        self.clusters.store(Arc::new(next));
        Ok(())
    }

    fn entry(&self, cluster: &Cluster) -> Entry {
        Entry {
            id: cluster.id,
            name: cluster.name.clone(),
            links: Arc::new(LinkSet::new(self.counters.clone())),
            known: RwLock::new(Known {
                agent_id: cluster.agent.as_ref().map(|a| a.agent_id.clone()),
                last_seen: cluster.last_seen,
                kubernetes_version: kubernetes_version(&cluster.metadata),
                written: None,
            }),
        }
    }

    /// By name, or by id.
    pub(crate) fn find(&self, name_or_id: &str) -> Option<Arc<Entry>> {
        let clusters = self.clusters.load();
        if let Ok(name) = name_or_id.parse::<ClusterName>()
            && let Some(entry) = clusters.get(&name)
        {
            return Some(entry.clone());
        }
        let id: Uuid = name_or_id.parse().ok()?;
        clusters.values().find(|entry| entry.id == id).cloned()
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        let mut all: Vec<_> = self.clusters.load().values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// How many are connected.
    pub(crate) fn connected(&self) -> usize {
        self.clusters
            .load()
            .values()
            .filter(|entry| entry.is_connected())
            .count()
    }

    /// How many tunnels there are.
    pub(crate) fn tunnels(&self) -> usize {
        self.clusters
            .load()
            .values()
            .map(|entry| entry.links.open())
            .sum()
    }

    /// Streams on all tunnels, opened and closed.
    pub(crate) fn counters(&self) -> &Arc<StreamCounters> {
        &self.counters
    }

    /// A tunnel that an agent dialled becomes a way to its cluster.
    pub(crate) async fn connect(&self, entry: &Entry, link: Link) -> Result<(), StoreError> {
        entry.links.add(link);
        self.seen(entry, None, true).await
    }

    /// A tunnel ended. The cluster is disconnected if it was the last.
    pub(crate) async fn disconnected(&self, entry: &Entry) -> Result<(), StoreError> {
        if entry.links.prune() > 0 {
            return Ok(());
        }
        info!(cluster = %entry.name, "cluster disconnected");
        self.store
            .set_cluster_status(
                &entry.name,
                ClusterStatus::Disconnected,
                entry.known().last_seen.unwrap_or_else(Timestamp::now),
            )
            .await
    }

    /// An agent gave a sign of life. Written down at most twice a minute.
    pub(crate) async fn seen(
        &self,
        entry: &Entry,
        kubernetes_version: Option<String>,
        must_write: bool,
    ) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let mut write = must_write;
        entry.update(|known| {
            known.last_seen = Some(now);
            if kubernetes_version.is_some() {
                known.kubernetes_version = kubernetes_version;
            }
            write |= known
                .written
                .is_none_or(|at| now.as_second() - at.as_second() >= 30);
            if write {
                known.written = Some(now);
            }
        });
        if write {
            self.store
                .set_cluster_status(&entry.name, ClusterStatus::Connected, now)
                .await
        } else {
            Ok(())
        }
    }
}

impl Clusters for Registry {
    fn upstream(&self, cluster: &ClusterName) -> Result<Upstream, Unroutable> {
        let clusters = self.clusters.load();
        let entry = clusters
            .get(cluster)
            .ok_or_else(|| Unroutable::Unknown(cluster.clone()))?;
        if entry.is_connected() {
            return Ok(Upstream::Agent(entry.links.clone()));
        }
        let last_seen = entry
            .known()
            .last_seen
            .map(|at| at.strftime("%FT%TZ").to_string());
        Err(Unroutable::Disconnected {
            cluster: cluster.clone(),
            last_seen,
        })
    }
}

fn kubernetes_version(metadata: &Value) -> Option<String> {
    metadata
        .get("kubernetes_version")
        .and_then(Value::as_str)
        .filter(|v| !v.is_empty())
        .map(str::to_owned)
}
