//! A workload cluster's API server, over TLS with an authority of its own.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mk8s_net::{
    Body,
    drain::{Drain, Watch},
    serve,
};
use mk8s_testkit::Pki;
use mk8s_tls::ServerConfig;
use tokio::{net::TcpListener, task::JoinHandle};

/// The server. It says its name to whoever has a token that it takes.
pub(crate) struct Workload {
    address: SocketAddr,
    pki: Pki,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    _drain: Drain,
}

struct Shared {
    name: &'static str,
    tokens: Mutex<BTreeSet<String>>,
    seen: Mutex<Vec<Seen>>,
    hangs: Mutex<bool>,
}

/// A request's head.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().expect("text"))
            .collect()
    }
}

impl Workload {
    /// Takes the token that is called `first`.
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let pki = Pki::new();
        let shared = Arc::new(Shared {
            name,
            tokens: Mutex::new([token("first")].into()),
            seen: Mutex::default(),
            hangs: Mutex::default(),
        });
        let drain = Drain::new();
        let accepting = tokio::spawn(accept(
            listener,
            pki.server(serve::ALPN),
            drain.watch(),
            shared.clone(),
        ));
        Self {
            address,
            pki,
            shared,
            accepting,
            _drain: drain,
        }
    }

    /// A kubeconfig with one of its tokens.
    pub(crate) fn kubeconfig(&self, token: &str) -> String {
        self.kubeconfig_at(&self.server(), token)
    }

    pub(crate) fn server(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn kubeconfig_at(&self, server: &str, called: &str) -> String {
        let authority = BASE64_STANDARD.encode(self.pki.roots_pem());
        let token = token(called);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: \"{server}\", certificate-authority-data: {authority}}}}}]\n\
             users: [{{name: u, user: {{token: {token}}}}}]\n"
        )
    }

    /// Takes this token alone from now on.
    pub(crate) fn take(&self, called: &str) {
        *self.shared.tokens.lock().expect("no panic") = [token(called)].into();
    }

    /// Answers nobody from now on.
    pub(crate) fn hang(&self) {
        *self.shared.hangs.lock().expect("no panic") = true;
    }

    /// What it saw since this was asked.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().expect("no panic"))
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn token(called: &str) -> String {
    format!("token-that-is-called-{called}")
}

async fn accept(listener: TcpListener, tls: Arc<ServerConfig>, watch: Watch, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (tls, watch, shared) = (tls.clone(), watch.clone(), shared.clone());
        tokio::spawn(async move {
            let Some(stream) = serve::tls(tls, stream).await else {
                return;
            };
            let protocol = serve::negotiated(&stream);
            let service = serve::answering(move |request| {
                let shared = shared.clone();
                async move { answer(&shared, request).await }
            });
            serve::connection(stream, protocol, service, watch).await;
        });
    }
}

async fn answer(shared: &Shared, mut request: Request<Incoming>) -> Response<Body> {
    shared.seen.lock().expect("no panic").push(Seen {
        method: request.method().clone(),
        headers: request.headers().clone(),
    });
    if *shared.hangs.lock().expect("no panic") {
        std::future::pending::<()>().await;
    }
    let bearer = request.headers().get(header::AUTHORIZATION);
    let bearer = bearer.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let is_known = bearer.is_some_and(|token| shared.tokens.lock().expect("no panic").contains(token));
    let mut response = Response::new(Body::full(shared.name));
    if !is_known {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    } else if request.headers().contains_key(header::UPGRADE) {
        let switched = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            // Whatever is said is said again.
            let (mut from, mut to) = tokio::io::split(TokioIo::new(switched.await.expect("switched")));
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
        response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        for (name, value) in [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "websocket")] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
    }
    response
}
