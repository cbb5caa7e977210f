//! What is asked for: a method and path become a document, a list, or a refusal in Kubernetes' words.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response};
use mk8s_model::{GroupResource, KubeRequest, ResourceRequest, Verb};
use mk8s_net::{Body, status::Status};

use crate::{
    discovery::{Discovery, GROUP, MY_NAMESPACE, PREFIX, VERSION, WHO_AM_I, nothing_there},
    own::{Own, Wanted},
    requester::Requester,
    resources::{Served, own_name},
    whoami,
};

/// Everything that is answered to somebody known.
pub(crate) struct Api {
    pub(crate) discovery: Discovery,
    pub(crate) own: Own,
    namespaces: GroupResource,
    served: Vec<Served>,
}

impl Api {
    pub(crate) fn new(own: Own, served: Vec<Served>) -> Arc<Self> {
        Arc::new(Self {
            discovery: Discovery::new(&served),
            own,
            namespaces: GroupResource {
                group: String::new(),
                resource: "namespaces".to_owned(),
            },
            served,
        })
    }

    /// The answer. Of those who come `directly`, nobody has asked yet whether they may use this API at all.
    pub(crate) async fn answer(
        &self,
        requester: &Requester,
        directly: bool,
        request: &Request<()>,
    ) -> Response<Body> {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        if *method != Method::GET {
            return not_allowed(method);
        }
        if let Some(document) = self.discovery.answer(uri.path(), headers) {
            return document;
        }
        match KubeRequest::classify(method, uri) {
            Ok(KubeRequest::Resource(resource)) if resource.group == GROUP && resource.version == VERSION => {
                if !is_plain(&resource, uri.path()) {
                    return unknown(&resource.resource);
                }
                if directly && let Err(refused) = self.permit(requester, &resource).await {
                    return refused.into_response();
                }
                self.resource(requester, &resource, uri.query(), headers).await
            }
            Ok(_) => nothing_there(uri.path()),
            Err(why) => Status::bad_request(why.to_string()).into_response(),
        }
    }

    /// Whether the API server would let them through to us.
    async fn permit(&self, requester: &Requester, asked: &ResourceRequest<'_>) -> Result<(), Status> {
        let here = GroupResource {
            group: GROUP.to_owned(),
            resource: asked.resource.to_string(),
        };
        match self.own.reviews.may(requester, asked.verb.as_str(), &here).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Status::forbidden(format!(
                "{}.{GROUP} is forbidden: User {:?} cannot {} resource {:?} in API group {GROUP:?} at the cluster scope",
                asked.resource, requester.name, asked.verb, asked.resource
            ))
            .about(&asked.resource, GROUP, None)),
            Err(why) => Err(Status::unavailable(why.to_string(), 1)),
        }
    }

    async fn resource(
        &self,
        requester: &Requester,
        asked: &ResourceRequest<'_>,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Response<Body> {
        // Nothing here is in a namespace, and nothing has parts.
        if asked.subresource.is_some() || asked.namespace.is_some() {
            return unknown(&asked.resource);
        }
        if asked.resource == WHO_AM_I {
            return match (asked.verb, &asked.name) {
                (Verb::List, None) => whoami::answer(requester, headers),
                _ => not_allowed(&Method::GET),
            };
        }
        let (resource, path, has_get) = if asked.resource == MY_NAMESPACE {
            (&self.namespaces, "/api/v1/namespaces".to_owned(), true)
        } else if let Some(served) = self
            .served
            .iter()
            .find(|s| own_name(&s.resource) == asked.resource)
        {
            (&served.resource, served.path(), false)
        } else {
            return unknown(&asked.resource);
        };
        let wanted = match (asked.verb, &asked.name) {
            (Verb::List, _) => Wanted::List,
            (Verb::Watch, _) => Wanted::Watch,
            (Verb::Get, Some(name)) if has_get => Wanted::Get(name),
            _ => return not_allowed(&Method::GET),
        };
        self.own
            .answer(requester, resource, &path, wanted, query, headers)
            .await
    }
}

/// Whether the path has the form of today: no "watch" before the resource, nothing behind the name.
fn is_plain(asked: &ResourceRequest<'_>, path: &str) -> bool {
    let collection = format!("{PREFIX}/{}", asked.resource);
    let rest = path
        .strip_prefix(&collection)
        .map(|rest| rest.trim_end_matches('/'));
    match asked.verb {
        Verb::List | Verb::Watch => rest == Some(""),
        _ => rest.is_some_and(|rest| rest.starts_with('/') && !rest[1..].contains('/')),
    }
}

fn unknown(resource: &str) -> Response<Body> {
    let shown: String = resource.chars().take(64).collect();
    Status::not_found("the server could not find the requested resource")
        .about(&shown, GROUP, None)
        .into_response()
}

fn not_allowed(method: &Method) -> Response<Body> {
    Status::method_not_allowed(format!(
        "{method} isn't possible here: mk8s-apiserver shows what there is; change it at its own API"
    ))
    .into_response()
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    #[test]
    fn only_the_paths_of_today_are_answered() {
        let rows = [
            ("/apis/custom.api.local/v1/mynamespace", true),
            ("/apis/custom.api.local/v1/mynamespace/", true),
            ("/apis/custom.api.local/v1/mynamespace?watch=1", true),
            (
                "/apis/custom.api.local/v1/mynamespace?fieldSelector=metadata.name%3Dx",
                true,
            ),
            ("/apis/custom.api.local/v1/mynamespace/x", true),
            ("/apis/custom.api.local/v1/watch/mynamespace", false),
            ("/apis/custom.api.local/v1/watch/mynamespace/x", false),
            ("/apis/custom.api.local/v1/mynamespace/x/status", false),
            ("/apis/custom.api.local/v1/namespaces/x/mynamespace", false),
        ];
        for (uri, expected) in rows {
            let uri: Uri = uri.parse().expect("a URI");
            let Ok(KubeRequest::Resource(asked)) = KubeRequest::classify(&Method::GET, &uri) else {
                panic!("{uri}");
            };
            assert_eq!(is_plain(&asked, uri.path()), expected, "{uri}");
        }
    }
}
