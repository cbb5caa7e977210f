//! What central last said of its clusters, for a minute: so that a row of `mk8s kubectl` doesn't ask central each time
//! whether the cluster is there, and TAB doesn't either. Central decides every request anyway; this only makes a
//! mistyped name, an ended session or an unreachable central one clear line before kubectl starts.

use std::time::Duration;

use mk8s_model::ClusterName;
use serde::{Deserialize, Serialize};

use crate::{
    central_url::CentralUrl,
    clock::Moment,
    context::Context,
    contract::Cluster,
    error::{Failure, Result},
    home,
    session::Access,
};

/// How long the list is good for.
const LIFETIME: Duration = Duration::from_secs(60);
/// The most names that an error lists.
const MOST_NAMES: usize = 10;

#[derive(Debug, Serialize, Deserialize)]
struct Cached {
    fetched: Moment,
    clusters: Vec<Cluster>,
}

/// What central said within the last minute.
pub(crate) fn recent(context: &Context<'_>, central: &CentralUrl) -> Option<Vec<Cluster>> {
    let content = home::read(&context.home.cluster_cache(central)).ok()??;
    let cached: Cached = serde_json::from_slice(&content).ok()?;
    let age = Moment::now().since(&cached.fetched)?;
    (age < LIFETIME).then_some(cached.clusters)
}

/// Asks central, and keeps the answer.
pub(crate) async fn fetch(context: &Context<'_>, central: &CentralUrl) -> Result<Vec<Cluster>> {
    let client = context.client(central)?;
    let list = Access::new(context, central.clone())
        .ask(&client, async |client, token| client.clusters(token).await)
        .await?;
    let cached = Cached {
        fetched: Moment::now(),
        clusters: list.clusters.clone(),
    };
    if let Ok(json) = serde_json::to_vec(&cached) {
        // Only time is lost without it.
        let _ = home::write_private(&context.home.cluster_cache(central), &json);
    }
    Ok(list.clusters)
}

/// Forgets the list: somebody else may be logging in.
pub(crate) fn forget(context: &Context<'_>, central: &CentralUrl) {
    let _ = std::fs::remove_file(context.home.cluster_cache(central));
}

/// There is no cluster of this name, for this user.
pub(crate) fn unknown<'c>(name: &ClusterName, known: impl Iterator<Item = &'c ClusterName>) -> Failure {
    let mut names: Vec<&str> = known.map(ClusterName::as_str).collect();
    names.sort_unstable();
    let more = if names.len() > MOST_NAMES { ", …" } else { "" };
    names.truncate(MOST_NAMES);
    let failure = Failure::new(format!(
        "there is no cluster {name}, or your roles don't reach it"
    ));
    if names.is_empty() {
        return failure.hint("your roles reach no cluster: ask your administrator");
    }
    failure.hint(format!(
        "you can reach {}{more} (mk8s clusters list)",
        names.join(", ")
    ))
}

/// The cluster is there, and nobody can reach it now.
pub(crate) fn disconnected(cluster: &Cluster) -> Failure {
    let since = cluster
        .last_seen
        .as_ref()
        .map(|at| format!(" since {at}"))
        .unwrap_or_default();
    Failure::new(format!(
        "cluster {} is disconnected{since}: its agent has no connection to central",
        cluster.name
    ))
    .hint("try again in a minute, or ask whoever runs the cluster to look at mk8s-agent")
}
