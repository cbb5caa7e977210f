//! Requests that are answered somewhere else than where the client asked: a list of namespaces by an aggregated API that
//! shows only one's own, say.
//!
//! The decision and the audit event are about what the client asked for; only what leaves has the other path. What the
//! client said behind the `?` goes along as it is, so that watches, pages, selectors and tables stay what they were.

use http::uri::PathAndQuery;
use mk8s_model::{GroupResource, InvalidGroupResource, KubeRequest, ResourceRequest, Verb};

/// Where requests for one resource go instead, as long as they name no namespace: lists and watches of all there is, and one
/// object by name where the resource has no namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reroute {
    /// Of which resource.
    of: GroupResource,
    /// Of [`Verb::Get`], [`Verb::List`] and [`Verb::Watch`].
    verbs: Vec<Verb>,
    /// The path of the collection that answers instead, without a slash at its end.
    to: String,
}

/// A rule that can't be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReroute {
    /// What changes something, or opens a way into a workload, is not to be sent elsewhere.
    #[error("{0:?} can't be sent elsewhere: only get, list and watch can")]
    Verb(String),
    /// The path isn't one of an API's resources.
    #[error("{0:?} is no path of a resource; write /apis/GROUP/VERSION/RESOURCE")]
    To(String),
    /// The resource isn't one.
    #[error(transparent)]
    Resource(#[from] InvalidGroupResource),
}

impl Reroute {
    /// Sends `verbs` of `resource` (`namespaces`, `deployments.apps`) to the collection at `to`.
    ///
    /// # Errors
    /// [`InvalidReroute`] if it isn't a resource, a verb that only reads, or a path of a resource.
    pub fn new<V: AsRef<str>>(resource: &str, verbs: &[V], to: &str) -> Result<Self, InvalidReroute> {
        let verb = |verb: &V| match verb.as_ref() {
            "get" => Ok(Verb::Get),
            "list" => Ok(Verb::List),
            "watch" => Ok(Verb::Watch),
            other => Err(InvalidReroute::Verb(other.to_owned())),
        };
        if !GroupResource::is_path(to) {
            return Err(InvalidReroute::To(to.to_owned()));
        }
        Ok(Self {
            of: resource.parse()?,
            verbs: verbs.iter().map(verb).collect::<Result<_, _>>()?,
            to: to.to_owned(),
        })
    }

    /// The path that this request leaves with; none if it isn't meant.
    fn path(&self, request: &ResourceRequest<'_>, asked: &PathAndQuery) -> Option<String> {
        let is_meant = request.resource == self.of.resource
            && request.group == self.of.group
            && request.subresource.is_none()
            && self.verbs.contains(&request.verb);
        if !is_meant {
            return None;
        }
        // The API server's reading has a name and a namespace also where a field selector, or the object itself, gives
        // them; the path says which of the forms this is.
        let collection = self.of.path(&request.version);
        let rest = asked.path().strip_prefix(&collection)?.trim_end_matches('/');
        match (rest.strip_prefix('/'), request.verb) {
            (None, Verb::List | Verb::Watch) if rest.is_empty() => Some(self.to.clone()),
            (Some(name), Verb::Get) if !name.contains('/') => Some(format!("{}/{name}", self.to)),
            _ => None,
        }
    }
}

/// The path and query that a request leaves with, if one of the rules means it; the first that does counts.
pub(crate) fn apply(
    rules: &[Reroute],
    request: Option<&KubeRequest<'_>>,
    asked: &PathAndQuery,
) -> Option<PathAndQuery> {
    let Some(KubeRequest::Resource(request)) = request else {
        return None;
    };
    let path = rules.iter().find_map(|rule| rule.path(request, asked))?;
    let whole = match asked.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    // Both parts were in a URI before.
    whole.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;

    fn rules() -> Vec<Reroute> {
        let mine = "/apis/custom.api.local/v1";
        vec![
            Reroute::new(
                "namespaces",
                &["get", "list", "watch"],
                &format!("{mine}/mynamespace"),
            )
            .expect("valid"),
            Reroute::new("pods", &["list", "watch"], &format!("{mine}/mypods")).expect("valid"),
            Reroute::new("deployments.apps", &["list"], &format!("{mine}/mydeployments")).expect("valid"),
        ]
    }

    fn leaves_as(method: &str, uri: &str) -> Option<String> {
        let method: Method = method.parse().expect("method");
        let uri: Uri = uri.parse().expect("uri");
        let request = KubeRequest::classify(&method, &uri).expect("request");
        let asked = uri.path_and_query().expect("path");
        apply(&rules(), Some(&request), asked).map(|path| path.to_string())
    }

    #[test]
    fn lists_watches_and_gets_go_elsewhere_with_their_query() {
        let mine = "/apis/custom.api.local/v1";
        let rows = [
            ("/api/v1/namespaces", "/mynamespace"),
            ("/api/v1/namespaces?limit=500", "/mynamespace?limit=500"),
            (
                "/api/v1/namespaces?watch=1&labelSelector=a%3Db%2Cc",
                "/mynamespace?watch=1&labelSelector=a%3Db%2Cc",
            ),
            (
                "/api/v1/namespaces?fieldSelector=metadata.name%3Dx&watch=true",
                "/mynamespace?fieldSelector=metadata.name%3Dx&watch=true",
            ),
            ("/api/v1/namespaces/team-a", "/mynamespace/team-a"),
            ("/api/v1/pods?limit=1", "/mypods?limit=1"),
            ("/apis/apps/v1/deployments", "/mydeployments"),
        ];
        for (asked, expected) in rows {
            assert_eq!(
                leaves_as("GET", asked),
                Some(format!("{mine}{expected}")),
                "{asked}"
            );
        }
    }

    #[test]
    fn everything_else_stays_where_it_was() {
        let rows = [
            ("GET", "/api/v1/namespaces/x/pods"),
            ("GET", "/api/v1/namespaces/x/pods/y"),
            ("GET", "/api/v1/namespaces/x/status"),
            ("PUT", "/api/v1/namespaces/x/finalize"),
            ("POST", "/api/v1/namespaces"),
            ("DELETE", "/api/v1/namespaces/x"),
            ("DELETE", "/api/v1/namespaces"),
            ("GET", "/api/v1/watch/namespaces"),
            ("GET", "/api/v1/watch/namespaces/x"),
            ("GET", "/apis/apps/v1/deployments?watch=1"),
            ("GET", "/apis/apps/v1/namespaces/x/deployments"),
            ("GET", "/apis/example.com/v1/namespaces"),
            ("GET", "/apis/custom.api.local/v1/mynamespace"),
            ("GET", "/api/v1"),
            ("GET", "/version"),
        ];
        for (method, asked) in rows {
            assert_eq!(leaves_as(method, asked), None, "{method} {asked}");
        }
    }

    #[test]
    fn rules_that_change_something_or_lead_nowhere_are_refused() {
        let to = "/apis/custom.api.local/v1/mynamespace";
        for verb in ["create", "delete", "deletecollection", "proxy", "*", ""] {
            let error = Reroute::new("namespaces", &[verb], to)
                .expect_err(verb)
                .to_string();
            assert!(error.contains("get, list and watch"), "{error}");
        }
        for path in [
            "",
            "/",
            "/apis",
            "/apis/a/v1",
            "apis/a/v1/b",
            "/apis/a/v1/b/",
            "/apis/a/v1/b/c",
            "/apis/a/v1/b?c=d",
            "/apis/../v1/b",
            "/apis/a//b",
            "/api/v1/namespaces/x",
            "https://elsewhere/apis/a/v1/b",
            "/apis/a/v1/b%2f",
        ] {
            let error = Reroute::new("namespaces", &["list"], path)
                .expect_err(path)
                .to_string();
            assert!(error.contains("/apis/GROUP"), "{error}");
        }
        for resource in ["", "pods/log", "Pods", "deployments.", "a b", ".apps"] {
            let error = Reroute::new(resource, &["list"], to)
                .expect_err(resource)
                .to_string();
            assert!(error.contains("plural"), "{error}");
        }
    }
}
