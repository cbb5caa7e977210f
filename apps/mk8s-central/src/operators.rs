//! The operators' door: HTTPS with a client certificate, on a port of its own. The certificate's common name is the email address of an
//! account, whose roles decide what it may do; if that is wished, each of its organizations is one more group in the clusters. What
//! people use beside the clusters' APIs (logging in, tokens, accounts) is at the people's door alone.

use std::{net::IpAddr, sync::Arc, time::Instant};

use http::{Request, Response, header};
use hyper::body::Incoming;
use mk8s_authn::Verified;
use mk8s_model::{AuthMethod, ClusterName, Decision, Identity, InvalidIdentity, KubeRequest};
use mk8s_net::{Body, drain::Watch, serve, status::Status};
use mk8s_operators::{Admitted, Holders, Operators, Refused};
use mk8s_proxy::{Authorizer, Caller, Extra, Inbound, Proxy, Upgrade};
use mk8s_tls::{ServerConfig, ServerConnection};
use tokio::{net::TcpStream, sync::watch};
use tracing::{info, warn};

use crate::{
    access::{Access, Barred, GROUP_PREFIX},
    metrics::Metrics,
    people,
};

/// Serves what comes in on the operators' port. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OperatorsDoor {
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) proxy: Proxy,
    pub(crate) operators: Arc<Operators>,
    pub(crate) access: Arc<Access>,
    pub(crate) organizations_as_groups: bool,
    pub(crate) metrics: Arc<Metrics>,
}

/// Why a certificate lets nobody in here.
#[derive(Debug, thiserror::Error)]
enum Turned {
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error(
        "the certificate's common name {0:?} is no account here: its common name must be an account's email address"
    )]
    NoAccount(String),
    #[error("the certificate's organization {0:?} is a role's name, and roles are given to accounts alone")]
    Role(String),
}

/// Who came in by certificate.
struct Guest {
    admitted: Admitted,
    /// The account, in the words of a token.
    account: Verified,
    source: IpAddr,
}

impl OperatorsDoor {
    /// Serves one connection.
    pub(crate) async fn serve(self, stream: TcpStream, peer: IpAddr, drain: Watch) {
        let stream = match serve::handshake(self.tls.clone(), stream).await {
            Ok(stream) => stream,
            Err(error) => {
                info!(%peer, %error, "nobody was let in: the handshake failed");
                return;
            }
        };
        let guest = self.admit(stream.get_ref().1, peer).map_err(|why| {
            warn!(%peer, %why, "a certificate lets nobody in");
            Status::forbidden(why.to_string())
        });
        let protocol = serve::negotiated(&stream);
        let guest = Arc::new(guest);
        let service = serve::answering(move |request| {
            let (door, guest) = (self.clone(), guest.clone());
            async move {
                let started = Instant::now();
                let response = door.handle(&guest, request).await;
                door.metrics
                    .answers
                    .count(response.status().as_u16(), started.elapsed());
                response
            }
        });
        serve::connection(stream, protocol, service, drain).await;
    }

    fn admit(&self, connection: &ServerConnection, source: IpAddr) -> Result<Guest, Turned> {
        let admitted = self.operators.admit(connection)?;
        let certificate = &admitted.certificate;
        let is_role = |name: &&String| {
            let head = name.get(..GROUP_PREFIX.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(GROUP_PREFIX))
        };
        if let Some(role) = certificate.organizations.iter().find(is_role) {
            return Err(Turned::Role(role.chars().take(64).collect()));
        }
        let name = &certificate.common_name;
        let user_id = self
            .access
            .account(name)
            .ok_or_else(|| Turned::NoAccount(name.chars().take(64).collect()))?;
        let account = Verified {
            user_id,
            session_id: admitted.session(),
            email: name.as_str().into(),
            expires_at: certificate.not_after,
        };
        Ok(Guest {
            admitted,
            account,
            source,
        })
    }

    async fn handle(&self, guest: &Result<Guest, Status>, mut request: Request<Incoming>) -> Response<Body> {
        let guest = match guest {
            Ok(guest) => guest,
            Err(status) => return status.clone().into_response(),
        };
        guest.admitted.settled().await;
        let caller = match self.caller(guest) {
            Ok(caller) => caller,
            Err(status) => return status.into_response(),
        };
        if !request.uri().path().starts_with(people::PREFIX) {
            return Status::not_found(format!(
                "only clusters are here, at {}NAME; everything else is at the port where people log in",
                people::PREFIX
            ))
            .into_response();
        }
        let (cluster, path) = match people::split(request.uri()) {
            Ok(split) => split,
            Err(why) => return why.into_response(),
        };
        *request.uri_mut() = path.into();
        // The certificate says who asks; a token beside it says nothing, and is the client's secret.
        request.headers_mut().remove(header::AUTHORIZATION);
        let upgrade = Upgrade::from_http1(&mut request);
        let inbound = Inbound {
            caller,
            cluster,
            request: Body::from_request(request),
            upgrade,
            audit_id: None,
        };
        self.proxy.handle(inbound).await
    }

    /// As the account stands now.
    fn caller(&self, guest: &Guest) -> Result<Caller, Status> {
        let identity = self
            .access
            .admit(&guest.account)
            .map_err(|why: Barred| Status::forbidden(why.to_string()))?;
        let organizations = &guest.admitted.certificate.organizations;
        let identity = if self.organizations_as_groups && !organizations.is_empty() {
            with_groups(&identity, organizations).map_err(|why| {
                Status::forbidden(format!(
                    "the client certificate names nobody who may come in: {why}"
                ))
            })?
        } else {
            identity.proven_by(AuthMethod::Certificate)
        };
        Ok(Caller {
            identity,
            subject: Some(guest.account.user_id),
            session: Some(guest.admitted.session()),
            source: guest.source,
            until: guest.admitted.until(),
            extra: Extra::default(),
            held: Some(guest.admitted.held()),
        })
    }
}

/// The account's own groups, and those of the certificate.
fn with_groups(identity: &Identity, organizations: &[String]) -> Result<Identity, InvalidIdentity> {
    let groups = identity.groups().chain(organizations.iter().map(String::as_str));
    Identity::new(identity.user(), groups, AuthMethod::Certificate)
}

/// The certificate must count, and then the account's roles decide.
pub(crate) struct Certified {
    holders: Arc<Holders>,
    access: Arc<Access>,
    /// Moves when either may decide otherwise.
    changes: watch::Sender<u64>,
}

impl Certified {
    pub(crate) fn new(holders: Arc<Holders>, access: Arc<Access>) -> Arc<Self> {
        Arc::new(Self {
            holders,
            access,
            changes: watch::Sender::new(0),
        })
    }

    /// Tells of the changes of both, until it is dropped.
    pub(crate) async fn follow(self: Arc<Self>) {
        let tell = async |from: Option<watch::Receiver<u64>>| {
            let Some(mut from) = from else { return };
            while from.changed().await.is_ok() {
                self.changes.send_modify(|version| *version += 1);
            }
        };
        tokio::join!(tell(self.holders.changes()), tell(self.access.changes()));
    }
}

impl Authorizer for Certified {
    fn decide(&self, caller: &Caller, cluster: &ClusterName, request: &KubeRequest<'_>) -> Decision {
        match self.holders.decide(caller, cluster, request) {
            Decision::Allow(_) => self.access.decide(caller, cluster, request),
            denied @ Decision::Deny(_) => denied,
        }
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changes.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organizations_come_after_the_roles_and_never_as_kubernetes_own() {
        let account = Identity::new("jane@example.com", ["mk8s:viewer"], AuthMethod::Token).expect("valid");
        let named = |organizations: &[&str]| {
            let organizations: Vec<String> = organizations.iter().map(|name| (*name).to_owned()).collect();
            with_groups(&account, &organizations)
        };
        let jane = named(&["team-a", "mk8s:viewer"]).expect("valid");
        assert_eq!(jane.groups().collect::<Vec<_>>(), ["mk8s:viewer", "team-a"]);
        assert_eq!(
            (jane.user(), jane.method()),
            ("jane@example.com", AuthMethod::Certificate)
        );
        assert!(named(&["system:masters"]).is_err());
    }
}
