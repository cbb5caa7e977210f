//! Splicing two upgraded connections: bytes go both ways until both ends are done, through fixed buffers.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Per direction, in bytes. SPDY and WebSocket frames of `kubectl cp` are 32 KiB at most.
const BUFFER: usize = 32 * 1024;

/// Which side of a splice broke.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The client's.
    #[error("the client's connection broke: {0}")]
    Client(#[source] io::Error),
    /// The upstream's.
    #[error("the upstream's connection broke: {0}")]
    Upstream(#[source] io::Error),
}

/// Copies both ways until both directions ended or one side broke. `to_client` counts the bytes that went to the client, so
/// that it is known however the splice ends.
///
/// # Errors
/// [`Broken`], with which side and why.
pub async fn splice(client: Upgraded, upstream: Upgraded, to_client: &AtomicU64) -> Result<(), Broken> {
    let from_client = AtomicU64::new(0);
    let mut client = Side {
        io: TokioIo::new(client),
        written: to_client,
        failed: false,
    };
    let mut upstream = Side {
        io: TokioIo::new(upstream),
        written: &from_client,
        failed: false,
    };
    let copied = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await;
    copied.map(drop).map_err(|error| {
        if client.failed {
            Broken::Client(error)
        } else {
            Broken::Upstream(error)
        }
    })
}

/// One side, with what happened on it.
struct Side<'a> {
    io: TokioIo<Upgraded>,
    written: &'a AtomicU64,
    failed: bool,
}

impl Side<'_> {
    fn noting<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut TokioIo<Upgraded>>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let polled = poll(Pin::new(&mut self.io));
        self.failed |= matches!(polled, Poll::Ready(Err(_)));
        polled
    }
}

impl AsyncRead for Side<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.noting(|io| io.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Side<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.noting(|io| io.poll_write(cx, bytes));
        if let Poll::Ready(Ok(count)) = &polled {
            self.written.fetch_add(*count as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.noting(|io| io.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.noting(|io| io.poll_shutdown(cx))
    }
}
