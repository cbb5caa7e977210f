//! An answer that is kept, and which may be.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, response};
use mk8s_net::Body;

use crate::key::copied;

static CACHE: HeaderName = HeaderName::from_static("x-mca-cache");
/// What is about the one answer alone: the event that was written down for it, its age, the hop it came over.
static OF_ONE_ANSWER: [HeaderName; 5] = [
    HeaderName::from_static("audit-id"),
    header::AGE,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("x-mca-cache"),
];

/// What an entry takes besides its bytes, in bytes: keys, places in tables, allocations. Rather too much.
const OVERHEAD: usize = 1024;

/// An answer that is kept, whole. Its bytes are copies: those that came from a connection hold on to all that was read
/// with them.
pub(crate) struct Kept {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Kept {
    pub(crate) fn new(headers: HeaderMap, body: Vec<u8>) -> Self {
        Self {
            headers,
            body: Bytes::from(body.into_boxed_slice()),
        }
    }

    /// Roughly what it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 64)
            .sum();
        self.body.len() + headers + OVERHEAD
    }

    /// The answer again.
    pub(crate) fn again(&self, age: Duration) -> Response<Body> {
        let mut response = Response::new(Body::full(self.body.clone()));
        let headers = response.headers_mut();
        *headers = self.headers.clone();
        headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
        headers.insert(CACHE.clone(), HeaderValue::from_static("hit"));
        response
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({} bytes)", self.body.len())
    }
}

/// The headers with which an answer would be kept; nothing if its head says that it can't be.
pub(crate) fn head(parts: &response::Parts) -> Option<HeaderMap> {
    let headers = &parts.headers;
    let is_kept = parts.status == StatusCode::OK
        && !headers.contains_key(header::SET_COOKIE)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !headers.contains_key(header::TRAILER)
        && !elements(headers, &header::CACHE_CONTROL).any(|word| word.eq_ignore_ascii_case(b"no-store"))
        && elements(headers, &header::VARY).all(is_in_key);
    is_kept.then(|| {
        headers
            .iter()
            .filter(|(name, _)| !OF_ONE_ANSWER.contains(name))
            .map(|(name, value)| (name.clone(), copied(value)))
            .collect()
    })
}

/// The length that an answer announces.
pub(crate) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
}

fn is_in_key(header: &[u8]) -> bool {
    header.is_empty()
        || header.eq_ignore_ascii_case(b"accept")
        || header.eq_ignore_ascii_case(b"accept-encoding")
}
