//! The people's door: HTTPS. It finds out who asks, and hands on: `/k8s/clusters/{name}/…` to the one path, anything
//! else to our own endpoints ([`api`]).

mod api;
mod asker;
mod exec;
mod failure;
mod login;
mod users;

use std::{net::IpAddr, sync::Arc, time::Instant};

use http::{HeaderMap, Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use mk8s_audit::Journal;
use mk8s_authn::{Clock, Logins, Passwords, TokenError, TokenVerifier, Verified};
use mk8s_model::{AuditId, AuditOpen, ClusterName, Identity, Outcome};
use mk8s_net::{Body, drain::Watch, problem::Problem, serve, status::Status};
use mk8s_proxy::{Caller, Extra, Inbound, Proxy, Upgrade, audit::Ticket};
use mk8s_store::Store;
use mk8s_tls::ServerConfig;
use tokio::{net::TcpStream, runtime::Handle};
use uuid::Uuid;

use crate::{
    access::{Access, Barred},
    metrics::Metrics,
    registry::Registry,
};

/// Before the API server's own path.
pub(crate) const PREFIX: &str = "/k8s/clusters/";
/// The longest body that our own endpoints take, in bytes.
const MAX_OWN_BODY: usize = 256 * 1024;

/// Everything the door and the endpoints behind it need.
pub(crate) struct People {
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) proxy: Proxy,
    pub(crate) verifier: TokenVerifier,
    pub(crate) access: Arc<Access>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) logins: Logins,
    pub(crate) passwords: Passwords,
    pub(crate) store: Store,
    pub(crate) journal: Arc<Journal>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) jwks: Arc<str>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where our own endpoints run: away from the workers that carry the proxied traffic.
    pub(crate) own: Handle,
}

/// Somebody who showed a good token.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) identity: Identity,
    pub(crate) token: Arc<Verified>,
}

/// Why somebody isn't let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAdmitted {
    #[error("no token: run `mk8s login`, or send \"Authorization: Bearer …\"")]
    NoToken,
    #[error("there must be one Authorization header, with a Bearer token")]
    Malformed,
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("{0}")]
    Barred(#[from] Barred),
}

impl People {
    /// Serves one connection.
    pub(crate) async fn serve(self: Arc<Self>, stream: TcpStream, peer: IpAddr, drain: Watch) {
        let Some(stream) = serve::tls(self.tls.clone(), stream).await else {
            return;
        };
        let protocol = serve::negotiated(&stream);
        let door = serve::answering(move |request| self.clone().handle(request, peer));
        serve::connection(stream, protocol, door, drain).await;
    }

    /// Who shows this token, as they stand now.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<Person, NotAdmitted> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(NotAdmitted::NoToken)?;
        if values.next().is_some() {
            return Err(NotAdmitted::Malformed);
        }
        let (scheme, token) = value
            .to_str()
            .ok()
            .and_then(|v| v.split_once(' '))
            .ok_or(NotAdmitted::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(NotAdmitted::Malformed);
        }
        let token = self.verifier.verify(token.trim())?;
        let identity = self.access.admit(&token)?;
        Ok(Person { identity, token })
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>, source: IpAddr) -> Response<Body> {
        let started = Instant::now();
        let response = if request.uri().path().starts_with(PREFIX) {
            self.kubernetes(request, source).await
        } else {
            let people = self.clone();
            let own = self
                .own
                .spawn(async move { people.own_endpoint(request, source, started).await });
            own.await
                .unwrap_or_else(|_| Status::internal("an endpoint failed; its log says why").into_response())
        };
        self.metrics
            .answers
            .count(response.status().as_u16(), started.elapsed());
        response
    }

    async fn kubernetes(&self, mut request: Request<Incoming>, source: IpAddr) -> Response<Body> {
        let person = match self.admit(request.headers()) {
            Ok(person) => person,
            Err(why) => return Status::unauthorized(why.to_string()).into_response(),
        };
        let (cluster, path) = match split(request.uri()) {
            Ok(split) => split,
            Err(why) => return why.into_response(),
        };
        *request.uri_mut() = path.into();
        let upgrade = Upgrade::from_http1(&mut request);
        let caller = self.caller(&person, source);
        let inbound = Inbound {
            caller,
            cluster,
            request: Body::from_request(request),
            upgrade,
            audit_id: None,
        };
        self.proxy.handle(inbound).await
    }

    fn caller(&self, person: &Person, source: IpAddr) -> Caller {
        let left = person.token.expires_at.as_millisecond() - self.clock.now().as_millisecond();
        Caller {
            identity: person.identity.clone(),
            subject: Some(person.token.user_id),
            session: Some(person.token.session_id),
            source,
            until: Instant::now()
                .checked_add(std::time::Duration::from_millis(u64::try_from(left).unwrap_or(0))),
            extra: Extra::default(),
            held: None,
        }
    }

    /// Our own endpoints, written down like everything else but for probes and public keys.
    async fn own_endpoint(
        self: Arc<Self>,
        request: Request<Incoming>,
        source: IpAddr,
        started: Instant,
    ) -> Response<Body> {
        if matches!(
            request.uri().path(),
            "/healthz" | "/readyz" | "/metrics" | "/.well-known/jwks.json"
        ) {
            return api::call(self, Body::from_request(request), None, source).await;
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_OWN_BODY)
            .collect()
            .await
            .map(Collected::to_bytes)
        else {
            let why = format!("the body broke off, or is longer than {MAX_OWN_BODY} bytes");
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, why).into_response();
        };
        let person = self.admit(&parts.headers);
        let open = own_event(&parts, &body, person.as_ref().ok(), source);
        let ticket = Ticket::open(self.journal.clone(), &open, started);
        drop(open);
        let mut ticket = match ticket {
            Ok(ticket) => ticket,
            Err(why) => {
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()).retry_after(10);
                return problem.into_response();
            }
        };
        let request = Request::from_parts(parts, Body::full(body));
        let response = api::call(self, request, Some(person), source).await;
        ticket.answered(response.status().as_u16());
        let is_refused = response.status().is_client_error();
        ticket.end(if is_refused {
            Outcome::Refused
        } else {
            Outcome::Complete
        });
        response
    }
}

/// What is written down of a call to our own endpoints. Of the body, only what says what was done: whose login, which
/// command.
fn own_event<'a>(
    parts: &'a http::request::Parts,
    body: &[u8],
    person: Option<&'a Person>,
    source: IpAddr,
) -> AuditOpen<'a> {
    #[derive(Default, serde::Deserialize)]
    struct Told {
        email: Option<String>,
        command: Option<Vec<String>>,
    }
    let path = parts.uri.path();
    let told: Told = serde_json::from_slice(body).unwrap_or_default();
    let is_login = path == "/auth/login";
    let uri = match (&told.command, path.ends_with("/exec")) {
        (Some(command), true) => format!("{path}: {}", command.join(" ")).into(),
        _ => path.into(),
    };
    AuditOpen {
        id: AuditId(Uuid::now_v7()),
        at: Timestamp::now(),
        user: person.map(|p| p.identity.user()).unwrap_or_default().into(),
        groups: person
            .map(|p| p.identity.groups().map(Into::into).collect())
            .unwrap_or_default(),
        source: source.to_string().into(),
        user_agent: parts
            .headers
            .get(header::USER_AGENT)
            .and_then(|v| v.to_str().ok())
            .map(Into::into),
        cluster: None,
        method: parts.method.as_str().into(),
        uri,
        verb: if is_login { "login".into() } else { "".into() },
        resource: "".into(),
        api_group: None,
        namespace: None,
        // The account somebody tried to sign in to, which isn't proof that it was they.
        name: told
            .email
            .filter(|_| is_login)
            .map(|email| email.chars().take(254).collect::<String>().into()),
        rule: None,
        denied: None,
        policy_version: 0,
    }
}

/// `/k8s/clusters/NAME/api/v1/…?…` is cluster NAME and the path behind it.
pub(crate) fn split(uri: &Uri) -> Result<(ClusterName, PathAndQuery), Status> {
    let all = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = all.strip_prefix(PREFIX).unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (name, path) = rest.split_at(end);
    let cluster = name.parse().map_err(|_| {
        let shown: String = name.chars().take(64).collect();
        Status::not_found(format!(
            "there is no cluster {shown:?}; `mk8s clusters list` shows yours"
        ))
    })?;
    let path = match path.as_bytes().first() {
        Some(b'/') => PathAndQuery::try_from(path),
        _ => PathAndQuery::try_from(format!("/{path}")),
    };
    path.map(|path| (cluster, path))
        .map_err(|_| Status::bad_request("the path can't be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_and_its_path_are_told_apart() {
        let rows = [
            (
                "/k8s/clusters/prod/api/v1/pods?watch=1",
                "prod",
                "/api/v1/pods?watch=1",
            ),
            ("/k8s/clusters/prod", "prod", "/"),
            ("/k8s/clusters/prod/", "prod", "/"),
            ("/k8s/clusters/prod?x=/y", "prod", "/?x=/y"),
            ("/k8s/clusters/a.b/k8s/clusters/c", "a.b", "/k8s/clusters/c"),
        ];
        for (uri, cluster, path) in rows {
            let (name, rest) = split(&uri.parse().expect("uri")).expect(uri);
            assert_eq!((name.as_str(), rest.as_str()), (cluster, path), "{uri}");
        }
        for uri in [
            "/k8s/clusters/",
            "/k8s/clusters/..%2f/x",
            "/k8s/clusters/../x",
            "/k8s/clusters/A/x",
        ] {
            assert!(split(&uri.parse().expect("uri")).is_err(), "{uri}");
        }
    }
}
