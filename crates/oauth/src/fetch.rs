//! The HTTP client towards the issuer: bounded in time and size, trusting whom settings say, following nobody elsewhere.

use std::{error::Error as StdError, fmt, io, time::Duration};

use backon::{ExponentialBuilder, Retryable as _};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use mk8s_tls::Roots;
use reqwest::{RequestBuilder, Url, redirect::Policy};

use crate::{
    Settings,
    url::{Taken, is_loopback},
};

/// What is wrong with an answer, or why there is none. No URL's path or query is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection, or it broke.
    #[error("{host} can't be reached: {reason}")]
    Unreachable {
        /// Whom.
        host: String,
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("{host} doesn't answer in time")]
    TimedOut {
        /// Who.
        host: String,
    },
    /// Another status than 200.
    #[error("{host} answers {status} where 200 was expected; redirects are not followed")]
    Status {
        /// Who.
        host: String,
        /// What.
        status: StatusCode,
    },
    /// More than an answer may have.
    #[error("{host} answers with more than {limit} bytes")]
    TooLarge {
        /// Who.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// Something else than what the specification says.
    #[error("{host}: {reason}")]
    Unusable {
        /// Who.
        host: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why there is no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the identity provider can't be spoken to: {0}")]
pub struct SetupError(String);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(reqwest::Client);

impl Client {
    /// Trusts the authorities in the settings' file, or those of the system.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let roots = match &settings.ca_file {
            Some(file) => Roots::Files(vec![file.clone()]),
            None => Roots::System,
        };
        let tls = mk8s_tls::client::config(&roots, None, &[b"h2", b"http/1.1"])
            .map_err(|error| SetupError(format!("ca_file: {error}")))?;
        let timeout = settings.timeout;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.as_ref().clone())
            .https_only(settings.taken == Taken::Https)
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(timeout)
            .timeout(timeout)
            .user_agent(concat!("mk8s/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&settings.issuer.url) {
            // What is on this machine is not to be had through a proxy on another.
            builder = builder.no_proxy();
        }
        builder
            .build()
            .map(Self)
            .map_err(|error| SetupError(innermost(&error)))
    }

    /// An answer of 200 to a GET, tried again if it doesn't come through.
    pub(crate) async fn get(&self, url: &Url, limit: usize) -> Result<Bytes, FetchError> {
        let policy = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_times(2);
        let once = || async {
            let request = self.0.get(url.clone()).header(header::ACCEPT, "application/json");
            match send(request, url, limit).await? {
                (StatusCode::OK, body) => Ok(body),
                (status, _) => Err(FetchError::Status {
                    host: host(url),
                    status,
                }),
            }
        };
        once.retry(policy).when(FetchError::is_passing).await
    }

    /// Any answer to a form that is posted, once.
    pub(crate) async fn post(
        &self,
        url: &Url,
        authorization: Option<HeaderValue>,
        form: &[(&str, &str)],
        limit: usize,
    ) -> Result<(StatusCode, Bytes), FetchError> {
        let mut request = self
            .0
            .post(url.clone())
            .header(header::ACCEPT, "application/json")
            .form(form);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        send(request, url, limit).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl FetchError {
    pub(crate) fn unusable(url: &Url, reason: impl Into<String>) -> Self {
        Self::Unusable {
            host: host(url),
            reason: reason.into(),
        }
    }

    /// Whether the same may go well a moment later.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => status.is_server_error(),
            _ => false,
        }
    }
}

async fn send(request: RequestBuilder, url: &Url, limit: usize) -> Result<(StatusCode, Bytes), FetchError> {
    let failed = |error: &reqwest::Error| failure(error, url);
    let too_large = || FetchError::TooLarge {
        host: host(url),
        limit,
    };
    let mut response = request.send().await.map_err(|e| failed(&e))?;
    if response.content_length().unwrap_or_default() > limit as u64 {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| failed(&e))? {
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body.freeze()))
}

fn failure(error: &reqwest::Error, url: &Url) -> FetchError {
    if error.is_timeout() {
        return FetchError::TimedOut { host: host(url) };
    }
    FetchError::Unreachable {
        host: host(url),
        reason: innermost(error),
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// The words of the first cause; the outer ones quote the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(error) = next {
        text = error.to_string();
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // An I/O error hides the one that it wraps.
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    let words = text.split(" (os error").next().unwrap_or_default();
    match words.lines().next() {
        Some(line) if !line.is_empty() => line.to_owned(),
        _ => "the connection broke".to_owned(),
    }
}
