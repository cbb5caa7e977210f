//! What is asked of one cluster, and its answer.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use mk8s_lists::{Change, Failure, List, Template, TooLong, Unfit, accept, readable};
use mk8s_model::ClusterName;
use mk8s_net::{Body, status::Status};

use crate::{
    failure::{refused, unreadable},
    table::Columns,
};

/// What is about one answer's form and length, and not about ours.
const NOT_PASSED_ON: [HeaderName; 9] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
];

/// The client's request, from which those to the clusters are made.
///
/// # Errors
/// 406, if the client takes no JSON.
pub(crate) fn template(request: Request<Body>) -> Result<Template, Failure> {
    let (parts, _) = request.into_parts();
    let accept = accepted(&parts.headers)?;
    let mut headers = parts.headers;
    for name in &NOT_PASSED_ON {
        headers.remove(name);
    }
    headers.insert(header::ACCEPT, accept);
    // A list read while it comes can't be unpacked.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Ok(Template::new(&parts.uri, headers))
}

fn accepted(headers: &HeaderMap) -> Result<HeaderValue, Failure> {
    let kept = accept::json_ranges(headers);
    if kept.is_empty() {
        return Err(Status::not_acceptable(
            "several clusters answer together in JSON alone: accept application/json as well",
        )
        .into());
    }
    // Made of what was header text before.
    HeaderValue::from_str(&kept.join(","))
        .map_err(|_| Status::bad_request("the Accept header can't be read").into())
}

/// The request to one cluster.
///
/// # Errors
/// 400, if it gets too long for a URI.
pub(crate) fn request(template: &Template, changes: &[Change<'_>]) -> Result<Request<Body>, Failure> {
    template
        .request(changes)
        .map_err(|TooLong| Status::bad_request("the request is too long once it is for one cluster").into())
}

/// A list whose beginning was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) list: List,
    pub(crate) columns: Option<Columns>,
    pub(crate) warnings: Vec<HeaderValue>,
}

impl Answer {
    /// Reads an answer up to the first object in it.
    ///
    /// # Errors
    /// What the cluster said instead, or 502 if it is no list.
    pub(crate) async fn open(cluster: &ClusterName, response: Response<Body>) -> Result<Self, Failure> {
        let (warnings, body) = succeeded(cluster, response).await?;
        let list = List::open(body).await.map_err(|why| unreadable(cluster, &why))?;
        let columns = match list.member("columnDefinitions") {
            Some(text) => Columns::parse(text).map_err(|why| unreadable(cluster, &why))?,
            None => None,
        };
        Ok(Self {
            list,
            columns,
            warnings,
        })
    }
}

/// The body of an answer that says yes, in JSON, with the warnings that came along.
///
/// # Errors
/// What the cluster said instead, or 502 if it isn't JSON.
pub(crate) async fn succeeded(
    cluster: &ClusterName,
    response: Response<Body>,
) -> Result<(Vec<HeaderValue>, Body), Failure> {
    match readable(response) {
        Ok((mut headers, body)) => {
            let warnings = match headers.entry(header::WARNING) {
                header::Entry::Occupied(warnings) => warnings.remove_entry_mult().1.collect(),
                header::Entry::Vacant(_) => Vec::new(),
            };
            Ok((warnings, body))
        }
        Err(Unfit::Refused(response)) => Err(refused(cluster, *response).await),
        Err(Unfit::NotJson) => Err(unreadable(cluster, &"it is not plain JSON, which was asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_asked_for_plain_json() {
        let request = Request::get("/api/v1/pods?limit=5")
            .header("accept", "application/yaml, application/json")
            .header("accept-encoding", "gzip")
            .header("if-none-match", "x")
            .header("user-agent", "kubectl")
            .body(Body::empty())
            .expect("request");
        let template = template(request).expect("JSON");
        let asked = super::request(&template, &[]).expect("request");
        assert_eq!(asked.uri(), "/api/v1/pods?limit=5");
        let mut headers: Vec<_> = asked.headers().iter().collect();
        headers.sort_by_key(|(name, _)| name.as_str().to_owned());
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
            .collect();
        assert_eq!(
            headers,
            [
                ("accept", "application/json"),
                ("accept-encoding", "identity"),
                ("user-agent", "kubectl")
            ]
        );
    }

    #[test]
    fn who_takes_no_json_is_refused() {
        let request = Request::get("/api/v1/pods")
            .header("accept", "text/html")
            .body(Body::empty())
            .expect("request");
        assert_eq!(template(request).expect_err("no JSON").code(), 406);
    }
}
