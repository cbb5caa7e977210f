//! An agent, and the port that it dials.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use mk8s_net::{
    Body,
    drain::Drain,
    link::{Link, StreamCounters},
    workers::Workers,
};
use mk8s_testkit::Pki;
use mk8s_tls::{ServerTlsStream, TlsAcceptor};
use mk8s_tunnel::{HEALTH_PATH, agent::Central};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// Central's port.
pub(crate) struct Port {
    pub(crate) pki: Pki,
    pub(crate) listener: TcpListener,
}

impl Port {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self {
            pki: Pki::new(),
            listener,
        }
    }

    /// How to dial it.
    pub(crate) fn dial(&self) -> Central {
        Central {
            host: "localhost".to_owned(),
            port: self.listener.local_addr().expect("an address").port(),
            tls: self.pki.client_named("prod", &[mk8s_tunnel::ALPN]),
        }
    }

    /// The next connection, TLS done.
    pub(crate) async fn connection(&self) -> ServerTlsStream<TcpStream> {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        let tls = self.pki.server_for_known_clients(&[mk8s_tunnel::ALPN]);
        TlsAcceptor::from(tls).accept(stream).await.expect("a handshake")
    }

    /// The next connection, as a link.
    pub(crate) async fn link(&self, counters: &Arc<StreamCounters>) -> Link {
        let stream = self.connection().await;
        mk8s_tunnel::central::accept(stream, counters.clone(), || {})
            .await
            .expect("a tunnel")
    }
}

/// An agent that answers the probe, `/echo` with what it was sent, `/endless` with one piece and no end, and `/wait` when
/// it is told to.
pub(crate) struct Agent {
    pub(crate) serving: JoinHandle<()>,
    /// Says so when a request is held.
    pub(crate) held: mpsc::UnboundedReceiver<()>,
    release: watch::Sender<bool>,
    drain: Option<Drain>,
    _workers: Arc<Workers>,
}

impl Agent {
    pub(crate) fn start(central: Central, connections: usize) -> Self {
        let workers = Arc::new(Workers::start("agent", 2).expect("threads"));
        let drain = Drain::new();
        let (holding, held) = mpsc::unbounded_channel();
        let (release, released) = watch::channel(false);
        let service = Service { holding, released };
        let serving =
            mk8s_tunnel::agent::serve(central, connections, workers.clone(), drain.watch(), service);
        Self {
            serving: tokio::spawn(serving),
            held,
            release,
            drain: Some(drain),
            _workers: workers,
        }
    }

    pub(crate) fn release(&self) {
        self.release.send_replace(true);
    }

    /// Begins to stop. The task returns what [`Drain::finish`] does.
    pub(crate) async fn stop(&mut self, grace: std::time::Duration) -> JoinHandle<bool> {
        let drain = self.drain.take().expect("stopped once");
        let mut watch = drain.watch();
        let stopping = tokio::spawn(drain.finish(grace));
        watch.draining().await;
        stopping
    }
}

#[derive(Clone)]
struct Service {
    holding: mpsc::UnboundedSender<()>,
    released: watch::Receiver<bool>,
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
            let body = match request.uri().path() {
                HEALTH_PATH => Body::full("ok"),
                "/echo" => Body::from_request(request).into_body(),
                "/endless" => {
                    let first = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"a piece")));
                    let pieces = futures_util::stream::once(async { first });
                    Body::boxed(StreamBody::new(futures_util::StreamExt::chain(
                        pieces,
                        futures_util::stream::pending(),
                    )))
                }
                "/wait" => {
                    let _ = holding.send(());
                    let _ = released.wait_for(|released| *released).await;
                    Body::full("waited")
                }
                _ => {
                    let mut response = Response::new(Body::empty());
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    return Ok(response);
                }
            };
            Ok(Response::new(body))
        })
    }
}

pub(crate) fn ask(path: &str) -> Request<Body> {
    Request::get(format!("https://kubernetes.mk8s.internal{path}"))
        .body(Body::empty())
        .expect("a request")
}
