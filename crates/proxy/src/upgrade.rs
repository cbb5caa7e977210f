//! A client's wish to switch protocols (exec, attach, port-forward): taken out of its request, and then granted or not.

use std::{sync::atomic::AtomicU64, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use mk8s_model::Outcome;
use mk8s_net::{Body, drain::Watch, upgrade::Broken};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{audit::Ticket, forward::Switched, lifetime::Leash, rewrite::METHOD_HEADER, sanitize};

/// How much a client may still say after an upgrade was refused, and for how long.
const LAST_WORDS_BYTES: u64 = 1024 * 1024;
const LAST_WORDS_TIME: Duration = Duration::from_secs(2);

/// A client's wish to switch protocols.
#[derive(Debug)]
pub struct Upgrade {
    /// To which (`websocket`, `SPDY/3.1`).
    pub protocol: HeaderValue,
    /// Resolves to the connection once we answered 101.
    pub client: OnUpgrade,
    /// Held as long as bytes go both ways, so that a drain waits for them; ends them when it cuts.
    pub drain: Option<Watch>,
    version: Version,
}

impl Upgrade {
    /// Takes the wish out of an HTTP/1.1 request (RFC 9110, 7.8). Of several protocols the first is taken; HTTP/2 in the
    /// clear is none that anybody here switches to.
    pub fn from_http1<B>(request: &mut Request<B>) -> Option<Self> {
        let asks = request
            .headers()
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
        if !asks || request.version() != Version::HTTP_11 {
            return None;
        }
        let protocols = request.headers_mut().remove(header::UPGRADE)?;
        let first = protocols.to_str().ok()?.split(',').next()?.trim();
        if first.eq_ignore_ascii_case("h2c") {
            return None;
        }
        Some(Self {
            protocol: HeaderValue::from_str(first)
                .ok()
                .filter(|first| !first.is_empty())?,
            drain: request.extensions_mut().remove(),
            version: request.version(),
            client: hyper::upgrade::on(request),
        })
    }

    /// Takes the wish out of an extended CONNECT (RFC 8441), and puts the client's own method back.
    pub fn from_connect<B>(request: &mut Request<B>) -> Option<Self> {
        let protocol = request.extensions().get::<Protocol>()?;
        let protocol = HeaderValue::from_bytes(protocol.as_str().as_bytes()).ok()?;
        let method = request.headers_mut().remove(&METHOD_HEADER)?;
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        let client = hyper::upgrade::on(&mut *request);
        *request.method_mut() = method;
        Some(Self {
            protocol,
            client,
            // The connection itself is what is drained and cut.
            drain: None,
            version: Version::HTTP_2,
        })
    }

    /// Answers 101, and lets bytes go both ways from then on.
    pub(crate) fn agreed(
        self,
        switched: Switched,
        mut ticket: Ticket,
        leash: Option<Leash>,
    ) -> Response<Body> {
        let Switched {
            mut headers,
            protocol,
            upstream,
            held,
        } = switched;
        sanitize::response(&mut headers);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, protocol);
        ticket.answered(StatusCode::SWITCHING_PROTOCOLS.as_u16());
        tokio::spawn(async move {
            let to_client = AtomicU64::new(0);
            let outcome = tokio::select! {
                outcome = both_ways(self.client, upstream, &to_client) => outcome,
                () = ended(leash) => Outcome::Ended,
                () = cut(self.drain) => Outcome::Ended,
            };
            ticket.sent(to_client.into_inner());
            ticket.end(outcome);
            drop(held);
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = headers;
        response
    }

    /// Answers anything else, and ends the connection with it: what a client sent on in the belief that it would be
    /// understood is not to be taken for its next request.
    pub(crate) fn refused(self, mut response: Response<Body>) -> Response<Body> {
        if self.version == Version::HTTP_11 {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
            tokio::spawn(hang_up(self.client));
        }
        response
    }
}

async fn both_ways(client: OnUpgrade, upstream: OnUpgrade, to_client: &AtomicU64) -> Outcome {
    let client = async { client.await.map_err(|_| Outcome::ClientGone) };
    let upstream = async { upstream.await.map_err(|_| Outcome::UpstreamFailed) };
    match tokio::try_join!(client, upstream) {
        Ok((client, upstream)) => match mk8s_net::upgrade::splice(client, upstream, to_client).await {
            Ok(()) => Outcome::Complete,
            Err(Broken::Client(_)) => Outcome::ClientGone,
            Err(Broken::Upstream(_)) => Outcome::UpstreamFailed,
        },
        Err(outcome) => outcome,
    }
}

async fn ended(leash: Option<Leash>) {
    match leash {
        Some(leash) => {
            leash.await;
        }
        None => std::future::pending().await,
    }
}

async fn cut(drain: Option<Watch>) {
    match drain {
        Some(mut drain) => drain.cut().await,
        None => std::future::pending().await,
    }
}

/// Says goodbye on a connection that was asked to be switched and wasn't. hyper gives it to whoever could have had it once
/// the answer is out. What the client still sends is taken and thrown away for a moment: a connection that is closed upon
/// unread bytes is reset, and the answer may be lost with it.
async fn hang_up(client: OnUpgrade) {
    let Ok(connection) = client.await else { return };
    let mut connection = TokioIo::new(connection);
    let goodbye = async {
        connection.shutdown().await?;
        let mut rest = connection.take(LAST_WORDS_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(LAST_WORDS_TIME, goodbye).await;
}
