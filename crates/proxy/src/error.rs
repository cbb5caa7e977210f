//! The one place where what went wrong on the path becomes an answer.

use http::Response;
use mk8s_model::{ClusterName, Denial, InvalidRequest, KubeRequest, Outcome};
use mk8s_net::{Body, BoxError, status::Status};

use crate::{audit::AuditUnavailable, sanitize::ImpersonationAttempt, upstream::Unroutable};

/// Why a request was not answered by its cluster.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// Nobody can say what it asks for.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// It tries to be somebody else.
    #[error(transparent)]
    Impersonation(#[from] ImpersonationAttempt),
    /// They may not.
    #[error("{0}")]
    Denied(Denial),
    /// It could not be written down.
    #[error(transparent)]
    Audit(#[from] AuditUnavailable),
    /// There is no way to its cluster.
    #[error(transparent)]
    Unroutable(#[from] Unroutable),
    /// The client's own body broke off.
    #[error("the request's body broke off: {0}")]
    Body(#[source] BoxError),
    /// The way to the cluster failed.
    #[error("cluster {cluster}: {source}")]
    Forward {
        /// Which cluster.
        cluster: ClusterName,
        /// What failed.
        #[source]
        source: ForwardError,
    },
}

/// What can fail between us and a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No connection to be had.
    #[error("can't connect: {0}")]
    Connect(#[source] BoxError),
    /// The other side keeps refusing requests unprocessed.
    #[error("the connection closed again and again before the request was processed")]
    Unprocessed,
    /// The connection broke; the request may have been acted on.
    #[error("the connection broke before the answer came: {0}")]
    Broken(#[source] BoxError),
    /// The outbound request could not be put together.
    #[error("can't put the request together: {0}")]
    Request(#[from] http::Error),
    /// The API server does not know us: our token or certificate for it is no good.
    #[error("its API server does not accept our own credentials: they have expired, or were revoked")]
    Credentials,
    /// An upgrade was answered with success, but not with 101.
    #[error("the upgrade was answered with {0} instead of 101 Switching Protocols")]
    NotUpgraded(http::StatusCode),
    /// An upgrade was answered with 101, but not to the protocol that was asked for.
    #[error(
        "the upgrade was answered with 101 Switching Protocols, but not to the protocol that was asked for"
    )]
    SwitchedElsewhere,
}

impl PathError {
    /// What the audit row says.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Invalid(_)
            | Self::Impersonation(_)
            | Self::Denied(_)
            | Self::Audit(_)
            | Self::Unroutable(_) => Outcome::Refused,
            Self::Body(_) => Outcome::ClientGone,
            Self::Forward { .. } => Outcome::UpstreamFailed,
        }
    }

    /// The `Status` for the client. `request` tells what it is about, and whether asking again is safe.
    pub fn status(&self, request: Option<&KubeRequest<'_>>, is_safe_to_repeat: bool) -> Status {
        let status = match self {
            Self::Invalid(why) => return Status::bad_request(why.to_string()),
            Self::Impersonation(why) => return Status::forbidden(why.to_string()),
            Self::Denied(why) => Status::forbidden(why.to_string()),
            Self::Audit(why) => return Status::unavailable(format!("{why}; ask the gateway's operator"), 10),
            Self::Unroutable(Unroutable::Unknown(name)) => {
                return Status::not_found(format!(
                    "there is no cluster {name:?}; `mk8s clusters list` shows yours",
                    name = name.as_str()
                ));
            }
            // client-go asks ten times, as often as this says: long enough for an agent that comes back, short enough for
            // a person who waits.
            Self::Unroutable(why @ (Unroutable::Disconnected { .. } | Unroutable::Unusable { .. })) => {
                return Status::unavailable(why.to_string(), 1);
            }
            Self::Body(why) => return Status::bad_request(format!("the request's body broke off: {why}")),
            Self::Forward {
                source:
                    ForwardError::NotUpgraded(_) | ForwardError::SwitchedElsewhere | ForwardError::Request(_),
                ..
            } => {
                return Status::bad_gateway(self.to_string());
            }
            // Not processed: client-go repeats any request that is answered 429 with Retry-After.
            Self::Forward {
                source: ForwardError::Unprocessed | ForwardError::Connect(_),
                ..
            } if !is_safe_to_repeat => {
                return Status::too_many_requests(self.to_string(), 1);
            }
            Self::Forward {
                source: ForwardError::Broken(_),
                ..
            } if !is_safe_to_repeat => {
                return Status::bad_gateway(format!(
                    "{self}; it may or may not have been carried out: look before you repeat it"
                ));
            }
            Self::Forward { .. } => return Status::unavailable(self.to_string(), 1),
        };
        match request {
            Some(KubeRequest::Resource(r)) => status.about(&r.resource, &r.group, r.name.as_deref()),
            _ => status,
        }
    }

    /// The whole answer.
    pub fn into_response(self, request: Option<&KubeRequest<'_>>, is_safe_to_repeat: bool) -> Response<Body> {
        self.status(request, is_safe_to_repeat).into_response()
    }
}
