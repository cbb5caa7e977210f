//! One list over several clusters.

use std::sync::Arc;

use futures_util::{future, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use mk8s_lists::{Change, Failure, Template};
use mk8s_model::ClusterName;
use mk8s_net::{Body, status::Status};

use crate::{
    Ask,
    answer::{self, Answer},
    page::{Listed, Page, request_for},
    token::{self, Progress},
    version::Requested,
};

/// Lists what all the clusters have, in their order; a cluster that is named twice is asked once. The request is one for which
/// [`crate::spans`] says [`crate::Span::List`]. The answer is streamed; failures are answers too, naming the cluster.
pub async fn list(ask: Arc<dyn Ask>, clusters: Vec<ClusterName>, request: Request<Body>) -> Response<Body> {
    match begin(ask, crate::distinct(clusters), request).await {
        Ok(response) => response,
        Err(why) => why.into_response(),
    }
}

async fn begin(
    ask: Arc<dyn Ask>,
    clusters: Vec<ClusterName>,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    if clusters.is_empty() {
        return Err(Status::not_found("there is no cluster to ask").into());
    }
    let template = answer::template(request)?;
    let token = template.value("continue").filter(|token| !token.is_empty());
    let (listed, room) = match token {
        None => first_page(&*ask, &template, clusters).await?,
        Some(token) => next_page(&*ask, &template, &clusters, &token).await?,
    };
    let warnings: Vec<_> = listed
        .iter()
        .filter_map(|listed| listed.answer.as_ref())
        .flat_map(|answer| answer.warnings.clone())
        .collect();
    let page = Page::begin(ask, template, listed, room)?;
    let body = stream::try_unfold(page, async |mut page| {
        let more = page.next().await?;
        Ok::<_, mk8s_net::BoxError>(more.map(|more| (Frame::data(more), page)))
    });
    Ok(crate::answer(
        warnings.into_iter(),
        Body::boxed(StreamBody::new(Box::pin(body))),
    ))
}

/// All clusters, asked at once.
async fn first_page(
    ask: &dyn Ask,
    template: &Template,
    clusters: Vec<ClusterName>,
) -> Result<(Vec<Listed>, Option<u64>), Failure> {
    let version = template.value("resourceVersion").unwrap_or_default();
    let requested = Requested::read(&version, &clusters).map_err(|_| {
        Status::expired(format!(
            "the resource version {version:?} is not one of these clusters; list without one"
        ))
    })?;
    // API servers answer with everything when any version will do, whatever the limit.
    let room = limit(template).filter(|_| version != "0");
    let asked = clusters.into_iter().map(async |cluster| {
        let mut changes: Vec<Change<'_>> = vec![("continue", None)];
        if let Requested::Each(versions) = &requested {
            match versions.of(&cluster) {
                // A list of which nothing was known has no version to match.
                None | Some("") => {
                    changes.extend([("resourceVersion", None), ("resourceVersionMatch", None)]);
                }
                Some(own) => changes.push(("resourceVersion", Some(own.to_owned()))),
            }
        }
        let mut listed = Listed::new(cluster, None, None);
        let request = answer::request(template, &changes)?;
        let response = ask.ask(&listed.cluster, request).await;
        listed.answer = Some(Answer::open(&listed.cluster, response).await?);
        Ok::<_, Failure>(listed)
    });
    Ok((future::try_join_all(asked).await?, room))
}

/// The first cluster that the client hasn't seen all of.
async fn next_page(
    ask: &dyn Ask,
    template: &Template,
    clusters: &[ClusterName],
    token: &str,
) -> Result<(Vec<Listed>, Option<u64>), Failure> {
    let version = template.value("resourceVersion").unwrap_or_default();
    if !matches!(&*version, "" | "0") {
        return Err(
            Status::bad_request("specifying resource version is not allowed when using continue").into(),
        );
    }
    let positions = token::decode(token, clusters).ok_or_else(|| {
        Status::expired("the continue parameter is not of a list of these clusters; list anew")
    })?;
    let room = limit(template);
    let mut listed: Vec<Listed> = positions
        .into_iter()
        .map(|at| Listed::new(at.cluster, Some(at.resource_version), Some(at.progress)))
        .collect();
    if let Some(next) = listed
        .iter_mut()
        .find(|listed| listed.progress != Some(Progress::Done))
    {
        let request = request_for(template, next, room)?;
        let response = ask.ask(&next.cluster, request).await;
        next.answer = Some(Answer::open(&next.cluster, response).await?);
    }
    Ok((listed, room))
}

/// How many objects the client wants at most. What is no number is left to the clusters to refuse.
fn limit(template: &Template) -> Option<u64> {
    template.value("limit")?.parse().ok().filter(|limit| *limit > 0)
}
