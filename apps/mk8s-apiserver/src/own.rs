//! The lists: what is asked for here becomes what is asked of the API server, and is narrowed on its way back.

use std::{pin::Pin, sync::Arc, time::Duration};

use http::{HeaderMap, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use mk8s_filter::{Answered, Ask, Scope, Seal};
use mk8s_model::GroupResource;
use mk8s_net::{Body, BoxError, status::Status};
use mk8s_proxy::Direct;
use tracing::warn;

use crate::{
    requester::Requester,
    reviews::Reviews,
    scopes::{NoScope, Revision, Scopes},
    seal_key::SealKey,
};

/// How long one question about the API server's version may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// The longest answer to it.
const MAX_ANSWER: usize = 1024 * 1024;

/// What is to be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    Get(&'a str),
    List,
    Watch,
}

/// The API server, asked in our own name.
pub(crate) struct ApiServer(pub(crate) Arc<Direct>);

impl Ask for ApiServer {
    fn ask(&self, request: Request<Body>) -> Answered<'_> {
        Box::pin(async move {
            match self.0.ask_as_self(request).await {
                Ok(response) => response.map(Body::boxed),
                Err(error) => {
                    warn!(%error, "the API server can't be asked");
                    Status::unavailable("the API server can't be reached; try again", 1).into_response()
                }
            }
        })
    }
}

impl Revision for ApiServer {
    fn now(&self) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        Box::pin(async move {
            match tokio::time::timeout(CALL_LIMIT, self.revision()).await {
                Ok(Ok(revision)) => revision,
                Ok(Err(error)) => {
                    warn!(%error, "the cluster's resource version can't be told");
                    0
                }
                Err(_) => 0,
            }
        })
    }
}

impl ApiServer {
    /// What a list of one object says: the version of all that is stored.
    async fn revision(&self) -> Result<u64, BoxError> {
        #[derive(serde::Deserialize)]
        struct List {
            metadata: Metadata,
        }
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            resource_version: String,
        }
        let request = Request::get("/api/v1/namespaces?limit=1")
            .header(
                header::ACCEPT,
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            )
            .body(Body::empty())?;
        let response = self.0.ask_as_self(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await?
            .to_bytes();
        if !status.is_success() {
            return Err(format!("it answered {status}").into());
        }
        let list: List = serde_json::from_slice(&body)?;
        Ok(list.metadata.resource_version.parse()?)
    }
}

/// Answers lists, gets and watches.
pub(crate) struct Own {
    pub(crate) api_server: Arc<ApiServer>,
    pub(crate) scopes: Arc<Scopes>,
    pub(crate) reviews: Reviews,
    pub(crate) seal_key: Arc<SealKey>,
    /// How long what somebody may see counts without being found out again.
    pub(crate) fresh_for: Duration,
}

impl Own {
    /// `path` is the resource's at the API server. Of the client's headers, what it accepts goes along.
    pub(crate) async fn answer(
        &self,
        requester: &Requester,
        resource: &GroupResource,
        path: &str,
        wanted: Wanted<'_>,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Response<Body> {
        let scoped = match self.scopes.of(requester, resource, self.fresh_for).await {
            Ok(scoped) => scoped,
            Err(why) => return refusal(&why).into_response(),
        };
        let request = match upward(path, wanted, query, headers) {
            Ok(request) => request,
            Err(why) => return why.into_response(),
        };
        let ask: Arc<dyn Ask> = self.api_server.clone();
        match wanted {
            Wanted::Get(name) => {
                let mut now = scoped.borrow().clone();
                // Somebody with a role in a namespace may look at it, whosever team's it is, as without us.
                if now.scope != Scope::All {
                    match self.reviews.may_get_namespace(requester, resource, name).await {
                        Ok(true) => now.scope = Scope::All,
                        Ok(false) => {}
                        Err(why) => return refusal(&why.into()).into_response(),
                    }
                }
                mk8s_filter::get(ask, &now, request).await
            }
            Wanted::Watch => mk8s_filter::watch(ask, scoped, request).await,
            Wanted::List => {
                let who: String = requester
                    .key()
                    .as_bytes()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                let Some(key) = self.seal_key.now() else {
                    return Status::unavailable("mk8s-apiserver has no certificate yet; try again", 1)
                        .into_response();
                };
                let seal = match Seal::new(&key, &who) {
                    Ok(seal) => seal,
                    Err(why) => return Status::internal(why.to_string()).into_response(),
                };
                let now = scoped.borrow().clone();
                mk8s_filter::list(ask, &now, &seal, request).await
            }
        }
    }
}

/// Whatever kept us from knowing may be over in a second.
fn refusal(why: &NoScope) -> Status {
    Status::unavailable(why.to_string(), 1)
}

fn upward(
    path: &str,
    wanted: Wanted<'_>,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Request<Body>, Status> {
    let mut uri = path.to_owned();
    if let Wanted::Get(name) = wanted {
        // As it was decoded: nothing has such a name, and the rest of it would be read as something else.
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if !name.bytes().all(is_plain) {
            let shown: String = name.chars().take(64).collect();
            return Err(Status::not_found(format!("namespaces {shown:?} not found")));
        }
        uri.push('/');
        uri.push_str(name);
    }
    if let Some(query) = query {
        uri.push('?');
        uri.push_str(query);
    }
    let uri: Uri = uri
        .parse()
        .map_err(|_| Status::bad_request("the path can't be read"))?;
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    for name in [header::ACCEPT, header::ACCEPT_ENCODING, header::USER_AGENT] {
        for value in headers.get_all(&name) {
            request.headers_mut().append(name.clone(), value.clone());
        }
    }
    if let Some(id) = headers.get(&mk8s_proxy::rewrite::AUDIT_ID) {
        request
            .headers_mut()
            .insert(mk8s_proxy::rewrite::AUDIT_ID.clone(), id.clone());
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_be_read_as_more_than_a_name_is_nobodys() {
        let up = |name| upward("/api/v1/namespaces", Wanted::Get(name), None, &HeaderMap::new());
        assert_eq!(
            up("team-a.x").expect("a request").uri(),
            "/api/v1/namespaces/team-a.x"
        );
        for name in ["x?watch=1", "x#y", "x/status", "x%2f", "x&y", "x y", "\u{e9}"] {
            assert_eq!(up(name).expect_err(name).code(), 404, "{name}");
        }
    }
}
