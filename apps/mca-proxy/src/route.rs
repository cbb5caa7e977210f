//! Which cluster a request is for: what the client names itself, and what the routes say.

use http::{HeaderName, Request, header, uri::PathAndQuery};
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

/// Finds the way, and takes off the request what was said to us alone.
pub(crate) async fn choose(routes: &Routes, request: &mut Request<Body>) -> Result<Way, Status> {
    let set = routes.current();
    let has_word = request.headers().contains_key(&CLUSTER_HEADER)
        || request.uri().path().starts_with(Requested::PREFIX);
    if set.is_home_alone && !has_word {
        return Ok(Way::One(routes.home().clone()));
    }
    let requested = take_requested(request)?;
    let labelled = match ask(&set, routes, request, requested.as_deref(), None)? {
        Some(way) => return Ok(way),
        None => labels(request).await?,
    };
    match ask(&set, routes, request, requested.as_deref(), Some(&labelled))? {
        Some(way) => Ok(way),
        None => Err(Status::internal("the routes ask for labels twice")),
    }
}

/// The way, or nothing if it depends on labels.
fn ask(
    set: &Set,
    routes: &Routes,
    request: &Request<Body>,
    requested: Option<&str>,
    labelled: Option<&Labelled>,
) -> Result<Option<Way>, Status> {
    let home = || Way::One(routes.home().clone());
    // What can't be understood is refused further on, in the same words as ever.
    let Ok(kube) = KubeRequest::classify(request.method(), request.uri()) else {
        return Ok(Some(home()));
    };
    let asked = Asked {
        request: &kube,
        requested,
    };
    Ok(match set.table.choose(&asked, labelled) {
        Choice::Home => Some(home()),
        Choice::Clusters([one]) => Some(Way::One(one.clone())),
        Choice::Clusters(several) => Some(Way::Several(several.to_vec())),
        Choice::Labels => None,
        Choice::Unknown => {
            let known: Vec<&str> = set.table.known_names().map(ClusterName::as_str).collect();
            let name: String = requested.unwrap_or_default().chars().take(64).collect();
            return Err(Status::not_found(format!(
                "there is no cluster {name:?}; there are {}",
                known.join(", ")
            )));
        }
    })
}

/// The cluster that the client names, by header or path; the path without it.
fn take_requested(request: &mut Request<Body>) -> Result<Option<String>, Status> {
    let mut named = None;
    let mut values = request.headers().get_all(&CLUSTER_HEADER).iter();
    if let Some(value) = values.next() {
        if values.next().is_some() {
            return Err(Status::bad_request(
                "X-Mca-Cluster is there more than once; name one cluster",
            ));
        }
        let value = value.to_str().unwrap_or_default().trim();
        named = Some(value.to_owned());
    }
    request.headers_mut().remove(&CLUSTER_HEADER);
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
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
        let uri = rest
            .parse()
            .map_err(|_| Status::bad_request("the path can't be read"))?;
        *request.uri_mut() = uri;
        named = Some(name);
    }
    Ok(named)
}

/// The labels that a request speaks of. A body that is read for that is put back whole.
async fn labels(request: &mut Request<Body>) -> Result<Labelled, Status> {
    let verb = match KubeRequest::classify(request.method(), request.uri()) {
        Ok(KubeRequest::Resource(resource)) => resource.verb,
        _ => return Ok(Labelled::default()),
    };
    match verb {
        Verb::List | Verb::Watch | Verb::DeleteCollection => Ok(Labelled::by_selector(request.uri().query())),
        Verb::Create | Verb::Update | Verb::Patch => {
            let body = whole::take(request).await?;
            let content_type = request
                .headers()
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok());
            let labelled = Labelled::in_body(content_type, &body);
            *request.body_mut() = Body::full(body);
            Ok(labelled)
        }
        Verb::Get | Verb::Delete | Verb::Proxy => Ok(Labelled::default()),
    }
}
