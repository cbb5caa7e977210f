//! Which clusters a user sees on the management cluster, by their own rights.

use futures_util::{StreamExt as _, stream};
use mk8s_mcp_core::{
    cluster::{ApiError, ClusterFilter},
    error::ToolError,
    principal::Call,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tracing::info;

use crate::{
    capi::{CapiCluster, VERSIONS},
    management::{Management, Refused},
    names::Place,
    settings::{Namespace, Settings},
};

/// Clusters of one page.
const PAGE: u32 = 250;
/// Pages that are read: more clusters than these than one person has.
const MOST_PAGES: usize = 40;
/// What is read of one page, in bytes.
const PAGE_BYTES: usize = 16 << 20;
/// Namespaces that are asked at a time.
const AT_ONCE: usize = 8;
/// What stays as it is in a query's value (RFC 3986, unreserved characters).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a user sees.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// These, and there may be others where they may not look.
    Clusters(Vec<CapiCluster>),
    /// Nothing, because they may not look anywhere.
    Forbidden,
    /// Nothing, because the management cluster has no Cluster API.
    NoClusterApi,
}

/// What there is for a user: everywhere if they may look everywhere, else in the namespaces that the settings name.
pub(crate) async fn clusters(
    management: &Management,
    call: &Call,
    settings: &Settings,
    filter: &ClusterFilter,
) -> Result<Seen, ToolError> {
    let everywhere = list(management, call, settings, None, filter).await;
    match everywhere {
        Err(refused) if refused.code() == Some(403) => {}
        found => return told(found, filter),
    }
    let namespaces = &settings.rbac.allowed_namespaces;
    let lists: Vec<_> = namespaces
        .iter()
        .map(|namespace| list(management, call, settings, Some(namespace), filter))
        .collect();
    let lists: Vec<_> = stream::iter(lists).buffered(AT_ONCE).collect().await;
    let mut seen = None;
    for found in lists {
        match found {
            Err(refused) if refused.code() == Some(403) => {}
            found => match told(found, filter)? {
                Seen::Clusters(more) => seen.get_or_insert_with(Vec::new).extend(more),
                nothing => return Ok(nothing),
            },
        }
    }
    Ok(seen.map_or(Seen::Forbidden, Seen::Clusters))
}

/// Whether a user sees one cluster.
pub(crate) async fn cluster(
    management: &Management,
    call: &Call,
    settings: &Settings,
    place: &Place,
) -> Result<(), Refused> {
    const OBJECT_BYTES: usize = 4 << 20;
    let mut last = None;
    for version in VERSIONS {
        let (namespace, name) = (place.namespace(), place.name());
        let path = format!("/apis/cluster.x-k8s.io/{version}/namespaces/{namespace}/clusters/{name}");
        let asked = management.get(call, &path, OBJECT_BYTES, settings.request_limit());
        match asked.await {
            // It isn't there, or the version isn't.
            Err(refused) if refused.code() == Some(404) => last = Some(refused),
            Err(refused) => return Err(refused),
            Ok(object) => {
                let found = CapiCluster::read(&object).map(|cluster| cluster.place);
                return if found.as_ref() == Some(place) {
                    Ok(())
                } else {
                    Err(Refused::Unreadable("it is another object".to_owned()))
                };
            }
        }
    }
    Err(last.unwrap_or_else(|| Refused::Unreadable("no version is known".to_owned())))
}

/// All pages, in the best version that there is. None if there is none.
async fn list(
    management: &Management,
    call: &Call,
    settings: &Settings,
    namespace: Option<&Namespace>,
    filter: &ClusterFilter,
) -> Result<Option<Vec<CapiCluster>>, Refused> {
    for version in VERSIONS {
        let path = match namespace {
            Some(namespace) => format!("/apis/cluster.x-k8s.io/{version}/namespaces/{namespace}/clusters"),
            None => format!("/apis/cluster.x-k8s.io/{version}/clusters"),
        };
        match pages(management, call, settings, &path, filter).await {
            Err(refused) if refused.code() == Some(404) => {}
            found => return found.map(Some),
        }
    }
    Ok(None)
}

async fn pages(
    management: &Management,
    call: &Call,
    settings: &Settings,
    path: &str,
    filter: &ClusterFilter,
) -> Result<Vec<CapiCluster>, Refused> {
    let mut base = format!("{path}?limit={PAGE}");
    if let Some(labels) = &filter.labels {
        base = format!("{base}&labelSelector={}", utf8_percent_encode(labels, QUERY));
    }
    let (mut found, mut page) = (Vec::new(), base.clone());
    for _ in 0..MOST_PAGES {
        let list = management
            .get(call, &page, PAGE_BYTES, settings.request_limit())
            .await?;
        let items = list["items"]
            .as_array()
            .ok_or_else(|| Refused::Unreadable("it is no list".to_owned()))?;
        found.extend(items.iter().filter_map(read));
        match list["metadata"]["continue"].as_str() {
            None | Some("") => {
                if let Some(provider) = &filter.provider {
                    found.retain(|cluster: &CapiCluster| cluster.is_of(provider));
                }
                return Ok(found);
            }
            Some(next) => page = format!("{base}&continue={}", utf8_percent_encode(next, QUERY)),
        }
    }
    Err(Refused::Unreadable(format!(
        "it has more than {} Cluster API clusters",
        MOST_PAGES * PAGE as usize
    )))
}

fn read(object: &Value) -> Option<CapiCluster> {
    let cluster = CapiCluster::read(object);
    if cluster.is_none() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        info!(?name, "a Cluster is left out: its name can't be a cluster's");
    }
    cluster
}

/// What came of listing, for the user.
fn told(found: Result<Option<Vec<CapiCluster>>, Refused>, filter: &ClusterFilter) -> Result<Seen, ToolError> {
    match found {
        Ok(Some(clusters)) => Ok(Seen::Clusters(clusters)),
        Ok(None) => Ok(Seen::NoClusterApi),
        Err(Refused::Answered {
            code: 400, message, ..
        }) if filter.labels.is_some() => Err(ToolError::Arguments(format!("labelSelector: {message}"))),
        Err(refused) => Err(failed(refused)),
    }
}

/// What is told of a management cluster that can't say what there is.
pub(crate) fn failed(refused: Refused) -> ToolError {
    match refused {
        Refused::Answered {
            code,
            reason,
            message,
        } => ToolError::Api(ApiError::Refused {
            code,
            reason,
            message: format!("the management cluster lists no Cluster API clusters: {message}"),
        }),
        Refused::TimedOut(limit) => ToolError::TimedOut {
            seconds: limit.as_secs(),
        },
        refused => ToolError::Api(ApiError::Unreadable(format!(
            "the management cluster's list of Cluster API clusters: {refused}"
        ))),
    }
}
