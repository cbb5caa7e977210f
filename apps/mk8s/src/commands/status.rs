//! `mk8s status`.

use mk8s_model::ClusterName;
use serde::Serialize;

use crate::{
    clock::Moment,
    context::{Context, block_on},
    contract::{Cluster, WhoAmI},
    error::Result,
    output::{self, Format, Table, duration, plain},
    selection::Selection,
    session::Access,
};

/// The answer in JSON and YAML.
#[derive(Debug, Serialize)]
struct Status {
    central: String,
    email: String,
    roles: Vec<String>,
    /// Seconds that the token lives yet; it renews itself.
    token_seconds_left: u64,
    /// When the session ends unless it is used, by central's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_expires_at: Option<String>,
    /// The chosen cluster.
    current_cluster: Option<ClusterName>,
    namespace: Option<String>,
    clusters: Vec<ClusterStatus>,
}

#[derive(Debug, Serialize)]
struct ClusterStatus {
    name: String,
    /// `connected`, `disconnected`, or `unknown`.
    status: String,
    permissions: Vec<String>,
}

/// Shows who the user is and what they may do: on every cluster, or on the one that `--cluster` names.
pub(crate) fn run(context: &Context<'_>, flag: Option<&ClusterName>, format: Format) -> Result<()> {
    let central = context.central()?;
    let selection = Selection::find(context, flag)?;
    let client = context.client(&central)?;
    let access = Access::new(context, central.clone());
    let (who, list, session) = block_on(async {
        let who = access
            .ask(&client, async |client, token| client.who_am_i(token).await)
            .await?;
        let list = access
            .ask(&client, async |client, token| client.clusters(token).await)
            .await?;
        Ok((who, list.clusters, access.session().await?))
    })?;
    let mut clusters = merge(&who, &list);
    clusters.retain(|cluster| flag.is_none_or(|flag| flag.as_str() == cluster.name));
    let status = Status {
        central: central.as_str().to_owned(),
        email: who.email,
        roles: who.roles,
        token_seconds_left: session.remaining(&Moment::now()).as_secs(),
        session_expires_at: session.refresh_expires_at,
        namespace: selection
            .as_ref()
            .and_then(|selection| selection.namespace.clone()),
        current_cluster: selection.map(|selection| selection.cluster),
        clusters,
    };
    output::answer(format, &status, || text(&status))
}

/// The clusters of both answers, by name.
fn merge(who: &WhoAmI, list: &[Cluster]) -> Vec<ClusterStatus> {
    let state = |name: &str| {
        list.iter()
            .find(|cluster| cluster.name.as_str() == name)
            .map(|cluster| cluster.status.clone())
    };
    let mut clusters: Vec<ClusterStatus> = who
        .clusters
        .iter()
        .map(|cluster| ClusterStatus {
            name: cluster.name.clone(),
            status: state(&cluster.name).unwrap_or_else(|| "unknown".to_owned()),
            permissions: cluster.permissions.clone(),
        })
        .collect();
    for cluster in list {
        if !clusters.iter().any(|known| known.name == cluster.name.as_str()) {
            let (name, status) = (cluster.name.to_string(), cluster.status.clone());
            clusters.push(ClusterStatus {
                name,
                status,
                permissions: Vec::new(),
            });
        }
    }
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    clusters
}

fn text(status: &Status) -> String {
    let roles = if status.roles.is_empty() {
        "none".to_owned()
    } else {
        status.roles.join(", ")
    };
    let cluster = match &status.current_cluster {
        None => "none chosen (mk8s clusters use NAME)".to_owned(),
        Some(name) => {
            let known = status
                .clusters
                .iter()
                .find(|cluster| cluster.name == name.as_str());
            format!(
                "{name} ({})",
                known.map_or("not among yours", |cluster| &cluster.status)
            )
        }
    };
    let mut lines = vec![
        ("Central", status.central.clone()),
        ("User", status.email.clone()),
        ("Roles", roles),
        (
            "Token",
            format!(
                "good for {}, renewed by itself",
                duration(status.token_seconds_left)
            ),
        ),
    ];
    if let Some(at) = &status.session_expires_at {
        lines.push(("Session", format!("until {at} unless it is used before")));
    }
    lines.push(("Cluster", cluster));
    if let Some(namespace) = &status.namespace {
        lines.push(("Namespace", namespace.clone()));
    }
    let head: String = lines
        .iter()
        .map(|(name, value)| format!("{:<12}{}\n", format!("{name}:"), plain(value)))
        .collect();
    if status.clusters.is_empty() {
        return head;
    }
    let mut table = Table::new(&["CLUSTER", "STATUS", "YOU MAY"]);
    for cluster in &status.clusters {
        let mut permissions = cluster.permissions.iter().map(String::as_str);
        table.row([
            cluster.name.as_str(),
            &cluster.status,
            permissions.next().unwrap_or("-"),
        ]);
        permissions.for_each(|permission| table.row(["", "", permission]));
    }
    format!("{head}\n{}", table.render())
}
