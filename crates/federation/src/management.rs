//! Asking the management cluster, in somebody's name.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Limited};
use mk8s_mcp_core::{cluster::Clusters, principal::Call};
use mk8s_model::ClusterName;
use mk8s_net::{Body, BoxError};
use serde_json::Value;

/// The management cluster, and whoever knows the way to it.
#[derive(Clone)]
pub struct Management {
    /// Who knows the way, in the caller's name or in the server's own.
    pub clusters: Arc<dyn Clusters>,
    /// What it is called there.
    pub cluster: ClusterName,
}

/// Why it gave no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It said so.
    Answered {
        code: u16,
        reason: String,
        message: String,
    },
    /// It said more than is read, in MiB.
    TooLarge(usize),
    /// What it said can't be read.
    Unreadable(String),
    /// It took longer than this.
    TimedOut(Duration),
}

impl Management {
    /// Reads an object or a list of it.
    pub(crate) async fn get(
        &self,
        call: &Call,
        path: &str,
        most: usize,
        limit: Duration,
    ) -> Result<Value, Refused> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path
            .parse()
            .map_err(|error| Refused::Unreadable(format!("{path:?} is no path: {error}")))?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("mk8s-mcp/", env!("CARGO_PKG_VERSION"))),
        );
        let ask = async {
            let response = self.clusters.send(call, &self.cluster, request).await;
            let status = response.status();
            (status, read(response.into_body(), most).await)
        };
        let (status, body) = tokio::time::timeout(limit, ask)
            .await
            .map_err(|_| Refused::TimedOut(limit))?;
        if status.is_success() {
            return serde_json::from_slice(&body?).map_err(|error| {
                // Where, and nothing of what: it may be a Secret.
                Refused::Unreadable(format!("line {}, column {}", error.line(), error.column()))
            });
        }
        let said: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
        let text = |key: &str| said[key].as_str().map(str::to_owned);
        Err(Refused::Answered {
            code: status.as_u16(),
            reason: text("reason")
                .unwrap_or_else(|| status.canonical_reason().unwrap_or("Unknown").replace(' ', "")),
            message: text("message").unwrap_or_else(|| format!("it answered {status}")),
        })
    }
}

async fn read(body: Body, most: usize) -> Result<Bytes, Refused> {
    let collected = Limited::new(body, most).collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error: BoxError| {
            if error.is::<http_body_util::LengthLimitError>() {
                Refused::TooLarge(most >> 20)
            } else {
                Refused::Unreadable(error.to_string())
            }
        })
}

impl Refused {
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Answered { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The user may not see it, or there is nothing to see. Nobody is told which.
    pub(crate) fn hides_it(&self) -> bool {
        matches!(self.code(), Some(403 | 404))
    }
}

/// In one line, for our log and for the user, whose own request it was.
impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answered { code, message, .. } => write!(f, "{message} ({code})"),
            Self::TooLarge(mebibytes) => write!(f, "its answer has more than {mebibytes} MiB"),
            Self::Unreadable(why) => write!(f, "its answer can't be read: {why}"),
            Self::TimedOut(limit) => write!(f, "no answer within {} s", limit.as_secs()),
        }
    }
}
