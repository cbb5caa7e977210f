//! Clusters and routes from a directory (a mounted ConfigMap) and from custom resources, reloaded as they change. A set that is wrong is said, and the
//! last good one goes on; it is kept in the state directory, so that a restart in between changes nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use mk8s_cache::Cache;
use mk8s_model::ClusterName;
use mk8s_proxy::{Clusters, Unroutable, Upstream};
use mk8s_routing::{RoutingError, Source, Table};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::Notify, task::JoinSet};
use tracing::{error, info, warn};

use crate::{custom_resources::CustomResources, service_account, targets::Targets};

/// How often the files are looked at. The kubelet takes up to a minute or two to update a mounted ConfigMap.
const LOOK: Duration = Duration::from_secs(2);
/// Texts longer than this are no configuration: a ConfigMap has a megabyte at most.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// The last good set, as it was read.
const LAST_GOOD: &str = "routes.json";

/// Where things are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Files with clusters and routes.
    pub(crate) config: PathBuf,
    /// Mounted Secrets, a directory each.
    pub(crate) credentials: PathBuf,
    /// What outlives a restart.
    pub(crate) state: PathBuf,
}

/// The clusters and routes in force.
pub(crate) struct Routes {
    places: Places,
    home: ClusterName,
    home_upstream: Upstream,
    /// Addresses at which we listen: no route may lead there.
    own: Vec<String>,
    custom_resources: Option<CustomResources>,
    /// Forgets what came from clusters that may be others now.
    cache: Option<Cache>,
    current: ArcSwap<Set>,
    /// Whether what was there at the start was good.
    began_current: AtomicBool,
}

/// A set that is in force as a whole.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) table: Table,
    targets: Targets,
    sources: Vec<Source>,
    /// Whether nothing but home can be meant.
    pub(crate) is_home_alone: bool,
}

impl Routes {
    /// Reads what is there now. Without the directory there is home alone.
    ///
    /// # Errors
    /// If the set is wrong and there is no last good one: requests would go where they shouldn't.
    pub(crate) async fn open(
        places: Places,
        home: ClusterName,
        home_upstream: Upstream,
        own: Vec<String>,
        custom_resources: Option<CustomResources>,
        cache: Option<Cache>,
    ) -> anyhow::Result<Arc<Self>> {
        let routes = Self {
            began_current: AtomicBool::new(true),
            current: ArcSwap::from_pointee(Set::home_alone(&home)),
            places,
            home,
            home_upstream,
            own,
            custom_resources,
            cache,
        };
        let taken = match routes.sources_at_start().await {
            Ok(sources) => {
                let is_something = !sources.is_empty();
                routes
                    .take(sources)
                    .map(|()| is_something)
                    .map_err(|wrong| wrong.to_string())
            }
            Err(unreadable) => Err(format!("{unreadable:#}")),
        };
        match taken {
            Ok(true) => routes.keep(),
            Ok(false) => {}
            Err(wrong) => {
                let Some(kept) = routes.kept() else {
                    bail!("{wrong}");
                };
                error!(error = %wrong, "these clusters and routes are wrong; going on with the last good ones");
                routes.take(kept).map_err(|why| {
                    anyhow::anyhow!("{wrong}; and the last good ones aren't good any more: {why}")
                })?;
            }
        }
        Ok(Arc::new(routes))
    }

    /// The set in force.
    pub(crate) fn current(&self) -> Arc<Set> {
        self.current.load_full()
    }

    /// What the cluster we are in is called.
    pub(crate) fn home(&self) -> &ClusterName {
        &self.home
    }

    /// Takes over changes for as long as the sidecar runs. `is_current` says whether the newest set is in force.
    pub(crate) async fn follow(self: Arc<Self>, is_current: Gauge<i64, AtomicI64>) {
        is_current.set(i64::from(self.began_current.load(Ordering::Relaxed)));
        let changed = Arc::new(Notify::new());
        // Ends with this future.
        let mut watching = JoinSet::new();
        if let Some(custom_resources) = self.custom_resources.clone() {
            watching.spawn(custom_resources.follow(changed.clone()));
        }
        // Nothing yet: what changed since the start is found at the first look.
        let mut seen = None;
        let mut is_told = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = changed.notified() => is_told = true,
            }
            let now = self.signature();
            if seen.as_ref() == Some(&now) && !is_told {
                continue;
            }
            match self.sources().await {
                // A set may be half written; whatever isn't taken now is looked at again.
                Ok(sources) if self.signature() == now => {
                    seen = Some(now);
                    is_told = false;
                    match self.take(sources) {
                        Ok(()) => {
                            is_current.set(1);
                            self.keep();
                        }
                        Err(wrong) => {
                            is_current.set(0);
                            error!(error = %wrong, "these clusters and routes are wrong; going on with the last good ones");
                        }
                    }
                }
                Ok(_) => {}
                Err(why) => {
                    warn!(error = %why, "can't read clusters and routes; going on with the last good ones");
                }
            }
        }
    }

    async fn sources_at_start(&self) -> anyhow::Result<Vec<Source>> {
        let mut sources = sources(&self.places.config)?;
        if let Some(custom_resources) = &self.custom_resources {
            sources.extend(custom_resources.read_at_start().await?);
        }
        Ok(sources)
    }

    /// Files first, then custom resources.
    async fn sources(&self) -> anyhow::Result<Vec<Source>> {
        let mut sources = sources(&self.places.config)?;
        if let Some(custom_resources) = &self.custom_resources {
            sources.extend(custom_resources.read().await?);
        }
        Ok(sources)
    }

    fn take(&self, sources: Vec<Source>) -> Result<(), RoutingError> {
        let table = Table::read(&sources, &self.home, &self.own)?;
        let before = self.current.load();
        let targets = Targets::prepare(&table, &self.places.credentials, &before.targets);
        for (cluster, why) in targets.unusable() {
            warn!(%cluster, why, "a cluster can't be used");
        }
        if before.sources != sources {
            info!(
                clusters = table.clusters().count(),
                routes = table.route_count(),
                "clusters and routes are in force"
            );
        }
        let moved: Vec<ClusterName> = targets.changed_since(&before.targets).cloned().collect();
        self.current.store(Arc::new(Set {
            is_home_alone: sources.is_empty(),
            table,
            targets,
            sources,
        }));
        if let Some(cache) = &self.cache {
            moved.iter().for_each(|cluster| cache.forget(cluster));
        }
        Ok(())
    }

    /// What is looked at to see whether anything changed.
    fn signature(&self) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
        let mut found = Vec::new();
        let mut look = |directory: &Path| {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                // Followed: a mounted volume's files are links into a directory that is exchanged as a whole.
                if let Ok(metadata) = fs::metadata(entry.path()) {
                    found.push((entry.path(), metadata.modified().ok(), metadata.len()));
                }
            }
        };
        look(&self.places.config);
        let secrets = fs::read_dir(&self.places.credentials)
            .into_iter()
            .flatten()
            .flatten();
        for secret in secrets {
            look(&secret.path());
        }
        found.sort();
        found
    }

    fn keep(&self) {
        let path = self.places.state.join(LAST_GOOD);
        let sources: Vec<(String, String)> = self
            .current
            .load()
            .sources
            .iter()
            .map(|source| (source.name.clone(), source.text.clone()))
            .collect();
        let written = serde_json::to_vec(&sources)
            .map_err(io::Error::from)
            .and_then(|text| service_account::write(&path, &text, 0o600));
        if let Err(error) = written {
            warn!(%error, path = %path.display(), "can't keep the clusters and routes for a restart");
        }
    }

    fn kept(&self) -> Option<Vec<Source>> {
        let text = fs::read(self.places.state.join(LAST_GOOD)).ok()?;
        let sources: Vec<(String, String)> = serde_json::from_slice(&text).ok()?;
        let sources = sources.into_iter().map(|(name, text)| Source { name, text });
        Some(sources.collect())
    }
}

impl Clusters for Routes {
    fn upstream(&self, cluster: &ClusterName) -> Result<Upstream, Unroutable> {
        if *cluster == self.home {
            return Ok(self.home_upstream.clone());
        }
        self.current.load().targets.upstream(cluster)
    }
}

impl Set {
    fn home_alone(home: &ClusterName) -> Self {
        Self {
            table: Table::empty(home),
            targets: Targets::default(),
            sources: Vec::new(),
            is_home_alone: true,
        }
    }
}

/// All texts in a directory, in the order of their names; none if it isn't there.
fn sources(directory: &Path) -> anyhow::Result<Vec<Source>> {
    let unreadable = || format!("can't read {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(unreadable),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(unreadable)?;
    paths.retain(|path| {
        let is_text = path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        is_text && path.is_file()
    });
    paths.sort();
    paths.iter().map(|path| source(path)).collect()
}

fn source(path: &Path) -> anyhow::Result<Source> {
    let name = path.display().to_string();
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > MAX_BYTES) {
        bail!("{name} is longer than {} MiB", MAX_BYTES / 1024 / 1024);
    }
    let text = fs::read_to_string(path).with_context(|| format!("can't read {name}"))?;
    Ok(Source { name, text })
}
