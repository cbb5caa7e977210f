//! HTTPS, as most callers want it.

use std::{error::Error as StdError, fmt, io, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use mk8s_tls::{Roots, rustls};
use reqwest::{RequestBuilder, Url, redirect::Policy};

use crate::{Reply, Transport, TransportError, text::plain};

/// How to reach the service.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Authorities that are trusted beside the system's, as PEM.
    pub extra_roots: Option<Vec<u8>>,
    /// Until a connection is there.
    pub connect_timeout: Duration,
    /// For a request, until its whole answer is there.
    pub request_timeout: Duration,
    /// For a file, until all of it is there.
    pub download_timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            extra_roots: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            download_timeout: Duration::from_secs(120),
        }
    }
}

/// HTTPS: over the proxy that HTTPS_PROXY and NO_PROXY say, to nobody whose certificate isn't trusted, and without following
/// redirects.
pub struct HttpTransport {
    client: reqwest::Client,
    options: HttpOptions,
}

/// Why HTTPS can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("can't set HTTPS up: {0}")]
pub struct SetupError(String);

impl HttpTransport {
    /// Reads the environment's proxies and the system's authorities, once.
    ///
    /// # Errors
    /// [`SetupError`] if the authorities can't be used.
    pub fn new(options: HttpOptions) -> Result<Self, SetupError> {
        let roots = match &options.extra_roots {
            Some(pem) => Roots::SystemAnd(pem.clone()),
            None => Roots::System,
        };
        let tls = mk8s_tls::client::config(&roots, None, &[b"h2", b"http/1.1"])
            .map_err(|error| SetupError(error.to_string()))?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.as_ref().clone())
            .https_only(true)
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(options.connect_timeout)
            .user_agent(concat!("mk8s/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SetupError(innermost(&error)))?;
        Ok(Self { client, options })
    }

    /// Sends a request, and takes the whole answer.
    async fn send(
        &self,
        request: RequestBuilder,
        host: String,
        timeout: Duration,
        limit: usize,
    ) -> Result<Reply, TransportError> {
        let failed = |error: &reqwest::Error| self.failure(error, &host, timeout);
        let too_large = || TransportError::TooLarge {
            host: host.clone(),
            limit,
        };
        let mut response = request.timeout(timeout).send().await.map_err(|e| failed(&e))?;
        let status = response.status().as_u16();
        let declared = response.content_length().unwrap_or_default();
        if declared > limit as u64 {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| failed(&e))? {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        let body = body.freeze();
        Ok(Reply { status, body })
    }

    fn failure(&self, error: &reqwest::Error, host: &str, timeout: Duration) -> TransportError {
        let host = host.to_owned();
        if let Some(reason) = certificate_refusal(error) {
            return TransportError::Untrusted { host, reason };
        }
        if error.is_timeout() {
            let limit = if error.is_connect() {
                self.options.connect_timeout.min(timeout)
            } else {
                timeout
            };
            let seconds = limit.as_secs_f32();
            return TransportError::TimedOut { host, seconds };
        }
        let reason = innermost(error);
        TransportError::Unreachable { host, reason }
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Bytes,
        limit: usize,
    ) -> Result<Reply, TransportError> {
        let (url, host) = checked(url)?;
        let mut request = self.client.post(url).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.send(request, host, self.options.request_timeout, limit)
            .await
    }

    async fn get(&self, url: &str, limit: usize) -> Result<Reply, TransportError> {
        let (url, host) = checked(url)?;
        self.send(self.client.get(url), host, self.options.download_timeout, limit)
            .await
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The URL, if it is one of `https:`, and its host for messages.
fn checked(url: &str) -> Result<(Url, String), TransportError> {
    let url = Url::parse(url).map_err(|_| TransportError::BadUrl)?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    match url.host_str() {
        Some(host) if url.scheme() == "https" && !has_user => {
            let host = host.to_owned();
            Ok((url, host))
        }
        _ => Err(TransportError::BadUrl),
    }
}

/// What is wrong with a certificate, if that is what went wrong.
fn certificate_refusal(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
            return Some(plain(&why.to_string()));
        }
        next = cause(error);
    }
    None
}

/// The words of the first cause. The outer ones quote the URL, which may be a secret.
fn innermost(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(error) = next {
        text = error.to_string();
        next = cause(error);
    }
    let words = plain(text.split(" (os error").next().unwrap_or_default());
    if words.is_empty() {
        "the connection broke".to_owned()
    } else {
        words
    }
}

/// The cause of an error; an I/O error hides the one that it wraps from [`StdError::source`].
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(wrapped) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(wrapped);
    }
    error.source()
}
