//! Which cluster a request is for: what the client names itself, and what the routes say.

use http::{HeaderMap, HeaderName, Uri, header, uri::PathAndQuery};
use mk8s_model::{ClusterName, KubeRequest, Verb};
use mk8s_net::{Body, status::Status};
use mk8s_routing::{Asked, Choice, Labelled, Requested};

use crate::{
    routes::{Routes, Set},
    whole,
};

static CLUSTER_HEADER: HeaderName = HeaderName::from_static(Requested::HEADER);

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum Way {
    /// To one cluster.
    One(ClusterName),
    /// To all of these if it can be asked of several at once, and else to one of them.
    Several(Vec<ClusterName>),
}

impl Way {
    /// What metrics call it.
    pub(crate) fn label(&self) -> &str {
        match self {
            Self::One(cluster) => cluster.as_str(),
            Self::Several(_) => "several",
        }
    }
}

/// Finds the way of a request whose word to us was taken off already ([`take_requested`]).
pub(crate) async fn choose(
    routes: &Routes,
    requested: Option<&str>,
    kube: Option<&KubeRequest<'_>>,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Way, Status> {
    let set = routes.current();
    // What can't be understood is refused further on, in the same words as ever.
    let Some(kube) = kube.filter(|_| !set.is_home_alone || requested.is_some()) else {
        return Ok(Way::One(routes.home().clone()));
    };
    let asked = Asked {
        request: kube,
        requested,
    };
    if let Some(way) = ask(&set, routes, &asked, None)? {
        return Ok(way);
    }
    let labelled = labels(kube, headers, query, body).await?;
    match ask(&set, routes, &asked, Some(&labelled))? {
        Some(way) => Ok(way),
        None => Err(Status::internal("the routes ask for labels twice")),
    }
}

/// The way, or nothing if it depends on labels.
fn ask(
    set: &Set,
    routes: &Routes,
    asked: &Asked<'_>,
    labelled: Option<&Labelled>,
) -> Result<Option<Way>, Status> {
    Ok(match set.table.choose(asked, labelled) {
        Choice::Home => Some(Way::One(routes.home().clone())),
        Choice::Clusters([one]) => Some(Way::One(one.clone())),
        Choice::Clusters(several) => Some(Way::Several(several.to_vec())),
        Choice::Labels => None,
        Choice::Unknown => {
            let known: Vec<&str> = set.table.known_names().map(ClusterName::as_str).collect();
            let name: String = asked.requested.unwrap_or_default().chars().take(64).collect();
            return Err(Status::not_found(format!(
                "there is no cluster {name:?}; there are {}",
                known.join(", ")
            )));
        }
    })
}

/// Takes off a request what was said to us alone: the cluster that the client names, by header or path.
pub(crate) fn take_requested(headers: &mut HeaderMap, uri: &mut Uri) -> Result<Option<String>, Status> {
    let mut named = None;
    let mut values = headers.get_all(&CLUSTER_HEADER).iter();
    if let Some(value) = values.next() {
        if values.next().is_some() {
            return Err(Status::bad_request(
                "X-Mca-Cluster is there more than once; name one cluster",
            ));
        }
        let value = value.to_str().unwrap_or_default().trim();
        named = Some(value.to_owned());
        headers.remove(&CLUSTER_HEADER);
    }
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if let Some((name, rest)) = Requested::in_path(path) {
        if named.as_deref().is_some_and(|named| named != name) {
            return Err(Status::bad_request(
                "the path names one cluster and X-Mca-Cluster another; name one",
            ));
        }
        let name = name.to_owned();
        let rest = if rest.starts_with('/') {
            rest.to_owned()
        } else {
            format!("/{rest}")
        };
        *uri = rest
            .parse()
            .map_err(|_| Status::bad_request("the path can't be read"))?;
        named = Some(name);
    }
    Ok(named)
}

/// The labels that a request speaks of. A body that is read for that is put back whole.
async fn labels(
    kube: &KubeRequest<'_>,
    headers: &HeaderMap,
    query: Option<&str>,
    body: &mut Body,
) -> Result<Labelled, Status> {
    let KubeRequest::Resource(resource) = kube else {
        return Ok(Labelled::default());
    };
    match resource.verb {
        Verb::List | Verb::Watch | Verb::DeleteCollection => Ok(Labelled::by_selector(query)),
        Verb::Create | Verb::Update | Verb::Patch => {
            let bytes = whole::take(body).await?;
            let content_type = headers
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok());
            let labelled = Labelled::in_body(content_type, &bytes);
            *body = Body::full(bytes);
            Ok(labelled)
        }
        Verb::Get | Verb::Delete | Verb::Proxy => Ok(Labelled::default()),
    }
}
