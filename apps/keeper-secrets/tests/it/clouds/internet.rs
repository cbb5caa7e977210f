//! All of the internet, on this machine: a proxy that is itself whomever it is asked for, over TLS, and a plain HTTP server.

use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use mk8s_tls::{CertificateAuthority, ReloadingCertificate, TlsAcceptor, server};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What somebody asked.
#[derive(Clone)]
pub(super) struct Asked {
    /// Whom: the name that TLS vouched for, or the address of plain HTTP.
    pub(super) host: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}?{}", self.method, self.host, self.path, self.query)
    }
}

/// What is answered.
pub(super) enum Answer {
    Reply(StatusCode, Vec<(&'static str, String)>, String),
    /// None, ever.
    Silence,
}

impl Answer {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(super) fn text(status: u16, media_type: &str, body: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self::Reply(status, vec![("content-type", media_type.to_owned())], body.into())
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// Runs until it is dropped.
pub(super) struct Internet {
    pub(super) address: SocketAddr,
    /// Whom clients have to trust.
    pub(super) authority: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _runtime: Runtime,
}

struct Shared {
    handler: Box<Handler>,
    asked: Arc<Mutex<Vec<Asked>>>,
    acceptor: TlsAcceptor,
}

impl Internet {
    /// With these names in it; whoever is asked, this answers.
    pub(super) fn new(names: &[&str], handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let now = Timestamp::now();
        let authority = CertificateAuthority::generate("clouds of a test", now).expect("an authority");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let issued = authority.issue_server(&names, DAY, now).expect("a certificate");
        let pem = mk8s_tls::CertificateChain::from_der(vec![authority.certificate().clone()])
            .expect("a chain")
            .pem();
        let certificate = ReloadingCertificate::from_issued(&issued).expect("a pair");
        let config = server::config(certificate, &server::ClientAuth::None, &[b"http/1.1"]).expect("TLS");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            asked: asked.clone(),
            acceptor: TlsAcceptor::from(config),
        });
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(shared.clone().greet(stream));
            }
        });
        Self {
            address,
            authority: pem,
            asked,
            _runtime: runtime,
        }
    }

    /// All that was asked until now.
    pub(super) fn asked(&self) -> Vec<Asked> {
        lock(&self.asked).clone()
    }

    /// An address where nobody is.
    pub(super) fn nowhere() -> String {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        taken.local_addr().expect("an address").to_string()
    }
}

impl Shared {
    /// Serves the connection as a proxy, or plainly.
    async fn greet(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(|mut request: Request<Incoming>| {
            let shared = self.clone();
            async move {
                if request.method() == Method::CONNECT {
                    tokio::spawn(async move {
                        if let Ok(upgraded) = hyper::upgrade::on(&mut request).await {
                            shared.be_asked_over_tls(TokioIo::new(upgraded)).await;
                        }
                    });
                    return Ok::<_, Infallible>(Response::new(Full::default()));
                }
                Ok(shared.answer(None, request).await)
            }
        });
        // Clients leave as they like.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
    }

    async fn be_asked_over_tls<S>(self: Arc<Self>, stream: S)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let Ok(stream) = self.acceptor.accept(stream).await else {
            return;
        };
        let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
        let service = service_fn(|request| {
            let (shared, name) = (self.clone(), name.clone());
            async move { Ok::<_, Infallible>(shared.answer(Some(name), request).await) }
        });
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(&self, name: Option<String>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => Bytes::new(),
        };
        let plain = || parts.uri.authority().map(ToString::to_string);
        let asked = Asked {
            host: name.or_else(plain).unwrap_or_else(|| "plain".to_owned()),
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        lock(&self.asked).push(asked.clone());
        match (self.handler)(&asked) {
            Answer::Silence => std::future::pending().await,
            Answer::Reply(status, headers, body) => {
                let mut response = Response::new(Full::from(body));
                *response.status_mut() = status;
                for (name, value) in headers {
                    let value = value.parse().expect("a header");
                    response.headers_mut().insert(name, value);
                }
                response
            }
        }
    }
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A field of a form in the body.
    pub(super) fn form(&self, name: &str) -> Option<String> {
        self.body.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let plus = value.replace('+', " ");
            let value = percent_encoding::percent_decode_str(&plus).decode_utf8();
            (key == name).then(|| value.expect("text").into_owned())
        })
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
