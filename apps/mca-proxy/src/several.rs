//! Requests for several clusters: lists and watches are asked of all of them; anything else is for one, which an object says
//! itself if it came from such a list.

use std::sync::Arc;

use http::{Method, Request, Response, header};
use mk8s_fleet::{Span, mark};
use mk8s_model::{ClusterName, KubeRequest};
use mk8s_net::{Body, status::Status};
use mk8s_proxy::Upgrade;

use crate::{inside::Asker, whole};

/// Answers a request that a route sends to several clusters.
pub(crate) async fn answer(
    asker: Arc<Asker>,
    clusters: Vec<ClusterName>,
    mut request: Request<Body>,
    upgrade: Option<Upgrade>,
) -> Response<Body> {
    if upgrade.is_none() {
        let span = KubeRequest::classify(request.method(), request.uri())
            .ok()
            .and_then(|kube| mk8s_fleet::spans(request.method(), &kube));
        match span {
            Some(Span::List) => return mk8s_fleet::list(asker, clusters, request).await,
            Some(Span::Watch) => return mk8s_fleet::watch(asker, clusters, request).await,
            None => {}
        }
    }
    match pick(&clusters, &mut request).await {
        Ok(cluster) => asker.ask_one(cluster, request, upgrade).await,
        Err(why) => why.into_response(),
    }
}

/// The one cluster that a request is for: what its object is marked with, or else the first. The object becomes that cluster's
/// own.
async fn pick(clusters: &[ClusterName], request: &mut Request<Body>) -> Result<ClusterName, Status> {
    let first = || {
        clusters
            .first()
            .cloned()
            .ok_or_else(|| Status::internal("a route to no cluster"))
    };
    let writes = matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    );
    if !writes || !is_json(request) {
        return first();
    }
    let body = whole::take(request).await?;
    let marked = mark::cluster(&body).map_err(|why| why.status())?;
    let cluster = match marked {
        None => first()?,
        Some(cluster) if clusters.contains(&cluster) => cluster,
        Some(cluster) => {
            return Err(Status::bad_request(format!(
                "the object is of cluster {cluster} ({}), to which no route leads from here; name it by X-Mca-Cluster",
                mark::ANNOTATION
            )));
        }
    };
    let own = mark::remove(&body, &cluster).map_err(|why| why.status())?;
    let changed = match own {
        std::borrow::Cow::Borrowed(_) => body.clone(),
        std::borrow::Cow::Owned(own) => own.into(),
    };
    if changed.len() != body.len() {
        request.headers_mut().remove(header::CONTENT_LENGTH);
    }
    *request.body_mut() = Body::full(changed);
    Ok(cluster)
}

fn is_json(request: &Request<Body>) -> bool {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    // Without one, the API server takes JSON.
    content_type.is_none_or(|content_type| content_type.contains("json"))
}
