//! A central of tests: the endpoints of the contract over TLS, with knobs and counters.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use mk8s_tls::{CertificateAuthority, Fingerprint, ReloadingCertificate, TlsAcceptor, server};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

use crate::fake_state::State;

pub(crate) const EMAIL: &str = "dev@example.com";
pub(crate) const PASSWORD: &str = "correct horse";

/// A running central; dropped, it stops listening.
pub(crate) struct FakeCentral {
    pub(crate) port: u16,
    pub(crate) authority: CertificateAuthority,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeCentral {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn start() -> Self {
        Self::start_on(0)
    }

    /// Listens on this port, with an authority of its own.
    pub(crate) fn start_on(port: u16) -> Self {
        let now = Timestamp::now();
        let authority = CertificateAuthority::generate("mk8s test", now).expect("an authority");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let issued = authority
            .issue_server(&names, Duration::from_secs(3_600), now)
            .expect("a certificate");
        let certificate = ReloadingCertificate::from_issued(&issued).expect("a certificate");
        let tls = server::config(certificate, &server::ClientAuth::None, &[b"http/1.1"]).expect("TLS");
        let state = Arc::new(Mutex::new(State::default()));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a port");
        listener.set_nonblocking(true).expect("non-blocking");
        let port = listener.local_addr().expect("an address").port();
        let (stop, stopped) = oneshot::channel();
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let acceptor = TlsAcceptor::from(tls);
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = accept(listener, acceptor, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            port,
            authority,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.authority.fingerprint()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panicked with it")
    }

    /// How often this was asked.
    pub(crate) fn count(&self, request: &str) -> usize {
        self.state().count(request)
    }
}

impl Drop for FakeCentral {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<Mutex<State>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(serve(stream, acceptor.clone(), state.clone()));
    }
}

async fn serve(stream: tokio::net::TcpStream, acceptor: TlsAcceptor, state: Arc<Mutex<State>>) {
    let _: Option<SocketAddr> = stream.peer_addr().ok();
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(request, &state).await) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, state: &Mutex<State>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: header::HeaderName| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let mut state = state.lock().expect("no test panicked with it");
    state
        .requests
        .push(format!("{} {}", parts.method, parts.uri.path()));
    state.user_agent = text(header::USER_AGENT);
    let bearer = text(header::AUTHORIZATION);
    let known = bearer
        .strip_prefix("Bearer ")
        .is_some_and(|token| state.tokens.contains(token));
    match (&parts.method, parts.uri.path()) {
        (&Method::POST, "/auth/login") => login(&mut state, &body),
        (&Method::POST, "/auth/refresh") => refresh(&mut state, &body),
        (&Method::POST, "/auth/logout") => {
            state.revoke_session();
            respond(StatusCode::NO_CONTENT, "application/json", String::new())
        }
        (&Method::GET, "/clusters") if state.clusters_answer.is_some() => {
            let (status, content_type, body) = state.clusters_answer.clone().expect("just seen");
            respond(status, content_type, body)
        }
        (&Method::GET, "/auth/whoami" | "/clusters") if !known => {
            problem(StatusCode::UNAUTHORIZED, "the token is not valid", None)
        }
        (&Method::GET, "/auth/whoami") => success(&json!({
            "email": EMAIL,
            "roles": ["developer"],
            "expires_at": "2030-01-01T00:00:00Z",
            "clusters": [
                {"name": "production-us-east", "permissions": ["get, list pods in all namespaces", "logs of pods in web"]},
                {"name": "staging", "permissions": ["everything"]},
            ],
        })),
        (&Method::GET, "/clusters") => {
            let clusters: Vec<Value> = state
                .clusters
                .iter()
                .map(|(name, status)| {
                    let version = (*status == "connected").then_some("v1.36.3");
                    json!({"name": name, "status": status, "last_seen": null, "kubernetes_version": version})
                })
                .collect();
            success(&json!({ "clusters": clusters }))
        }
        _ => problem(StatusCode::NOT_FOUND, "there is nothing here", None),
    }
}

fn login(state: &mut State, body: &Value) -> Response<Full<Bytes>> {
    if let Some(seconds) = state.too_many_logins {
        let mut response = problem(
            StatusCode::TOO_MANY_REQUESTS,
            "too many logins for this account.",
            Some("wait a little"),
        );
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        return response;
    }
    if body["email"] == EMAIL && body["password"] == PASSWORD {
        let tokens = state.issue();
        return success(&tokens);
    }
    problem(StatusCode::UNAUTHORIZED, "wrong e-mail or password", None)
}

/// Stricter than the contract, which forgives a refresh token used twice within seconds.
fn refresh(state: &mut State, body: &Value) -> Response<Full<Bytes>> {
    if let Some(status) = state.refresh_status {
        return problem(status, "no refresh today", None);
    }
    if state
        .refresh_token
        .as_deref()
        .is_some_and(|current| body["refresh_token"] == current)
    {
        let tokens = state.issue();
        return success(&tokens);
    }
    state.revoke_session();
    problem(
        StatusCode::UNAUTHORIZED,
        "the refresh token was used before: the session is revoked",
        None,
    )
}

fn success(body: &Value) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, "application/json", body.to_string())
}

fn problem(status: StatusCode, detail: &str, hint: Option<&str>) -> Response<Full<Bytes>> {
    let body = json!({"type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(),
        "detail": detail, "hint": hint});
    respond(status, "application/problem+json", body.to_string())
}

fn respond(status: StatusCode, content_type: &str, body: String) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type);
    response.body(Full::new(Bytes::from(body))).expect("a response")
}
