//! `mk8s clusters list` and `mk8s clusters use`.

use mk8s_model::ClusterName;
use serde::Serialize;

use crate::{
    cli::ClustersUse,
    clock::Moment,
    cluster_cache,
    context::{Context, block_on},
    contract::Cluster,
    error::{Failure, Result},
    output::{self, Format, Table, duration},
    selection::Selection,
};

/// The answer in JSON and YAML.
#[derive(Debug, Serialize)]
struct Listed {
    clusters: Vec<ListedCluster>,
}

#[derive(Debug, Serialize)]
struct ListedCluster {
    #[serde(flatten)]
    cluster: Cluster,
    /// Whether `mk8s kubectl` works on this one.
    current: bool,
}

/// Lists the clusters that the user may reach.
pub(crate) fn list(context: &Context<'_>, flag: Option<&ClusterName>, format: Format) -> Result<()> {
    let central = context.central()?;
    let current = Selection::find(context, flag)?.map(|selection| selection.cluster);
    let mut clusters = block_on(cluster_cache::fetch(context, &central))?;
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    let mark = |cluster: Cluster| ListedCluster {
        current: Some(&cluster.name) == current.as_ref(),
        cluster,
    };
    let listed = Listed {
        clusters: clusters.into_iter().map(mark).collect(),
    };
    if listed.clusters.is_empty() && format == Format::Table {
        output::note("No clusters: none is registered, or your roles reach none.");
        return Ok(());
    }
    output::answer(format, &listed, || table(&listed))
}

/// Makes a cluster the one that `mk8s kubectl` works on.
pub(crate) fn choose(mut context: Context<'_>, choice: ClustersUse) -> Result<()> {
    let central = context.central()?;
    let configured = context.configured_central()?;
    if configured
        .as_ref()
        .is_some_and(|configured| *configured != central)
    {
        return Err(Failure::new(format!(
            "MK8S_CENTRAL is {central}, and the choice is kept for the configured central"
        ))
        .hint(format!(
            "export MK8S_CLUSTER={}, or mk8s login --central {central} to change over",
            choice.name
        )));
    }
    if let Some(namespace) = &choice.namespace {
        check_namespace(namespace)?;
    }
    let clusters = block_on(cluster_cache::fetch(&context, &central))?;
    let Some(cluster) = clusters.iter().find(|cluster| cluster.name == choice.name) else {
        return Err(cluster_cache::unknown(
            &choice.name,
            clusters.iter().map(|cluster| &cluster.name),
        ));
    };
    let changes = context.config.current_cluster.as_ref() != Some(&choice.name);
    // A namespace of the cluster left behind means nothing on this one.
    if changes || choice.namespace.is_some() {
        context.config.namespace = choice.namespace;
    }
    context.config.current_cluster = Some(choice.name.clone());
    context.config.central_url = Some(central.as_str().to_owned());
    context.config.save(&context.home)?;
    if !cluster.is_connected() {
        let status = output::plain(&cluster.status);
        output::note(&format!(
            "warning: {} is {status}: requests fail until its agent is back",
            choice.name
        ));
    }
    if let Some(named) = context
        .cluster_from_environment()?
        .filter(|named| *named != choice.name)
    {
        output::note(&format!(
            "warning: in this shell MK8S_CLUSTER={named} goes before the choice"
        ));
    }
    let namespace = context
        .config
        .namespace
        .as_ref()
        .map(|namespace| format!(" (namespace {namespace})"));
    output::print(&format!(
        "Now using {}{}\n",
        choice.name,
        namespace.unwrap_or_default()
    ))
}

/// A DNS-1123 label, as Kubernetes has it.
fn check_namespace(namespace: &str) -> Result<()> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let valid = (1..=63).contains(&namespace.len())
        && namespace.bytes().all(inner)
        && !namespace.starts_with('-')
        && !namespace.ends_with('-');
    if valid {
        return Ok(());
    }
    let shown = output::plain(namespace);
    Err(Failure::usage(format!("{shown:?} is no namespace"))
        .hint("a namespace has 1 to 63 lower-case letters, digits and '-'"))
}

fn table(listed: &Listed) -> String {
    let now = Moment::now().timestamp();
    let mut table = Table::new(&["CURRENT", "NAME", "STATUS", "VERSION", "LAST SEEN"]);
    for ListedCluster { cluster, current } in &listed.clusters {
        let last_seen = cluster
            .last_seen
            .as_deref()
            .map_or("never".to_owned(), |at| ago(at, now));
        table.row([
            if *current { "*" } else { "" },
            cluster.name.as_str(),
            &cluster.status,
            cluster.kubernetes_version.as_deref().unwrap_or("-"),
            &last_seen,
        ]);
    }
    table.render()
}

/// How long ago, for people; a time that is ahead of our clock is now.
fn ago(at: &str, now: jiff::Timestamp) -> String {
    match at.parse::<jiff::Timestamp>() {
        Ok(at) => {
            let seconds = now.as_second().saturating_sub(at.as_second()).max(0);
            format!("{} ago", duration(u64::try_from(seconds).unwrap_or_default()))
        }
        Err(_) => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_a_dns_label() {
        assert!(check_namespace("kube-system").is_ok());
        for bad in ["", "-a", "a-", "A", "a/b", "a.b", "a\nb", &"a".repeat(64)] {
            assert!(check_namespace(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_says_now() {
        let now: jiff::Timestamp = "2024-01-02T00:00:00Z".parse().expect("valid");
        assert_eq!(ago("2024-01-01T23:59:30Z", now), "30s ago");
        assert_eq!(ago("2024-01-02T00:10:00Z", now), "0s ago");
        assert_eq!(ago("soon", now), "soon");
    }
}
