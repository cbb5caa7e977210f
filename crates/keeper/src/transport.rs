//! How bytes get to the service and back: the caller's to choose.

use async_trait::async_trait;
use bytes::Bytes;

/// Sends requests. [`crate::HttpTransport`] does it over HTTPS; tests and programs with a way of their own bring another.
///
/// An implementation follows no redirects, and goes to no URL but `https:`.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Posts a body, and takes the answer whatever its status is. An answer's body of more than `limit` bytes is an error.
    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Bytes,
        limit: usize,
    ) -> Result<Reply, TransportError>;

    /// Gets a file, as [`Transport::post`] takes an answer. The URL is a secret: whoever knows it can get the file.
    async fn get(&self, url: &str, limit: usize) -> Result<Reply, TransportError>;
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status of HTTP.
    pub status: u16,
    /// All of the body.
    pub body: Bytes,
}

/// Why there is no answer. Hosts are named, but no URL.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TransportError {
    /// No connection came about, or it broke.
    #[error("can't reach {host}: {reason}; check the network, HTTPS_PROXY and NO_PROXY")]
    Unreachable {
        /// Who was called.
        host: String,
        /// What happened.
        reason: String,
    },
    /// It took too long.
    #[error("{host} gave no whole answer within {seconds} s; check the network, HTTPS_PROXY and NO_PROXY")]
    TimedOut {
        /// Who was called.
        host: String,
        /// The limit.
        seconds: f32,
    },
    /// Who answers isn't who was called, as far as its certificate shows.
    #[error("{host} shows a certificate that isn't trusted: {reason}; if it is right, add its authority")]
    Untrusted {
        /// Who was called.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The answer is longer than it may be.
    #[error("{host} answers with more than {limit} bytes; share less with the application")]
    TooLarge {
        /// Who was called.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// The URL isn't one that is called.
    #[error("the address isn't an https URL; check the hostname in the Keeper configuration")]
    BadUrl,
}

impl TransportError {
    /// Whether the same request may well succeed a little later.
    pub fn is_worth_retrying(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. })
    }
}
