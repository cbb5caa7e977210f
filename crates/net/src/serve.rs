//! Serving HTTP on one connection: HTTP/2 or HTTP/1.1 by ALPN, with limits, and an end that lets requests finish.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{Either, Ready, ready};
use http::{HeaderValue, Request, Response, header};
use hyper::{
    body::Incoming,
    rt::{Read, Write},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mk8s_tls::{ServerConfig, TlsAcceptor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tracing::debug;

use crate::{Body, combine::Combined, drain::Watch, status::Status};

/// The longest request head taken, in bytes. kubectl's longest (an exec with many arguments) are far below.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long a client may take for TLS and the first request's head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection that is drained is still listened to if nothing was ever asked on it: its first request may be
/// on its way.
const FIRST_WORD_WHILE_DRAINING: Duration = Duration::from_secs(1);
/// How long a client that was refused is still listened to.
const FAREWELL: Duration = Duration::from_secs(1);
/// Streams that one client connection may have open; client-go opens another connection beyond.
pub const CLIENT_STREAMS: u32 = 250;

/// ALPN names of what [`connection`] serves.
pub const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Which HTTP to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, with upgrades.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Takes TLS off a new connection, within [`HEAD_TIMEOUT`]. None if the handshake failed, which is the client's affair
/// and only logged.
pub async fn tls(
    config: Arc<ServerConfig>,
    stream: TcpStream,
) -> Option<Box<mk8s_tls::ServerTlsStream<TcpStream>>> {
    let peer = stream.peer_addr().ok();
    handshake(config, stream)
        .await
        .inspect_err(|error| debug!(?peer, %error, "TLS handshake failed"))
        .ok()
}

/// The same for a door that has something to say about it. In a box, and so are the means to get it: what holds the
/// connection from now on stays small, and there may be thousands.
///
/// # Errors
/// Why there is no TLS on it: a certificate that was refused, say.
pub async fn handshake(
    config: Arc<ServerConfig>,
    stream: TcpStream,
) -> std::io::Result<Box<mk8s_tls::ServerTlsStream<TcpStream>>> {
    let accept = Box::pin(TlsAcceptor::from(config).accept(stream).into_fallible());
    match tokio::time::timeout(HEAD_TIMEOUT, accept).await {
        Ok(Ok(accepted)) => Ok(Box::new(accepted)),
        Ok(Err((error, stream))) => {
            tokio::spawn(farewell(stream));
            Err(error)
        }
        Err(_) => Err(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "the client took too long",
        )),
    }
}

/// Lets a client that was refused read why. In TLS 1.3 it may have sent its first request before it can know; closed with that
/// unread, the connection would be reset, and the alert that is under way be lost with it.
async fn farewell(mut stream: TcpStream) {
    let unread = async {
        stream.shutdown().await?;
        tokio::io::copy(
            &mut (&mut stream).take(MAX_HEAD_BYTES as u64),
            &mut tokio::io::sink(),
        )
        .await
    };
    // Whatever comes of it, there is nobody to tell.
    let _ = tokio::time::timeout(FAREWELL, unread).await;
}

/// What a connection's requests are answered by, for doors that always have an answer. Each answer's future is in a box: it is
/// large, and hyper would keep room for it in the connection.
pub fn answering<F, Fut>(
    answer: F,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future = Answered,
>
where
    F: Fn(Request<Incoming>) -> Fut,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    service_fn(move |request| -> Answered {
        let answered = answer(request);
        Box::pin(async move { Ok(answered.await) })
    })
}

/// An answer that is waited for.
pub type Answered = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Which HTTP a TLS client asked for.
pub fn negotiated(stream: &mk8s_tls::ServerTlsStream<TcpStream>) -> Protocol {
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    }
}

/// Serves one connection until it ends, or is drained and then cut.
///
/// An HTTP/1.1 request that wants to switch protocols has the [`Watch`] among its extensions: whoever takes the connection
/// over holds it, and ends when it is cut.
pub async fn connection<I, S>(io: I, protocol: Protocol, service: S, drain: Watch)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    let result = match protocol {
        Protocol::Http1 => serve_http1(TokioIo::new(io), service, drain).await,
        Protocol::Http2 => serve_http2(client_facing_http2(), io, service, drain).await,
    };
    if let Err(error) = result {
        debug!(%error, "connection ended");
    }
}

async fn serve_http1<I, S>(io: I, service: S, mut drain: Watch) -> hyper::Result<()>
where
    I: Read + Write + Unpin + Send + 'static,
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);
    let service = Http1 {
        service,
        drain: drain.clone(),
    };
    let mut connection = std::pin::pin!(builder.serve_connection(io, service).with_upgrades());
    tokio::select! {
        result = connection.as_mut() => result,
        () = drain.draining() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection => result,
                () = drain.cut() => Ok(()),
            }
        }
    }
}

/// Serves HTTP/2 with a given builder until the connection ends, or is drained and then cut. A client that asks for
/// nothing within [`HEAD_TIMEOUT`] of connecting is dropped.
///
/// # Errors
/// What broke the connection.
pub async fn serve_http2<I, S>(
    builder: http2::Builder<TokioExecutor>,
    io: I,
    service: S,
    mut drain: Watch,
) -> hyper::Result<()>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    let io = TokioIo::new(Combined::new(io));
    let asked = Arc::new(AtomicBool::new(false));
    let service = Noticing {
        service,
        asked: asked.clone(),
    };
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    tokio::select! {
        result = connection.as_mut() => result,
        () = silence(&asked, HEAD_TIMEOUT) => Ok(()),
        () = drain.draining() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection => result,
                () = silence(&asked, FIRST_WORD_WHILE_DRAINING) => Ok(()),
                () = drain.cut() => Ok(()),
            }
        }
    }
}

/// What hyper leaves to do on HTTP/1.1. A head that is too long is refused: hyper bounds its buffer, and that at up to twice
/// the size, so that a head which comes in large enough pieces passes. And who wants to switch protocols gets the [`Watch`],
/// because hyper's part ends with the switch, and the drain is to wait for what comes after.
struct Http1<S> {
    service: S,
    drain: Watch,
}

impl<S> hyper::service::Service<Request<Incoming>> for Http1<S>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Infallible>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if head_bytes(&request) > MAX_HEAD_BYTES {
            let why = format!(
                "request line and headers together may have {} KiB",
                MAX_HEAD_BYTES / 1024
            );
            let mut response = Status::head_too_large(why).into_response();
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
            return Either::Right(ready(Ok(response)));
        }
        if request.headers().contains_key(header::UPGRADE) {
            request.extensions_mut().insert(self.drain.clone());
        }
        Either::Left(self.service.call(request))
    }
}

/// The size of a request's head on the wire, but for a few bytes.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let path = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    path + headers.sum::<usize>()
}

/// Notes that there was a request. hyper limits the time for a head on HTTP/1.1 alone: a client that never finishes its
/// HTTP/2 preface would be waited for without end.
struct Noticing<S> {
    service: S,
    asked: Arc<AtomicBool>,
}

impl<S: hyper::service::Service<Request<Incoming>>> hyper::service::Service<Request<Incoming>>
    for Noticing<S>
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> S::Future {
        self.asked.store(true, Ordering::Relaxed);
        self.service.call(request)
    }
}

/// Resolves after `limit` if nothing has been asked by then, and else never.
async fn silence(asked: &AtomicBool, limit: Duration) {
    tokio::time::sleep(limit).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// HTTP/2 towards clients we don't know: windows that bound what one upload can make us hold, and pings that end
/// connections whose client is gone.
fn client_facing_http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(CLIENT_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(256 * 1024)
        // Every stream's window and some: an upload that waits holds up no other on the connection.
        .initial_connection_window_size(256 * 1024 * (CLIENT_STREAMS + 1))
        .max_send_buf_size(256 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
