//! The ways to a kubeconfig's clusters, made when they are first asked for: a context that can't be used says so when it is used, and
//! one whose file was mended meanwhile works. Credentials that a plugin lends are asked for again when they end.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use mk8s_connect::{kubeconfig, plugin::Lent};
use mk8s_model::ClusterName;
use mk8s_net::link::StreamCounters;
use mk8s_proxy::{Clusters, Direct, Unroutable, Upstream, upstream::Naming};
use tokio::sync::Mutex as AsyncMutex;

/// The ways to a kubeconfig's clusters.
pub(crate) struct FileWays {
    path: PathBuf,
    contexts: BTreeMap<ClusterName, Context>,
}

struct Context {
    name: String,
    way: Mutex<Option<Way>>,
    /// Held by whoever makes the way, so that a plugin runs once for all who wait.
    making: AsyncMutex<()>,
}

#[derive(Clone)]
struct Way {
    direct: Arc<Direct>,
    /// What a plugin lent, if one did.
    lent: Option<Lent>,
}

impl FileWays {
    /// Those contexts of a file, by the clusters' names.
    pub(crate) fn new(path: PathBuf, contexts: BTreeMap<ClusterName, String>) -> Self {
        let context = |name| Context {
            name,
            way: Mutex::new(None),
            making: AsyncMutex::new(()),
        };
        Self {
            path,
            contexts: contexts
                .into_iter()
                .map(|(cluster, name)| (cluster, context(name)))
                .collect(),
        }
    }

    /// Sees to it that there is a way, with credentials that are good now.
    pub(crate) async fn prepare(&self, cluster: &ClusterName) -> Result<(), Unroutable> {
        let context = self.context(cluster)?;
        if context.usable().is_some() {
            return Ok(());
        }
        let _making = context.making.lock().await;
        if context.usable().is_some() {
            return Ok(());
        }
        let way = self.make(context).await.map_err(|why| Unroutable::Unusable {
            cluster: cluster.clone(),
            why,
        })?;
        *context.way.lock().unwrap_or_else(PoisonError::into_inner) = Some(way);
        Ok(())
    }

    /// Forgets a way whose credentials weren't taken. Says whether there may be others.
    pub(crate) fn forget(&self, cluster: &ClusterName) -> bool {
        let Some(context) = self.contexts.get(cluster) else {
            return false;
        };
        let forgotten = context.way.lock().unwrap_or_else(PoisonError::into_inner).take();
        forgotten.is_some_and(|way| way.lent.is_some())
    }

    async fn make(&self, context: &Context) -> Result<Way, String> {
        let (target, plugin) =
            kubeconfig::for_person(&self.path, Some(&context.name)).map_err(|why| why.to_string())?;
        let (target, lent) = match plugin {
            Some(plugin) => {
                let lent = plugin.run().await.map_err(|why| why.to_string())?;
                (lent.lend(target), Some(lent))
            }
            None => (target, None),
        };
        let direct = target
            .direct(Naming::AsSelf, Arc::new(StreamCounters::default()))
            .map_err(|why| why.to_string())?;
        Ok(Way {
            direct: Arc::new(direct),
            lent,
        })
    }

    fn context(&self, cluster: &ClusterName) -> Result<&Context, Unroutable> {
        self.contexts
            .get(cluster)
            .ok_or_else(|| Unroutable::Unknown(cluster.clone()))
    }
}

impl Context {
    fn usable(&self) -> Option<Way> {
        let way = self.way.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let is_good = way
            .lent
            .as_ref()
            .is_none_or(|lent| lent.is_good_at(Timestamp::now()));
        is_good.then_some(way)
    }
}

impl Clusters for FileWays {
    fn upstream(&self, cluster: &ClusterName) -> Result<Upstream, Unroutable> {
        let way = self
            .context(cluster)?
            .usable()
            .ok_or_else(|| Unroutable::Unusable {
                cluster: cluster.clone(),
                why: "its credentials ended a moment ago: ask again".to_owned(),
            })?;
        Ok(Upstream::Direct(way.direct))
    }
}
