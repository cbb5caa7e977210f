//! The path itself. [`Proxy::handle`] reads in the order in which things happen.

use std::{
    sync::Arc,
    time::Instant,
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use jiff::Timestamp;
use mk8s_model::{AuditId, ClusterName, KubeRequest, Outcome, Verb};
use mk8s_net::{Body, status::Status};
use uuid::Uuid;

use crate::{
    audit::{AuditLog, Facts, Ticket, Verdict},
    decide::{Authorizer, Caller, Permitted},
    error::{ForwardError, PathError},
    forward::{self, Accounted, Outbound, OutboundBody, OutboundUpgrade, Upgraded},
    lifetime::{Leash, Standing},
    rewrite::{self, METHOD_HEADER},
    sanitize::{self, Audience},
    upstream::Clusters,
};

/// The path with what it asks: who decides, where clusters are, where events go. Cheap to clone.
#[derive(Clone)]
pub struct Proxy {
    authorizer: Arc<dyn Authorizer>,
    clusters: Arc<dyn Clusters>,
    audit: Arc<dyn AuditLog>,
}

/// A request as a door hands it over: the caller known, the path the API server's own.
#[derive(Debug)]
pub struct Inbound {
    /// Who asks.
    pub caller: Caller,
    /// Of which cluster.
    pub cluster: ClusterName,
    /// For what. An upgrade has been taken out of it.
    pub request: Request<Body>,
    /// The client's wish to switch protocols.
    pub upgrade: Option<Upgrade>,
    /// The event's id, if somebody before us gave it one; else it gets one here.
    pub audit_id: Option<AuditId>,
}

/// A client's wish to switch protocols.
#[derive(Debug)]
pub struct Upgrade {
    /// To which (`websocket`, `SPDY/3.1`).
    pub protocol: HeaderValue,
    /// Resolves to the connection once we answered 101.
    pub client: OnUpgrade,
}

impl Upgrade {
    /// Takes the wish out of an HTTP/1.1 request (RFC 9110, 7.8).
    pub fn from_http1<B>(request: &mut Request<B>) -> Option<Self> {
        let asks = request
            .headers()
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
        if !asks || request.version() != http::Version::HTTP_11 {
            return None;
        }
        let protocol = request.headers_mut().remove(header::UPGRADE)?;
        Some(Self { protocol, client: hyper::upgrade::on(request) })
    }

    /// Takes the wish out of an extended CONNECT (RFC 8441), and puts the client's own method back.
    pub fn from_connect<B>(request: &mut Request<B>) -> Option<Self> {
        let protocol = request.extensions().get::<Protocol>()?;
        let protocol = HeaderValue::from_bytes(protocol.as_str().as_bytes()).ok()?;
        let method = request.headers_mut().remove(&METHOD_HEADER)?;
        let client = hyper::upgrade::on(&mut *request);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
        Some(Self { protocol, client })
    }
}

impl Proxy {
    /// The path over these three.
    pub fn new(authorizer: Arc<dyn Authorizer>, clusters: Arc<dyn Clusters>, audit: Arc<dyn AuditLog>) -> Self {
        Self { authorizer, clusters, audit }
    }

    /// Takes a request all the way. The answer to an upgrade that was agreed on has status 101; its bytes are spliced
    /// from then on.
    pub async fn handle(&self, inbound: Inbound) -> Response<Body> {
        let started = Instant::now();
        let Inbound { caller, cluster, request, upgrade, audit_id } = inbound;
        let id = audit_id.unwrap_or_else(|| AuditId(Uuid::now_v7()));
        let (parts, body) = request.into_parts();
        let (method, uri, mut headers) = (parts.method, parts.uri, parts.headers);

        // What is asked for, and may it be?
        let classified = KubeRequest::classify(&method, &uri);
        let kube = classified.as_ref().ok();
        let sanitized = sanitize::request(&mut headers, audience(kube));
        let permitted = match &classified {
            Err(why) => Err(PathError::Invalid(*why)),
            Ok(kube) => Permitted::ask(&*self.authorizer, &caller, &cluster, kube, ()).map_err(PathError::Denied),
        };
        let permitted = permitted.and_then(|permitted| {
            sanitized?;
            Ok(permitted)
        });

        // Written down before anything leaves.
        let verdict_reason;
        let verdict = match &permitted {
            Ok(permitted) => Verdict::Allowed(permitted.grant()),
            Err(why) => {
                verdict_reason = why.to_string();
                let policy_version = if let PathError::Denied(d) = why { d.policy_version } else { 0 };
                Verdict::Denied { reason: &verdict_reason, policy_version }
            }
        };
        let facts = Facts {
            identity: &caller.identity,
            source: caller.source,
            cluster: &cluster,
            method: &method,
            uri: &uri,
            headers: &headers,
        };
        let open = facts.open(id, Timestamp::now(), kube, &verdict);
        let mut ticket = match Ticket::open(self.audit.clone(), &open, started) {
            Ok(ticket) => ticket,
            Err(why) => return PathError::Audit(why).into_response(kube, method.is_safe()),
        };
        drop(open);
        let permitted = match permitted {
            Ok(permitted) => permitted,
            Err(why) => return refuse(&why, ticket, kube, &method),
        };

        // Where to, in which name.
        let outbound = self.clusters.upstream(&cluster).map_err(PathError::from).and_then(|upstream| {
            let path = uri.path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
            let head = rewrite::head(&upstream, method.clone(), &path, headers, &caller.identity, id)
                .map_err(|source| PathError::Forward { cluster: cluster.clone(), source })?;
            Ok((upstream, head))
        });
        let (upstream, head) = match outbound {
            Ok(outbound) => outbound,
            Err(why) => return refuse(&why, ticket, kube, &method),
        };

        // There, and back as a stream.
        let is_long_running = kube.is_some_and(|k| k.is_long_running(uri.query()));
        let is_watch = matches!(kube, Some(KubeRequest::Resource(r)) if r.verb == Verb::Watch);
        let leash = || {
            let standing = Standing {
                authorizer: self.authorizer.clone(),
                caller: caller.clone(),
                cluster: cluster.clone(),
                method: method.clone(),
                uri: uri.clone(),
            };
            standing.leash()
        };
        if let Some(Upgrade { protocol, client }) = upgrade {
            let outbound = permitted.map(|()| OutboundUpgrade { upstream, head, protocol: protocol.clone() });
            return match forward::send_upgrade(outbound).await {
                Ok(upgraded) => finish_upgrade(upgraded, protocol, client, ticket, leash(), &cluster),
                Err(source) => refuse(&PathError::Forward { cluster, source }, ticket, kube, &method),
            };
        }
        if let Some(problem) = stripped_upgrade(kube, &head.headers) {
            ticket.answered(problem.code().as_u16());
            ticket.end(Outcome::Refused);
            return problem.into_response();
        }
        let body = match OutboundBody::prepare(body).await {
            Ok(body) => body,
            Err(why) => return refuse(&PathError::Body(why), ticket, kube, &method),
        };
        match forward::send(permitted.map(|()| Outbound { upstream, head, body })).await {
            Ok(mut response) => {
                sanitize::response(response.headers_mut());
                ticket.answered(response.status().as_u16());
                let leash = if is_long_running { leash() } else { None };
                response.map(|body| Body::boxed(Accounted::new(body, ticket, leash, is_watch)))
            }
            Err(source) => refuse(&PathError::Forward { cluster, source }, ticket, kube, &method),
        }
    }
}

fn audience(kube: Option<&KubeRequest<'_>>) -> Audience {
    match kube {
        Some(KubeRequest::Resource(r)) if r.interactive() == Some(mk8s_model::Interactive::Proxy) => Audience::Workload,
        _ => Audience::ApiServer,
    }
}

fn refuse(why: &PathError, mut ticket: Ticket, kube: Option<&KubeRequest<'_>>, method: &Method) -> Response<Body> {
    let status = why.status(kube, method.is_safe());
    ticket.answered(status.code().as_u16());
    ticket.end(why.outcome());
    if matches!(why, PathError::Forward { .. }) {
        tracing::warn!(audit_id = %ticket.id(), error = %why, "request failed");
    }
    status.into_response()
}

/// A client that speaks a streaming protocol without asking to switch to it: somebody on the way took the wish out
/// (rancher#17963). The API server would answer with a riddle.
fn stripped_upgrade(kube: Option<&KubeRequest<'_>>, headers: &HeaderMap) -> Option<Status> {
    let Some(KubeRequest::Resource(r)) = kube else { return None };
    r.interactive()?;
    let meant_to =
        headers.contains_key("x-stream-protocol-version") || headers.contains_key(header::SEC_WEBSOCKET_KEY);
    meant_to.then(|| {
        Status::bad_request(
            "the request should switch protocols, but its Upgrade header is missing: a proxy or load balancer between \
             you and the gateway removed it; let it pass \"Connection: Upgrade\"",
        )
    })
}

fn finish_upgrade(
    upgraded: Upgraded,
    protocol: HeaderValue,
    client: OnUpgrade,
    mut ticket: Ticket,
    leash: Option<Leash>,
    cluster: &ClusterName,
) -> Response<Body> {
    match upgraded {
        Upgraded::Switched { mut headers, upstream, held } => {
            sanitize::response(&mut headers);
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, protocol);
            ticket.answered(StatusCode::SWITCHING_PROTOCOLS.as_u16());
            tokio::spawn(async move {
                let spliced = async {
                    let (client, upstream) = tokio::try_join!(client, upstream)?;
                    mk8s_net::upgrade::splice(client, upstream).await.map_err(mk8s_net::BoxError::from)
                };
                let cut = async {
                    match leash {
                        Some(leash) => leash.await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    spliced = spliced => match spliced {
                        Ok((_, to_client)) => {
                            ticket.sent(to_client);
                            ticket.end(Outcome::Complete);
                        }
                        // Which side broke can't be told from here; that it broke is what matters.
                        Err(_) => ticket.end(Outcome::ClientGone),
                    },
                    _why = cut => ticket.end(Outcome::Ended),
                }
                drop(held);
            });
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            *response.headers_mut() = headers;
            response
        }
        Upgraded::Answered(response) if response.status().is_success() => {
            let why = PathError::Forward {
                cluster: cluster.clone(),
                source: ForwardError::NotUpgraded(response.status()),
            };
            refuse(&why, ticket, None, &Method::GET)
        }
        Upgraded::Answered(mut response) => {
            sanitize::response(response.headers_mut());
            ticket.answered(response.status().as_u16());
            ticket.end(Outcome::Complete);
            response
        }
    }
}
