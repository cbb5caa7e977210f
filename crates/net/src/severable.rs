//! A connection that can be ended from outside, whoever owns it by then. hyper keeps an HTTP/2 connection in a task of
//! its own for as long as any stream on it lives, and has no call to end it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

/// A connection with its [`Knife`].
#[derive(Debug)]
pub(crate) struct Severable<I> {
    io: I,
    knife: Arc<Knife>,
    heard: bool,
}

/// Ends the connection it was made with.
#[derive(Debug, Default)]
pub(crate) struct Knife {
    cut: AtomicBool,
    /// Whoever waits for the connection. One is enough: an HTTP/2 connection is read and written by one task.
    waiting: AtomicWaker,
    first_word: Notify,
}

impl Knife {
    /// From now on reading and writing fail; who waits for either is woken.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.waiting.wake();
    }

    /// Resolves, once, when the other side has sent its first bytes.
    pub(crate) async fn first_word(&self) {
        self.first_word.notified().await;
    }

    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Acquire) {
            Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the connection was cut",
            ))
        } else {
            Ok(())
        }
    }

    /// Asks `poll`, unless the connection is cut, and remembers who waits for it.
    fn guard<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.check()?;
        let polled = poll(cx);
        if polled.is_pending() {
            self.waiting.register(cx.waker());
            // It may have been cut while nobody was registered.
            self.check()?;
        }
        polled
    }
}

impl<I> Severable<I> {
    pub(crate) fn new(io: I) -> (Self, Arc<Knife>) {
        let knife = Arc::new(Knife::default());
        (
            Self {
                io,
                knife: knife.clone(),
                heard: false,
            },
            knife,
        )
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Severable<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, knife, heard } = self.get_mut();
        ready!(knife.guard(cx, |cx| Pin::new(io).poll_read(cx, buffer)))?;
        if !*heard {
            *heard = true;
            knife.first_word.notify_one();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Severable<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { io, knife, .. } = self.get_mut();
        knife.guard(cx, |cx| Pin::new(io).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { io, knife, .. } = self.get_mut();
        knife.guard(cx, |cx| Pin::new(io).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, knife, .. } = self.get_mut();
        knife.guard(cx, |cx| Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, knife, .. } = self.get_mut();
        knife.guard(cx, |cx| Pin::new(io).poll_shutdown(cx))
    }
}
