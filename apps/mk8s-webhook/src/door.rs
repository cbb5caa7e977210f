//! What is served on the port: reviews to the API server, and to whoever asks whether we live.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use jiff::Timestamp;
use mk8s_net::{Body, BoxError, drain::Watch, serve, status::Status};
use mk8s_tls::{PeerCertificate, ServerConfig, peer_certificate};
use tokio::{net::TcpStream, sync::Semaphore};
use tracing::{debug, info, warn};

use crate::{
    admission::{Admission, Outcome},
    metrics::Metrics,
    readiness::Readiness,
    review::Question,
};

/// The longest review taken, in bytes. An object has 3 MiB at most on its way into the API server, and a review holds it
/// once (twice for an update, which isn't asked about) with a little around it, maybe escaped anew.
pub(crate) const MAX_REVIEW: usize = 8 * 1024 * 1024;
/// Reviews up to this size wait for nothing, in bytes.
const SMALL: usize = 256 * 1024;
/// Larger ones together hold no more than this, in KiB.
const ROOM_FOR_LARGE: u32 = 32 * 1024;
/// How long a review may take to come in: no API server waits longer (`timeoutSeconds` is 30 at most).
const BODY_LIMIT: Duration = Duration::from_secs(30);
/// How long a large one waits for room.
const ROOM_LIMIT: Duration = Duration::from_secs(4);

/// Who is let in, and what is answered.
pub(crate) struct Door {
    /// Exchanged when the file of authorities for clients changes.
    pub(crate) tls: ArcSwap<ServerConfig>,
    pub(crate) clients: ClientRule,
    pub(crate) admission: Admission,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) metrics: Arc<Metrics>,
    room: Semaphore,
}

/// Whose reviews are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientRule {
    /// Anybody's: the answer is a function of the question.
    Anybody,
    /// Those with a certificate, of these common names if there are any.
    Certified { names: Vec<String> },
}

impl Door {
    pub(crate) fn new(
        tls: Arc<ServerConfig>,
        clients: ClientRule,
        admission: Admission,
        readiness: Arc<Readiness>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            tls: ArcSwap::new(tls),
            clients,
            admission,
            readiness,
            metrics,
            room: Semaphore::new(ROOM_FOR_LARGE as usize),
        })
    }

    /// Serves one connection.
    pub(crate) async fn serve(self: Arc<Self>, stream: TcpStream, drain: Watch) {
        let Some(stream) = serve::tls(self.tls.load_full(), stream).await else {
            return;
        };
        let peer = peer_certificate(stream.get_ref().1).unwrap_or_else(|error| {
            info!(%error, "a client's certificate names nobody");
            None
        });
        // Why this client's reviews aren't answered, if they aren't.
        let objection: Option<Arc<str>> = self.clients.objection(peer.as_ref()).map(Into::into);
        let protocol = serve::negotiated(&stream);
        let service = serve::answering(move |request| {
            let (door, objection) = (self.clone(), objection.clone());
            async move { door.answer(request, objection.as_deref()).await }
        });
        serve::connection(stream, protocol, service, drain).await;
    }

    async fn answer(&self, request: Request<Incoming>, objection: Option<&str>) -> Response<Body> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match (request.uri().path(), is_read) {
            ("/mutate", _) if request.method() == Method::POST => self.mutate(request, objection).await,
            ("/healthz", true) => text("ok"),
            ("/readyz", true) => match self.readiness.objection(Timestamp::now()) {
                None => text("ok"),
                Some(why) => Status::unavailable(format!("not ready: {why}"), 1).into_response(),
            },
            ("/metrics", true) => {
                let mut response = Response::new(Body::full(self.metrics.encode()));
                let kind = HeaderValue::from_static(mk8s_telemetry::OPENMETRICS_CONTENT_TYPE);
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            ("/mutate", _) => wrong_method("POST"),
            ("/healthz" | "/readyz" | "/metrics", false) => wrong_method("GET"),
            _ => {
                Status::not_found("there are /mutate, /healthz, /readyz and /metrics here, and nothing else")
                    .into_response()
            }
        }
    }

    async fn mutate(&self, request: Request<Incoming>, objection: Option<&str>) -> Response<Body> {
        let started = Instant::now();
        let (response, outcome) = match self.review(request, objection).await {
            Ok(answered) => answered,
            Err(status) => {
                debug!(status = %status.code(), why = status.message(), "a review that can't be answered");
                (status.into_response(), Outcome::Error)
            }
        };
        self.metrics.answered(outcome, started.elapsed());
        response
    }

    async fn review(
        &self,
        request: Request<Incoming>,
        objection: Option<&str>,
    ) -> Result<(Response<Body>, Outcome), Status> {
        if let Some(why) = objection {
            return Err(Status::forbidden(why));
        }
        check_headers(request.headers())?;
        let body = self.body(request).await?;
        let question = Question::read(&body).map_err(|why| Status::bad_request(why.to_string()))?;
        drop(body);
        let (answer, outcome) = self.admission.answer(&question);
        match (&answer.refusal, outcome) {
            (Some(refusal), Outcome::Error) => {
                warn!(uid = %question.uid, namespace = %question.namespace, why = %refusal.message, "failed");
            }
            (Some(refusal), _) => {
                info!(uid = %question.uid, namespace = %question.namespace, why = %refusal.message, "refused a pod");
            }
            (None, _) => debug!(
                uid = %question.uid,
                namespace = %question.namespace,
                dry_run = question.dry_run.unwrap_or_default(),
                result = outcome.as_str(),
                "answered"
            ),
        }
        let mut response = Response::new(Body::full(answer.to_json(&question.uid).to_string()));
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        Ok((response, outcome))
    }

    /// The whole body, if there is room for it and it comes in time.
    async fn body(&self, request: Request<Incoming>) -> Result<Vec<u8>, Status> {
        let too_large = || {
            Status::too_large(format!(
                "a review may have {} MiB; no pod that an API server takes makes a larger one",
                MAX_REVIEW >> 20
            ))
        };
        let announced = request.body().size_hint();
        if announced.lower() > MAX_REVIEW as u64 {
            return Err(too_large());
        }
        let may_have = announced.upper().map_or(MAX_REVIEW, |upper| {
            usize::try_from(upper).unwrap_or(MAX_REVIEW).min(MAX_REVIEW)
        });
        let _room = if may_have <= SMALL {
            None
        } else {
            let kib = u32::try_from(may_have / 1024 + 1).unwrap_or(ROOM_FOR_LARGE);
            let room = tokio::time::timeout(ROOM_LIMIT, self.room.acquire_many(kib)).await;
            let full = || Status::too_many_requests("too many large reviews at once; try again", 1);
            Some(room.map_err(|_| full())?.map_err(|_| full())?)
        };
        let body = Limited::new(Body::from_request(request).into_body(), MAX_REVIEW);
        match tokio::time::timeout(BODY_LIMIT, body.collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes().into()),
            Ok(Err(error)) if is_too_large(&error) => Err(too_large()),
            Ok(Err(error)) => Err(Status::bad_request(format!("the body broke off: {error}"))),
            Err(_) => Err(Status::request_timeout("the body didn't come in time")),
        }
    }
}

fn is_too_large(error: &BoxError) -> bool {
    error.is::<LengthLimitError>()
}

impl ClientRule {
    /// Why this client's reviews aren't answered, if they aren't.
    fn objection(&self, peer: Option<&PeerCertificate>) -> Option<String> {
        match (self, peer) {
            (Self::Anybody, _) => None,
            (Self::Certified { .. }, None) => Some(
                "reviews are answered to the API server alone, and it showed no certificate: give it one in the \
                 kubeConfigFile of its AdmissionConfiguration (--admission-control-config-file)"
                    .to_owned(),
            ),
            (Self::Certified { names }, Some(peer)) => {
                let is_known = names.is_empty() || names.contains(&peer.common_name);
                (!is_known).then(|| {
                    format!(
                        "reviews are answered to the API server alone, and {:?} isn't among clients.clientNames",
                        peer.common_name
                    )
                })
            }
        }
    }
}

/// What is sent must be plain JSON.
fn check_headers(headers: &HeaderMap) -> Result<(), Status> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Status::unsupported_media_type(
            "a review must be sent as Content-Type: application/json",
        ));
    }
    match text(header::CONTENT_ENCODING) {
        None => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(_) => Err(Status::unsupported_media_type(
            "a review must be sent without Content-Encoding",
        )),
    }
}

fn text(text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn wrong_method(right: &'static str) -> Response<Body> {
    let mut response =
        Status::method_not_allowed(format!("this endpoint answers {right} alone")).into_response();
    debug_assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(right));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_json_is_all_that_is_read() {
        let check = |kind: &'static str, encoding: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            if let Some(encoding) = encoding {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            }
            check_headers(&headers).map_err(|status| status.code().as_u16())
        };
        assert_eq!(check("application/json", None), Ok(()));
        assert_eq!(check("Application/JSON; charset=utf-8", Some("identity")), Ok(()));
        for kind in ["", "text/plain", "application/yaml", "application/jsonp"] {
            assert_eq!(check(kind, None), Err(415), "{kind}");
        }
        assert_eq!(check("application/json", Some("gzip")), Err(415));
        assert!(check_headers(&HeaderMap::new()).is_err());
    }
}
