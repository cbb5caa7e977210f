//! Fewer, fuller writes under HTTP/2. Each write is a TLS record and a system call, and both cost more than the bytes.
//!
//! h2 copies frames together until one comes that it won't copy, and writes then. Which it copies depends on what it is
//! told about the connection: frames below 256 bytes if several buffers can be written at once, below 1 KiB if not. An
//! answer of a few hundred bytes is most of what Kubernetes says, so the second is better; but then the head of each large
//! frame is written by itself. Here it waits for the rest.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is held back for what follows, in bytes: the head of a large frame, with what h2 puts in front of it.
const HELD: usize = 2 * 1024;

/// A connection whose small writes wait for the next one, or for the flush, with which h2 ends each batch.
#[derive(Debug)]
pub(crate) struct Combined<I> {
    io: I,
    /// Taken from the writer and not written yet. Without memory of its own while it is empty: most connections are idle.
    held: Vec<u8>,
    /// How much of it has been written.
    written: usize,
}

impl<I> Combined<I> {
    pub(crate) fn new(io: I) -> Self {
        Self {
            io,
            held: Vec::new(),
            written: 0,
        }
    }
}

impl<I: AsyncWrite + Unpin> Combined<I> {
    /// Notes that `count` bytes were written of what is held and of what came behind it. Returns how many of the latter.
    fn advance(&mut self, count: usize) -> usize {
        let left = self.held.len() - self.written;
        if count < left {
            self.written += count;
            return 0;
        }
        self.held = Vec::new();
        self.written = 0;
        count - left
    }

    fn poll_write_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.held.len() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.held[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Combined<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Combined<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.held.len() + bytes.len() <= HELD {
            this.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        while !this.held.is_empty() {
            let both = [IoSlice::new(&this.held[this.written..]), IoSlice::new(bytes)];
            let count = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, &both))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let taken = this.advance(count);
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
        Pin::new(&mut this.io).poll_write(cx, bytes)
    }

    /// See the module: said for h2 to hear.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_held(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_held(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Takes as many bytes as its plan says, or none now; notes what and in how many calls.
    #[derive(Default)]
    struct Sink {
        plan: Vec<usize>,
        calls: usize,
        bytes: Vec<u8>,
    }

    impl AsyncWrite for Sink {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let room = self.plan.pop().unwrap_or(usize::MAX);
            if room == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.calls += 1;
            let all: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
            let taken = all.len().min(room);
            self.bytes.extend_from_slice(&all[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(future)
    }

    #[test]
    fn a_frames_head_goes_out_with_its_payload() {
        let mut io = Combined::new(Sink::default());
        run(async {
            io.write_all(&[1; 1024]).await.expect("written");
            assert_eq!(io.io.calls, 0, "waits for what follows");
            io.write_all(&[2; 15 * 1024]).await.expect("written");
            assert_eq!((io.io.calls, io.io.bytes.len()), (1, 16 * 1024));
            io.write_all(&[3; 9]).await.expect("written");
            io.flush().await.expect("written");
            assert_eq!((io.io.calls, io.io.bytes.len()), (2, 16 * 1024 + 9));
        });
        assert_eq!(io.held.capacity(), 0, "an idle connection holds nothing");
    }

    #[test]
    fn what_is_held_is_written_before_the_end() {
        let mut io = Combined::new(Sink::default());
        run(async {
            io.write_all(b"the end").await.expect("written");
            io.shutdown().await.expect("shut");
        });
        assert_eq!(io.io.bytes, b"the end");
    }

    #[test]
    fn a_connection_that_takes_nothing_more_is_an_error() {
        struct Full;
        impl AsyncWrite for Full {
            fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
                Poll::Ready(Ok(0))
            }
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
        let mut io = Combined::new(Full);
        run(async {
            io.write_all(b"held").await.expect("held");
            let error = io.flush().await.expect_err("nothing is taken");
            assert_eq!(error.kind(), io::ErrorKind::WriteZero);
            let error = io.write_all(&[0; 4096]).await.expect_err("nothing is taken");
            assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        });
    }

    proptest! {
        #[test]
        fn bytes_arrive_whole_and_in_order(
            writes in prop::collection::vec((0_usize..5_000, any::<bool>()), 1..20),
            plan in prop::collection::vec(prop_oneof![Just(0), 1_usize..4_000], 0..60),
        ) {
            let mut io = Combined::new(Sink { plan, ..Sink::default() });
            let mut expected = Vec::new();
            run(async {
                for (number, (length, flush)) in writes.into_iter().enumerate() {
                    let bytes: Vec<u8> = (0..length).map(|at| (at * 31 + number) as u8).collect();
                    io.write_all(&bytes).await.expect("written");
                    expected.extend(bytes);
                    if flush {
                        io.flush().await.expect("written");
                        assert_eq!(io.io.bytes, expected);
                    }
                }
                io.shutdown().await.expect("shut");
            });
            prop_assert_eq!(io.io.bytes, expected);
        }
    }
}
