//! The path itself. [`Proxy::handle`] reads in the order in which things happen.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use jiff::Timestamp;
use mk8s_model::{AuditId, ClusterName, KubeRequest, Outcome, Verb};
use mk8s_net::{Body, BoxError, gather::Gathered, link::Traffic, pace::Paced, status::Status};
use uuid::Uuid;

use crate::{
    audit::{AuditLog, Facts, Ticket, Verdict},
    decide::{Authorizer, Caller, Permitted},
    error::{ForwardError, PathError},
    forward::{self, Accounted, Outbound, OutboundBody, OutboundUpgrade, Upgraded},
    lifetime::{Leash, Standing},
    reroute::{self, Reroute},
    review,
    rewrite::{self, Head},
    sanitize::{self, Audience, Impersonation},
    upgrade::Upgrade,
    upstream::{Clusters, Upstream},
};

/// The path with what it asks: who decides, where clusters are, where events go. Cheap to clone.
#[derive(Clone)]
pub struct Proxy {
    authorizer: Arc<dyn Authorizer>,
    clusters: Arc<dyn Clusters>,
    audit: Arc<dyn AuditLog>,
    impersonation: Impersonation,
    reroutes: Arc<[Reroute]>,
    /// Where clients are sent who want to talk to a workload: the API server's own `https://host:port`.
    interactive_at: Option<Arc<str>>,
}

/// On an answer: the API server doesn't know us any more. Who gets our credentials from somewhere may get others.
#[derive(Clone, Copy, Debug)]
pub struct CredentialsRefused;

/// On an answer: no connection to the API server could be made, so nothing was sent. Who knows another way may take it.
#[derive(Clone, Copy, Debug)]
pub struct Unreached;

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

impl Proxy {
    /// The path over these three.
    pub fn new(
        authorizer: Arc<dyn Authorizer>,
        clusters: Arc<dyn Clusters>,
        audit: Arc<dyn AuditLog>,
    ) -> Self {
        Self {
            authorizer,
            clusters,
            audit,
            impersonation: Impersonation::Refused,
            reroutes: Arc::new([]),
            interactive_at: None,
        }
    }

    /// The same path for callers who are whoever our credentials say ([`crate::upstream::Naming::AsSelf`]): they may ask
    /// to act as somebody else, as they could without us, and the API server's RBAC decides.
    #[must_use]
    pub fn relaying_impersonation(mut self) -> Self {
        self.impersonation = Impersonation::Relayed;
        self
    }

    /// The same path, with requests that are answered somewhere else.
    #[must_use]
    pub fn rerouting(mut self, rules: impl Into<Arc<[Reroute]>>) -> Self {
        self.reroutes = rules.into();
        self
    }

    /// The same path, on which exec, attach and port-forward are answered with the same path at `server`
    /// (`https://host:port`), and status 307. The client goes there with its own credentials, past us.
    #[must_use]
    pub fn redirecting_interactive(mut self, server: &str) -> Self {
        self.interactive_at = Some(server.trim_end_matches('/').into());
        self
    }

    /// Takes a request all the way. The answer to an upgrade that was agreed on has status 101; its bytes are spliced
    /// from then on.
    pub async fn handle(&self, mut inbound: Inbound) -> Response<Body> {
        let mut upgrade = inbound.upgrade.take();
        let response = self.take(inbound, &mut upgrade).await;
        match upgrade {
            Some(upgrade) => upgrade.refused(response),
            None => response,
        }
    }

    /// An upgrade that is agreed on is taken out of `upgrade`.
    async fn take(&self, inbound: Inbound, upgrade: &mut Option<Upgrade>) -> Response<Body> {
        match self.clear(inbound) {
            Ok(cleared) => cleared.forward(upgrade).await,
            Err(refused) => *refused,
        }
    }

    /// All that happens before anything leaves: what is asked for, whether it may be, that it is written down, and where
    /// to and in which name it goes. None of it waits, and none of it is kept while the answer is waited for.
    fn clear(&self, inbound: Inbound) -> Result<Cleared, Box<Response<Body>>> {
        let started = Instant::now();
        let Inbound {
            caller,
            cluster,
            request,
            audit_id,
            ..
        } = inbound;
        let id = audit_id.unwrap_or_else(|| AuditId(Uuid::now_v7()));
        let (parts, body) = request.into_parts();
        let (method, uri, mut headers) = (parts.method, parts.uri, parts.headers);

        // What is asked for, and may it be?
        let classified = KubeRequest::classify(&method, &uri);
        let kube = classified.as_ref().ok();
        let sanitized = sanitize::request(&mut headers, audience(kube), self.impersonation);
        let permitted = match &classified {
            Err(why) => Err(PathError::Invalid(*why)),
            Ok(kube) => {
                Permitted::ask(&*self.authorizer, &caller, &cluster, kube, ()).map_err(PathError::Denied)
            }
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
                let policy_version = if let PathError::Denied(d) = why {
                    d.policy_version
                } else {
                    0
                };
                Verdict::Denied {
                    reason: &verdict_reason,
                    policy_version,
                }
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
        let ticket = match Ticket::open(self.audit.clone(), &open, started) {
            Ok(ticket) => ticket,
            Err(why) => return Err(PathError::Audit(why).into_response(kube, method.is_safe()).into()),
        };
        drop(open);
        let permitted = match permitted {
            Ok(permitted) => permitted,
            Err(why) => return Err(refuse(&why, ticket, kube, &method).into()),
        };

        // Where to, in which name.
        let outbound = self
            .clusters
            .upstream(&cluster)
            .map_err(PathError::from)
            .and_then(|upstream| {
                let path = uri
                    .path_and_query()
                    .cloned()
                    .unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
                let path = reroute::apply(&self.reroutes, kube, &path).unwrap_or(path);
                let Caller { identity, extra, .. } = &caller;
                let head = rewrite::head(&upstream, method.clone(), &path, headers, identity, extra, id)
                    .map_err(|source| PathError::Forward {
                        cluster: cluster.clone(),
                        source,
                    })?;
                Ok((upstream, head))
            });
        let (upstream, head) = match outbound {
            Ok(outbound) => outbound,
            Err(why) => return Err(refuse(&why, ticket, kube, &method).into()),
        };
        let traffic = traffic(kube);
        let is_long_running = kube.is_some_and(|k| k.is_long_running(uri.query()));
        let is_interactive = matches!(kube, Some(KubeRequest::Resource(r)) if r.interactive().is_some());
        if is_interactive && let Some(server) = &self.interactive_at {
            return Err(elsewhere(server, &uri, ticket).into());
        }
        let kind = Kind {
            traffic,
            flow: flow(traffic, is_long_running, &upstream),
            is_long_running,
            is_watch: matches!(kube, Some(KubeRequest::Resource(r)) if r.verb == Verb::Watch),
            is_interactive,
            refuses_us: refuses_us(kube, &upstream),
            is_review: kube.is_some_and(review::is_review),
        };
        Ok(Cleared {
            permitted: permitted.map(|()| (upstream, head)),
            kind,
            body,
            ticket,
            standing: Standing {
                authorizer: self.authorizer.clone(),
                caller,
                cluster,
                method,
                uri,
            },
        })
    }
}

/// A request that may leave.
struct Cleared {
    permitted: Permitted<(Upstream, Head)>,
    kind: Kind,
    body: Body,
    ticket: Ticket,
    /// Who asked for what, in the client's own words.
    standing: Standing,
}

/// What the rest of the way needs to know of what is asked for.
#[derive(Clone, Copy)]
struct Kind {
    traffic: Traffic,
    flow: Flow,
    is_long_running: bool,
    is_watch: bool,
    is_interactive: bool,
    /// Whether a 401 is about us.
    refuses_us: bool,
    /// Whether it asks what the caller may do.
    is_review: bool,
}

/// How the answer's pieces pass.
#[derive(Clone, Copy)]
enum Flow {
    /// As they come.
    AsIs,
    /// Those that are there together.
    Gathered,
    /// The same, and behind small answers.
    Paced,
}

impl Cleared {
    /// There, and back as a stream.
    async fn forward(mut self, upgrade: &mut Option<Upgrade>) -> Response<Body> {
        if let Some(wish) = upgrade.take() {
            // Boxed, because it is large and rare: each request's future has room for all that it may become.
            return Box::pin(self.switch(wish)).await;
        }
        if let Some(problem) = self.stripped_upgrade() {
            self.ticket.answered(problem.code().as_u16());
            self.ticket.end(Outcome::Refused);
            return problem.into_response();
        }
        let Self {
            permitted,
            kind,
            body,
            ticket,
            standing,
        } = self;
        let body = match OutboundBody::prepare(body).await {
            Ok(body) => body,
            Err(why) => return standing.refuse(&PathError::Body(why), ticket),
        };
        if kind.is_review
            && let Some(question) = body.whole()
            && let Some(answer) = review::refused(&permitted.inner().1.headers, question, |asked| {
                standing
                    .authorizer
                    .decide(&standing.caller, &standing.cluster, asked)
            })
        {
            return relay(answer, ticket, None, false);
        }
        let outbound = permitted.map(|(upstream, head)| Outbound {
            upstream,
            head,
            body,
            traffic: kind.traffic,
        });
        let sent = forward::send(outbound).await;
        match sent.and_then(|response| or_refused(response, kind.refuses_us)) {
            Ok(response) => {
                let leash = if kind.is_long_running {
                    standing.leash()
                } else {
                    None
                };
                match kind.flow {
                    Flow::AsIs => relay(response, ticket, leash, kind.is_watch),
                    Flow::Gathered => relay(response.map(Gathered::new), ticket, leash, kind.is_watch),
                    Flow::Paced => {
                        let paced = response.map(|body| {
                            let beside = body.counters().clone();
                            Paced::new(Gathered::new(body), beside)
                        });
                        relay(paced, ticket, leash, kind.is_watch)
                    }
                }
            }
            Err(source) => standing.failed(source, ticket),
        }
    }

    /// The same for a request that asks to switch protocols.
    async fn switch(self, wish: Upgrade) -> Response<Body> {
        let outbound = self.permitted.map(|(upstream, head)| OutboundUpgrade {
            upstream,
            head,
            protocol: wish.protocol.clone(),
        });
        let answered = forward::send_upgrade(outbound).await;
        match answered.and_then(|upgraded| upgraded.or_refused(self.kind.refuses_us)) {
            Ok(Upgraded::Switched(switched)) => wish.agreed(switched, self.ticket, self.standing.leash()),
            Ok(Upgraded::Answered(response)) => wish.refused(relay(response, self.ticket, None, false)),
            Err(source) => wish.refused(self.standing.failed(source, self.ticket)),
        }
    }

    /// A client that speaks a streaming protocol without asking to switch to it: somebody on the way took the wish out
    /// (rancher#17963). The API server would answer with a riddle.
    fn stripped_upgrade(&self) -> Option<Status> {
        let headers = &self.permitted.inner().1.headers;
        let meant_to = self.kind.is_interactive
            && (headers.contains_key("x-stream-protocol-version")
                || headers.contains_key(header::SEC_WEBSOCKET_KEY));
        meant_to.then(|| {
            Status::bad_request(
                "the request should switch protocols, but its Upgrade header is missing: a proxy or load balancer \
                 between you and the gateway removed it; let it pass \"Connection: Upgrade\"",
            )
        })
    }
}

impl Standing {
    /// Tells the client why its request failed on the way. Rare: what was asked for is found out once more.
    fn failed(&self, source: ForwardError, ticket: Ticket) -> Response<Body> {
        let cluster = self.cluster.clone();
        self.refuse(&PathError::Forward { cluster, source }, ticket)
    }

    fn refuse(&self, why: &PathError, ticket: Ticket) -> Response<Body> {
        let kube = KubeRequest::classify(&self.method, &self.uri).ok();
        refuse(why, ticket, kube.as_ref(), &self.method)
    }
}

/// Logs and whatever a workload itself answers may come as fast as they can.
fn traffic(kube: Option<&KubeRequest<'_>>) -> Traffic {
    match kube {
        Some(KubeRequest::Resource(r)) if matches!(r.subresource.as_deref(), Some("log" | "proxy")) => {
            Traffic::Bulk
        }
        _ => Traffic::Brief,
    }
}

/// Only who is next to the API server holds large streams back: those before it then get no more than that.
fn flow(traffic: Traffic, is_long_running: bool, upstream: &Upstream) -> Flow {
    match (traffic, upstream) {
        (Traffic::Bulk, Upstream::Direct(_)) => Flow::Paced,
        (Traffic::Bulk, Upstream::Agent(_)) => Flow::Gathered,
        (Traffic::Brief, _) if is_long_running => Flow::Gathered,
        (Traffic::Brief, _) => Flow::AsIs,
    }
}

fn audience(kube: Option<&KubeRequest<'_>>) -> Audience {
    match kube {
        Some(KubeRequest::Resource(r)) if r.interactive() == Some(mk8s_model::Interactive::Proxy) => {
            Audience::Workload
        }
        _ => Audience::ApiServer,
    }
}

/// The cluster's answer, as a stream that is accounted for.
fn relay<B>(
    mut response: Response<B>,
    mut ticket: Ticket,
    leash: Option<Leash>,
    ends_softly: bool,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
{
    sanitize::response(response.headers_mut());
    ticket.answered(response.status().as_u16());
    response.map(|body| Body::boxed(Accounted::new(body, ticket, leash, ends_softly)))
}

/// Sends the client to the API server itself, with method and body as they are (RFC 9110, 15.4.8).
fn elsewhere(server: &str, uri: &Uri, mut ticket: Ticket) -> Response<Body> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let response = match HeaderValue::try_from(format!("{server}{path}")) {
        Ok(location) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        Err(_) => Status::bad_request("the path can't be read").into_response(),
    };
    ticket.answered(response.status().as_u16());
    ticket.end(Outcome::Complete);
    response
}

fn refuse(
    why: &PathError,
    mut ticket: Ticket,
    kube: Option<&KubeRequest<'_>>,
    method: &Method,
) -> Response<Body> {
    let status = why.status(kube, method.is_safe());
    ticket.answered(status.code().as_u16());
    ticket.end(why.outcome());
    let mut response = status.into_response();
    if let PathError::Forward { source, .. } = why {
        tracing::warn!(audit_id = %ticket.id(), error = %why, "request failed");
        match source {
            ForwardError::Credentials => {
                response.extensions_mut().insert(CredentialsRefused);
            }
            ForwardError::Connect(_) => {
                response.extensions_mut().insert(Unreached);
            }
            _ => {}
        }
    }
    response
}

/// Whether a 401 can only be about us: we spoke to the API server ourselves, in our own credentials, and no workload
/// behind it could have said it.
fn refuses_us(kube: Option<&KubeRequest<'_>>, upstream: &Upstream) -> bool {
    matches!(upstream, Upstream::Direct(_)) && audience(kube) == Audience::ApiServer
}

/// A client would take such a 401 for its own, and log in again and again.
fn or_refused<B>(response: Response<B>, refuses_us: bool) -> Result<Response<B>, ForwardError> {
    if refuses_us && response.status() == StatusCode::UNAUTHORIZED {
        return Err(ForwardError::Credentials);
    }
    Ok(response)
}
