//! A served port, and clients for it.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mk8s_net::{
    Body,
    drain::{Drain, Watch},
    link::{Link, StreamCounters},
    serve,
};
use mk8s_testkit::{Pki, http2::Peer};
use mk8s_tls::{ClientTlsStream, ServerName, TlsConnector};
use tokio::{
    io::DuplexStream,
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// The protocols, by ALPN.
pub(crate) const HTTP1: &[u8] = b"http/1.1";
pub(crate) const HTTP2: &[u8] = b"h2";

/// A server whose requests to `/wait` are held until released, and whose other requests are answered with what was
/// asked.
pub(crate) struct Served {
    pub(crate) pki: Pki,
    pub(crate) address: SocketAddr,
    drain: Option<Drain>,
    /// Says so when a request is held.
    pub(crate) held: mpsc::UnboundedReceiver<()>,
    release: watch::Sender<bool>,
}

impl Served {
    pub(crate) async fn start() -> Self {
        let pki = Pki::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let drain = Drain::new();
        let (holding, held) = mpsc::unbounded_channel();
        let (release, released) = watch::channel(false);
        let tls = pki.server(serve::ALPN);
        let watch = drain.watch();
        let service = Service { holding, released };
        tokio::spawn(accept(listener, tls, watch, service));
        Self {
            pki,
            address,
            drain: Some(drain),
            held,
            release,
        }
    }

    /// Begins to stop. The task returns what [`Drain::finish`] does.
    pub(crate) async fn stop(&mut self, grace: Duration) -> JoinHandle<bool> {
        let drain = self.drain.take().expect("stopped once");
        let mut watch = drain.watch();
        let stopping = tokio::spawn(drain.finish(grace));
        watch.draining().await;
        stopping
    }

    /// Lets the held requests go.
    pub(crate) fn release(&self) {
        self.release.send_replace(true);
    }

    pub(crate) async fn connect(&self, alpn: &[u8]) -> ClientTlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(self.pki.client(&[alpn]))
            .connect(name, stream)
            .await
            .expect("a handshake")
    }

    pub(crate) async fn client(&self, alpn: &[u8]) -> Client {
        Client::over(self.connect(alpn).await, alpn).await
    }
}

async fn accept(listener: TcpListener, tls: Arc<mk8s_tls::ServerConfig>, mut watch: Watch, service: Service) {
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.expect("a connection"),
            () = watch.draining() => return,
        };
        let (tls, watch, service) = (tls.clone(), watch.clone(), service.clone());
        tokio::spawn(async move {
            let Some(stream) = serve::tls(tls, stream).await else {
                return;
            };
            let protocol = serve::negotiated(&stream);
            serve::connection(stream, protocol, service, watch).await;
        });
    }
}

/// What [`Served`] serves.
#[derive(Clone)]
pub(crate) struct Service {
    holding: mpsc::UnboundedSender<()>,
    released: watch::Receiver<bool>,
}

impl Service {
    /// One that holds nothing.
    pub(crate) fn new() -> Self {
        Self {
            holding: mpsc::unbounded_channel().0,
            released: watch::channel(true).1,
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Self {
            holding,
            mut released,
        } = self.clone();
        Box::pin(async move {
            let text = format!("{} {}", request.method(), request.uri().path());
            let body = request.into_body().collect().await.map(|b| b.to_bytes().len());
            if text.ends_with("/wait") {
                let _ = holding.send(());
                let _ = released.wait_for(|released| *released).await;
            }
            Ok(Response::new(Body::full(format!("{text} {body:?}"))))
        })
    }
}

/// A client of either protocol.
pub(crate) enum Client {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(crate) async fn over<I>(io: I, alpn: &[u8]) -> Self
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        if alpn == HTTP2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .max_header_list_size(1 << 20)
                .handshake(TokioIo::new(io))
                .await
                .expect("HTTP/2");
            tokio::spawn(connection);
            Self::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(TokioIo::new(io)).await.expect("HTTP/1.1");
            tokio::spawn(connection);
            Self::Http1(sender)
        }
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }

    /// Resolves when the other side has ended the connection.
    pub(crate) async fn closed(&mut self) {
        match self {
            Self::Http1(sender) => while sender.ready().await.is_ok() {},
            Self::Http2(sender) => {
                mk8s_testkit::soon("the connection to end", || sender.is_closed().then_some(())).await;
            }
        }
    }
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("https://localhost{path}"))
        .body(Full::default())
        .expect("a request")
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A link in memory, and the raw server at its other end with these settings.
pub(crate) async fn link_to_raw(settings: &[(u16, u32)]) -> (Link, Peer<DuplexStream>, Arc<StreamCounters>) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let counters = Arc::new(StreamCounters::default());
    let linking = Link::handshake(near, counters.clone(), || {});
    let (link, peer) = tokio::join!(linking, Peer::server(far, settings));
    (link.expect("a link"), peer.expect("a peer"), counters)
}

/// A request for a link.
pub(crate) fn ask(path: &str) -> Request<Body> {
    Request::get(format!("https://localhost{path}"))
        .body(Body::empty())
        .expect("a request")
}
