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
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use crate::{
    Body, BoxError, body,
    combine::Combined,
    severable::{Knife, Severable},
    workers,
};

/// What one stream may have sent to us unread, in bytes: enough for 20 MB/s at 25 ms.
const STREAM_WINDOW: u32 = 512 * 1024;
/// What all streams together may have: as good as unlimited, because a stream that nobody reads must take nothing away
/// from the others (head-of-line blocking). Memory is bounded by streams × [`STREAM_WINDOW`].
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Streams that share a link before the next is taken: together they fill packets, apart they fill system calls.
const ABREAST: usize = 32;
/// How long the other side may take for its first word.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams that we take the other side to allow before it said how many: none, so that its word is recognized.
const UNANNOUNCED: usize = 0;

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
    /// Of those, the streams of [`Traffic::Bulk`].
    bulk: AtomicUsize,
    closed: AtomicBool,
    /// Ends the connection at once.
    knife: Arc<Knife>,
    counters: Arc<StreamCounters>,
}

/// Streams opened and closed over the lifetime of all links that share it. The difference must return to zero.
#[derive(Debug, Default)]
pub struct StreamCounters {
    opened: AtomicU64,
    closed: AtomicU64,
    /// Of those opened, the ones of [`Traffic::Brief`].
    brief: AtomicU64,
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

    /// Streams of [`Traffic::Brief`] ever opened.
    pub fn brief(&self) -> u64 {
        self.brief.load(Ordering::Relaxed)
    }

    pub(crate) fn note_brief(&self) {
        self.brief.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a stream does to those beside it on one connection. HTTP/2 shares the sending fairly, but what is in the
/// kernel's buffers goes out in order: beside a stream that fills them, every small answer waits for megabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Small answers, and watches.
    Brief,
    /// As much as the other side takes: logs, copies, forwarded ports.
    Bulk,
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

/// Why a connection is no link.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// HTTP/2 can't be spoken on it.
    #[error("HTTP/2 can't be spoken on the connection: {0}")]
    Http2(#[from] hyper::Error),
    /// The other side ended it, or sent something else than HTTP/2.
    #[error("the other side does not speak HTTP/2, or closed the connection")]
    Closed,
    /// The other side never sent its settings.
    #[error("the other side said nothing within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Silent,
}

impl Link {
    /// Speaks HTTP/2 as a client on a connected stream, and drives it on the calling worker until it ends; then `on_end`
    /// is called.
    ///
    /// Returns once the other side has said how many streams it takes at once: requests beyond that would queue up
    /// behind others, which may be watches and never end.
    ///
    /// # Errors
    /// [`HandshakeError`] if there is no such word within ten seconds. `on_end` is not called then.
    pub async fn handshake<I>(
        io: I,
        counters: Arc<StreamCounters>,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Result<Self, HandshakeError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // In a box: hyper has a task for each request, and in each room for the whole connection.
        let (io, knife) = Severable::new(Box::new(Combined::new(io)));
        let exchange = async {
            let (sender, mut connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .initial_max_send_streams(UNANNOUNCED)
                .max_send_buf_size(256 * 1024)
                .max_frame_size(32 * 1024)
                .max_header_list_size(1024 * 1024)
                .max_concurrent_reset_streams(1024)
                .keep_alive_interval(Duration::from_secs(10))
                .keep_alive_timeout(Duration::from_secs(10))
                // An idle connection that died unseen would swallow the next request.
                .keep_alive_while_idle(true)
                .handshake::<_, Body>(TokioIo::new(io))
                .await?;
            let mut heard = false;
            while connection.current_max_send_streams() == UNANNOUNCED {
                tokio::select! {
                    ended = &mut connection => return Err(ended.err().map_or(HandshakeError::Closed, Into::into)),
                    () = knife.first_word(), if !heard => heard = true,
                    // The settings come in pieces, or another thread still looks at them.
                    () = tokio::time::sleep(Duration::from_millis(1)), if heard => {}
                }
            }
            Ok((sender, connection))
        };
        let (sender, mut connection) = tokio::time::timeout(HANDSHAKE_TIMEOUT, exchange)
            .await
            .map_err(|_| HandshakeError::Silent)??;
        let shared = Arc::new(Shared {
            worker: workers::current(),
            allowed: AtomicUsize::new(connection.current_max_send_streams()),
            in_flight: AtomicUsize::new(0),
            bulk: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            knife,
            counters,
        });
        let driven = shared.clone();
        tokio::spawn(async move {
            let result = std::future::poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                driven
                    .allowed
                    .store(connection.current_max_send_streams(), Ordering::Relaxed);
                polled
            })
            .await;
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

    /// Ends the connection with everything on it, whatever the other side does.
    pub fn cut(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.knife.cut();
    }

    /// Streams open now.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Whether a stream of this kind, sent here, finds its own kind alone.
    pub fn suits(&self, traffic: Traffic) -> bool {
        let bulk = self.shared.bulk.load(Ordering::Relaxed);
        match traffic {
            Traffic::Brief => bulk == 0,
            Traffic::Bulk => bulk > 0 || self.in_flight() == 0,
        }
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
        self.send_as(Traffic::Brief, request).await
    }

    /// [`Link::send`], for a stream of that kind.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub async fn send_as(
        &mut self,
        traffic: Traffic,
        request: Request<Body>,
    ) -> Result<Response<LinkBody>, SendError> {
        let guard = StreamGuard::open(self.shared.clone(), traffic);
        match self.sender.send_request(request).await {
            Ok(response) => Ok(response.map(|body| LinkBody { body, open: guard })),
            Err(error) => {
                if error.is_closed() || error.is_canceled() {
                    self.shared.closed.store(true, Ordering::Release);
                }
                Err(if was_unprocessed(&error) {
                    SendError::Unprocessed(error)
                } else {
                    SendError::Broken(error)
                })
            }
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
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

struct StreamGuard {
    shared: Arc<Shared>,
    traffic: Traffic,
}

impl StreamGuard {
    fn open(shared: Arc<Shared>, traffic: Traffic) -> Self {
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        match traffic {
            Traffic::Brief => shared.counters.note_brief(),
            Traffic::Bulk => {
                shared.bulk.fetch_add(1, Ordering::Relaxed);
            }
        }
        shared.counters.opened.fetch_add(1, Ordering::Relaxed);
        Self { shared, traffic }
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.traffic == Traffic::Bulk {
            self.shared.bulk.fetch_sub(1, Ordering::Relaxed);
        }
        self.shared.counters.closed.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer's body; its stream counts as open as long as it lives.
pub struct LinkBody {
    body: Incoming,
    open: StreamGuard,
}

impl LinkBody {
    /// What counts the streams beside this one.
    pub fn counters(&self) -> &Arc<StreamCounters> {
        &self.open.shared.counters
    }
}

impl fmt::Debug for LinkBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LinkBody").field(&self.body).finish()
    }
}

impl http_body::Body for LinkBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        body::poll_http2(&mut self.body, cx)
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
        Self {
            links: ArcSwap::default(),
            counters,
        }
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
        self.links
            .rcu(|links| links.iter().filter(|l| l.is_open()).cloned().collect::<Vec<_>>());
        self.links.load().len()
    }

    /// Ends all links with everything on them. Returns how many were open.
    pub fn cut(&self) -> usize {
        let links = self.links.swap(Arc::default());
        links
            .iter()
            .filter(|link| link.is_open())
            .inspect(|link| link.cut())
            .count()
    }

    /// How many links are open.
    pub fn open(&self) -> usize {
        self.links.load().iter().filter(|l| l.is_open()).count()
    }

    /// Streams open on all links.
    pub fn in_flight(&self) -> usize {
        self.links.load().iter().map(Link::in_flight).sum()
    }

    /// The best link for the next stream: open, with room, not beside traffic of the other kind, on the calling worker if
    /// possible, less busy by dozens.
    pub fn pick(&self, traffic: Traffic) -> Option<Link> {
        let links = self.links.load();
        links
            .iter()
            .filter(|link| link.is_open())
            .min_by_key(|link| {
                (
                    !link.has_room(),
                    !link.suits(traffic),
                    !link.is_near(),
                    link.in_flight() / ABREAST,
                )
            })
            .cloned()
    }
}
