//! HTTP/2 connections that we send requests on: dialled by us (towards an API server) or by the other side (an agent's
//! reversed tunnel). A [`LinkSet`] holds those that lead to one place and picks the best for each request.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
};
use tracing::debug;

use crate::{Body, BoxError, workers};

/// What one stream may have sent to us unread, in bytes: enough for 20 MB/s at 25 ms.
const STREAM_WINDOW: u32 = 512 * 1024;
/// What all streams together may have: as good as unlimited, because a stream that nobody reads must take nothing away
/// from the others (head-of-line blocking). Memory is bounded by streams × [`STREAM_WINDOW`].
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// An HTTP/2 connection to send on. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    sender: SendRequest<Body>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The worker that drives the connection.
    worker: Option<usize>,
    /// Streams that the peer allows at once, as last announced.
    allowed: AtomicUsize,
    in_flight: AtomicUsize,
    closed: AtomicBool,
    /// Ends the connection at once.
    cut: Notify,
    counters: Arc<StreamCounters>,
}

/// Streams opened and closed over the lifetime of all links that share it. The difference must return to zero.
#[derive(Debug, Default)]
pub struct StreamCounters {
    opened: AtomicU64,
    closed: AtomicU64,
}

impl StreamCounters {
    /// Streams ever opened.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Streams ever closed.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The peer can't have seen it: the connection was closing, or it refused the stream before looking at it. Sending
    /// it again elsewhere is safe for any method (RFC 9113, 8.7).
    #[error("the connection closed before the request was processed: {0}")]
    Unprocessed(#[source] hyper::Error),
    /// It may have been acted on.
    #[error("the connection broke while waiting for the answer: {0}")]
    Broken(#[source] hyper::Error),
}

impl Link {
    /// Speaks HTTP/2 as a client on a connected stream, and drives it on the calling worker until it ends.
    ///
    /// # Errors
    /// If the HTTP/2 preface can't be exchanged.
    pub async fn handshake<I>(io: I, counters: Arc<StreamCounters>, on_end: impl FnOnce() + Send + 'static) -> hyper::Result<Self>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(256 * 1024)
            .max_frame_size(32 * 1024)
            .max_header_list_size(1024 * 1024)
            .max_concurrent_reset_streams(1024)
            .keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            // An idle connection that died unseen would swallow the next request.
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(io))
            .await?;
        let shared = Arc::new(Shared {
            worker: workers::current(),
            allowed: AtomicUsize::new(100),
            in_flight: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            cut: Notify::new(),
            counters,
        });
        let driven = shared.clone();
        tokio::spawn(async move {
            let mut connection = connection;
            let ended = std::future::poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                driven.allowed.store(connection.current_max_send_streams(), Ordering::Relaxed);
                polled
            });
            let result = tokio::select! {
                result = ended => result,
                () = driven.cut.notified() => Ok(()),
            };
            drop(connection);
            driven.closed.store(true, Ordering::Release);
            if let Err(error) = result {
                debug!(%error, "link ended");
            }
            on_end();
        });
        Ok(Self { sender, shared })
    }

    /// Whether requests can still be sent.
    pub fn is_open(&self) -> bool {
        !self.shared.closed.load(Ordering::Acquire) && !self.sender.is_closed()
    }

    /// Whether the peer takes one more stream at once; beyond, it would wait behind the others.
    pub fn has_room(&self) -> bool {
        self.in_flight() < self.shared.allowed.load(Ordering::Relaxed)
    }

    /// Ends the connection with everything on it.
    pub fn cut(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.cut.notify_one();
    }

    /// Streams open now.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Whether the calling worker drives it: sending then wakes no other thread.
    pub fn is_near(&self) -> bool {
        self.shared.worker == workers::current()
    }

    /// Sends a request and waits for the head of its answer. The stream counts as open until the answer's body is
    /// dropped or this future is.
    ///
    /// # Errors
    /// [`SendError`], which says whether the request may be sent again.
    pub async fn send(&mut self, request: Request<Body>) -> Result<Response<LinkBody>, SendError> {
        let guard = StreamGuard::open(self.shared.clone());
        match self.sender.send_request(request).await {
            Ok(response) => Ok(response.map(|body| LinkBody { body, _open: guard })),
            Err(error) => {
                if error.is_closed() || error.is_canceled() {
                    self.shared.closed.store(true, Ordering::Release);
                }
                Err(if was_unprocessed(&error) { SendError::Unprocessed(error) } else { SendError::Broken(error) })
            }
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// Whether the peer says, or the connection's state proves, that it never looked at the request.
fn was_unprocessed(error: &hyper::Error) -> bool {
    if error.is_canceled() || error.is_closed() {
        return true;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(h2) = cause.downcast_ref::<h2::Error>() {
            let refused = h2.reason() == Some(h2::Reason::REFUSED_STREAM);
            // A stream that GOAWAY fails is one above its last-stream-id: the peer hasn't touched it.
            let gone_away = h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR);
            return refused || gone_away;
        }
        source = cause.source();
    }
    false
}

struct StreamGuard(Arc<Shared>);

impl StreamGuard {
    fn open(shared: Arc<Shared>) -> Self {
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        shared.counters.opened.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.counters.closed.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer's body; its stream counts as open as long as it lives.
pub struct LinkBody {
    body: Incoming,
    _open: StreamGuard,
}

impl fmt::Debug for LinkBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LinkBody").field(&self.body).finish()
    }
}

impl http_body::Body for LinkBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The links that lead to one place.
#[derive(Debug, Default)]
pub struct LinkSet {
    links: ArcSwap<Vec<Link>>,
    counters: Arc<StreamCounters>,
}

impl LinkSet {
    /// No links yet, counting streams in `counters`.
    pub fn new(counters: Arc<StreamCounters>) -> Self {
        Self { links: ArcSwap::default(), counters }
    }

    /// The counters of all its links.
    pub fn counters(&self) -> &Arc<StreamCounters> {
        &self.counters
    }

    /// Adds a link, and forgets those that ended.
    pub fn add(&self, link: Link) {
        self.links.rcu(|links| {
            let mut next: Vec<Link> = links.iter().filter(|l| l.is_open()).cloned().collect();
            next.push(link.clone());
            next
        });
    }

    /// Forgets the links that ended. Returns how many are left.
    pub fn prune(&self) -> usize {
        self.links.rcu(|links| links.iter().filter(|l| l.is_open()).cloned().collect::<Vec<_>>());
        self.links.load().len()
    }

    /// Ends all links with everything on them. Returns how many were open.
    pub fn cut(&self) -> usize {
        let links = self.links.swap(Arc::default());
        links.iter().filter(|link| link.is_open()).inspect(|link| link.cut()).count()
    }

    /// How many links are open.
    pub fn open(&self) -> usize {
        self.links.load().iter().filter(|l| l.is_open()).count()
    }

    /// Streams open on all links.
    pub fn in_flight(&self) -> usize {
        self.links.load().iter().map(Link::in_flight).sum()
    }

    /// The best link for the next request: open, with room, on the calling worker if possible, least busy.
    pub fn pick(&self) -> Option<Link> {
        let links = self.links.load();
        links
            .iter()
            .filter(|link| link.is_open())
            .min_by_key(|link| (!link.has_room(), !link.is_near(), link.in_flight()))
            .cloned()
    }
}
