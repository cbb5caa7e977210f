//! Requests for several clusters: lists and watches are asked of all of them; anything else is for one, which an object says
//! itself if it came from such a list.

use std::sync::Arc;

use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Limited};
use mk8s_fleet::{Span, mark};
use mk8s_model::{ClusterName, KubeRequest, Verb};
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
    let cluster = match pick(&clusters, &mut request).await {
        Ok(cluster) => cluster,
        Err(why) => return why.into_response(),
    };
    if upgrade.is_some() || !answers_with_an_object(&request) {
        return asker.ask_one(cluster, request, upgrade).await;
    }
    // The object is marked as it would be in a list: whatever mark it has of its own is somebody's word.
    request.headers_mut().remove(header::ACCEPT_ENCODING);
    let answer = asker.ask_one(cluster.clone(), request, None).await;
    marked(answer, &cluster).await
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
    if !writes || is_yaml(request) {
        return first();
    }
    let body = whole::take(request.body_mut()).await?;
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

/// YAML has comments and anchors; whoever applies it names a cluster, or means the first.
fn is_yaml(request: &Request<Body>) -> bool {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|content_type| content_type.contains("yaml"))
}

/// Whether the answer is the object that was asked for, and no stream, list or `Status`.
fn answers_with_an_object(request: &Request<Body>) -> bool {
    match KubeRequest::classify(request.method(), request.uri()) {
        Ok(KubeRequest::Resource(resource)) => {
            matches!(
                resource.verb,
                Verb::Get | Verb::Create | Verb::Update | Verb::Patch
            ) && matches!(resource.subresource.as_deref(), None | Some("status"))
        }
        _ => false,
    }
}

async fn marked(answer: Response<Body>, cluster: &ClusterName) -> Response<Body> {
    if !answer.status().is_success() {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let body = match Limited::new(body, whole::MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(why) => {
            let why = format!("cluster {cluster}: its answer broke off, or is too long to be marked: {why}");
            return Status::bad_gateway(why).into_response();
        }
    };
    match mark::put(&body, cluster) {
        Ok(object) => {
            head.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(head, Body::full(object))
        }
        Err(why) => Status::bad_gateway(format!("cluster {cluster}: {why}")).into_response(),
    }
}
