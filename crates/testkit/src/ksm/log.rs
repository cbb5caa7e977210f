//! What was asked, to be looked at afterwards.

use std::collections::BTreeMap;

use http::{HeaderMap, Method};

use super::behaviour::Endpoint;

/// Headers whose values would let others ask in a client's name, or read its replies.
const SECRET: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "transmissionkey",
];

/// A request that has come, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// What it was for; none if the server has no such thing.
    pub endpoint: Option<Endpoint>,
    /// Its method.
    pub method: Method,
    /// Its path; of a file's, no more than the beginning.
    pub path: String,
    /// Its headers in lower case; the values of secret ones are left out.
    pub headers: Vec<(String, String)>,
    /// The client, once it has been found to be one.
    pub client_id: Option<String>,
    /// The status of the answer; none if there is none yet, or never.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    requests: Vec<Logged>,
}

impl Log {
    /// Returns what to complete the entry with.
    pub(super) fn begin(
        &mut self,
        endpoint: Option<Endpoint>,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> usize {
        let path = match endpoint {
            Some(Endpoint::Download) => "/files/…",
            _ => path,
        };
        self.requests.push(Logged {
            endpoint,
            method: method.clone(),
            path: path.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    let is_secret = SECRET.contains(&name.as_str());
                    let value = if is_secret {
                        "…".into()
                    } else {
                        String::from_utf8_lossy(value.as_bytes())
                    };
                    (name.as_str().to_owned(), value.into_owned())
                })
                .collect(),
            client_id: None,
            status: None,
        });
        self.requests.len() - 1
    }

    pub(super) fn client(&mut self, entry: usize, client_id: &str) {
        self.requests[entry].client_id = Some(client_id.to_owned());
    }

    pub(super) fn end(&mut self, entry: usize, status: u16) {
        self.requests[entry].status = Some(status);
    }

    pub(super) fn all(&self) -> Vec<Logged> {
        self.requests.clone()
    }

    pub(super) fn counts(&self) -> BTreeMap<Endpoint, u64> {
        let mut counts = BTreeMap::new();
        for endpoint in self.requests.iter().filter_map(|request| request.endpoint) {
            *counts.entry(endpoint).or_default() += 1;
        }
        counts
    }
}
