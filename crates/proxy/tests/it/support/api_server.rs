//! An API server in this process: HTTP/2 and HTTP/1.1 with upgrades, over TLS, on a port of its own.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mk8s_net::Body;
use mk8s_testkit::Pki;
use mk8s_tls::{ServerConfig, TlsAcceptor};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinHandle},
};

use crate::support::{HTTP1, HTTP2};

/// What the server does with a request.
pub(crate) type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

pub(crate) fn handler<F, Fut>(f: F) -> Handler
where
    F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    Arc::new(move |request| Box::pin(f(request)))
}

/// Answers everything with this text.
pub(crate) fn answer(text: &'static str) -> Handler {
    handler(move |_| async move { Response::new(Body::full(text)) })
}

/// A request's head, as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().expect("text"))
            .collect()
    }
}

/// How the server is.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_concurrent_streams: u32,
    pub(crate) alpn: &'static [&'static [u8]],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 250,
            alpn: &[HTTP2, HTTP1],
        }
    }
}

/// The server. It ends when it is dropped.
pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    pub(crate) pki: Arc<Pki>,
    shared: Arc<Shared>,
    settings: Settings,
    accepting: JoinHandle<()>,
}

struct Shared {
    handler: Handler,
    seen: Mutex<Vec<Seen>>,
    count: watch::Sender<usize>,
    connections: AtomicUsize,
    serving: Mutex<Vec<AbortHandle>>,
}

impl ApiServer {
    pub(crate) async fn start(handler: Handler) -> Self {
        Self::with(Settings::default(), handler).await
    }

    pub(crate) async fn with(settings: Settings, handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let pki = Arc::new(Pki::new());
        let shared = Arc::new(Shared {
            handler,
            seen: Mutex::default(),
            count: watch::channel(0).0,
            connections: AtomicUsize::new(0),
            serving: Mutex::default(),
        });
        let accepting = accept(
            listener,
            pki.server(settings.alpn),
            shared.clone(),
            settings.clone(),
        );
        Self {
            address,
            pki,
            shared,
            settings,
            accepting: tokio::spawn(accepting),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// What it saw, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("no panic").clone()
    }

    /// The only request it saw.
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// Resolves when it has seen so many requests.
    pub(crate) async fn saw(&self, count: usize) {
        self.shared
            .count
            .subscribe()
            .wait_for(|seen| *seen >= count)
            .await
            .expect("alive");
    }

    /// A way to ask later, from elsewhere, how many requests it has seen.
    pub(crate) fn counter(&self) -> watch::Receiver<usize> {
        self.shared.count.subscribe()
    }

    /// How many connections it ever took.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Ends it with all its connections, and starts it again on the same port.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        // The old listener's port is free as soon as its task is gone.
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        let tls = self.pki.server(self.settings.alpn);
        self.accepting = tokio::spawn(accept(listener, tls, self.shared.clone(), self.settings.clone()));
    }

    /// Ends it with all its connections.
    pub(crate) async fn stop(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        for connection in self.shared.serving.lock().expect("no panic").drain(..) {
            connection.abort();
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: Arc<ServerConfig>, shared: Arc<Shared>, settings: Settings) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let serving = tokio::spawn(serve(stream, tls.clone(), shared.clone(), settings.clone()));
        shared
            .serving
            .lock()
            .expect("no panic")
            .push(serving.abort_handle());
    }
}

async fn serve(stream: TcpStream, tls: Arc<ServerConfig>, shared: Arc<Shared>, settings: Settings) {
    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else {
        return;
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = Seen {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
        };
        shared.seen.lock().expect("no panic").push(seen);
        shared.count.send_modify(|count| *count += 1);
        let answering = (shared.handler)(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    if is_http2 {
        let _ = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(settings.max_concurrent_streams)
            .max_header_list_size(1 << 20)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    } else {
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
    }
}
