//! A short way to a server and a client of it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use mk8s_keeper::{
    Client, Config, HttpOptions, HttpTransport, Record, Reply, Transport, TransportError, Vault,
};
use mk8s_testkit::ksm::{Endpoint, KsmServer};
use serde_json::Value;

/// An empty server.
pub(crate) async fn server() -> KsmServer {
    KsmServer::start("127.0.0.1:0".parse().expect("an address"))
        .await
        .expect("a server")
}

/// What reaches the server.
pub(crate) fn options(server: &KsmServer) -> HttpOptions {
    HttpOptions {
        extra_roots: Some(server.ca_pem().as_bytes().to_vec()),
        ..HttpOptions::default()
    }
}

pub(crate) fn transport(server: &KsmServer) -> HttpTransport {
    HttpTransport::new(options(server)).expect("a transport")
}

pub(crate) fn config(server: &KsmServer) -> Config {
    Config::parse(&server.app_config_json()).expect("a configuration")
}

pub(crate) fn client(server: &KsmServer) -> Client {
    Client::new(config(server), transport(server))
}

/// One that waits no longer than this.
pub(crate) fn hasty_client(server: &KsmServer, longest: Duration) -> Client {
    let options = HttpOptions {
        request_timeout: longest,
        download_timeout: longest,
        ..options(server)
    };
    Client::new(config(server), HttpTransport::new(options).expect("a transport"))
}

pub(crate) fn record<'v>(vault: &'v Vault, uid: &str) -> &'v Record {
    let mut records = vault.records.iter();
    records.find(|record| record.uid == uid).expect("the record")
}

pub(crate) fn document(record: &Record) -> Value {
    serde_json::from_slice(&record.data).expect("a JSON document")
}

pub(crate) fn asked(server: &KsmServer) -> u64 {
    server.requests(Endpoint::GetSecret)
}

/// The headers of each request.
pub(crate) type Asked = Arc<Mutex<Vec<Headers>>>;
type Headers = Vec<(&'static str, String)>;

/// Answers without a server, and notes what was asked.
#[derive(Default)]
pub(crate) struct Canned {
    pub(crate) answers: Mutex<Vec<Reply>>,
    pub(crate) asked: Asked,
}

impl Canned {
    /// Each of these once, and then the last for ever.
    pub(crate) fn new(answers: &[(u16, Value)]) -> Self {
        let reply = |(status, document): &(u16, Value)| Reply {
            status: *status,
            body: document.to_string().into(),
        };
        Self {
            answers: Mutex::new(answers.iter().rev().map(reply).collect()),
            ..Self::default()
        }
    }
}

#[async_trait]
impl Transport for Canned {
    async fn post(
        &self,
        _url: &str,
        headers: &[(&'static str, String)],
        _body: Bytes,
        _limit: usize,
    ) -> Result<Reply, TransportError> {
        let mut asked = self.asked.lock().expect("nobody panicked");
        asked.push(headers.to_vec());
        let mut answers = self.answers.lock().expect("nobody panicked");
        let next = match answers.len() {
            1 => answers.last().cloned(),
            _ => answers.pop(),
        };
        Ok(next.expect("an answer"))
    }

    async fn get(&self, _url: &str, _limit: usize) -> Result<Reply, TransportError> {
        Err(TransportError::BadUrl)
    }
}
