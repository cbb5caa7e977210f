//! When the other side is gone, or we are about to go.
//!
//! rmcp answers what was asked before standard input ended, and so waits for a while for what is being answered. A subscription has no
//! answer before its end: it must be told.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::Server;

/// Cancelled when the server is dropped, at the latest.
#[derive(Debug, Default)]
pub(super) struct Gone(CancellationToken);

impl Gone {
    pub(super) fn token(&self) -> CancellationToken {
        self.0.child_token()
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What is read of the one client that there is, whose end ends subscriptions.
#[derive(Debug)]
pub struct Hearing<R> {
    from: R,
    gone: CancellationToken,
}

impl Server {
    /// Ends all subscriptions, and those that are yet to come: before the server stops.
    pub fn end_subscriptions(&self) {
        self.0.gone.0.cancel();
    }

    /// What is read of the one client that there is: for standard input.
    pub fn hearing<R>(&self, from: R) -> Hearing<R> {
        Hearing {
            from,
            gone: self.0.gone.0.clone(),
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Hearing<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let read = ready!(Pin::new(&mut self.from).poll_read(cx, buf));
        if read.is_err() || (room > 0 && buf.filled().len() == before) {
            self.gone.cancel();
        }
        Poll::Ready(read)
    }
}
