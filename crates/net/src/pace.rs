//! Small requests before large streams. A log that is read as fast as it goes keeps the API server, the kubelet and every
//! hop busy, and whoever asks the same API server for something small waits behind it on each. So a large stream is let
//! through in bursts while others ask, and held back between them: its sender stalls on flow control (RFC 9113, 5.2), works
//! less often, and sends more at a time. Beside nobody it goes as fast as it can.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::link::StreamCounters;

/// Bytes that go through at a time beside others' requests.
const BURST: usize = 128 * 1024;
/// From one burst to the next: with [`BURST`], 8 MB/s. Faster than anybody reads a log.
const PERIOD: Duration = Duration::from_millis(16);
/// How long after a small request somebody still counts as being there: who asks, asks again.
const COMPANY: Duration = Duration::from_millis(128);

/// A body that gives way to the small requests beside it.
#[derive(Debug)]
pub struct Paced<B> {
    body: B,
    counters: Arc<StreamCounters>,
    /// What is left of this burst, in bytes.
    left: usize,
    /// When this burst began.
    begun: Instant,
    /// [`StreamCounters::brief`] as last looked at.
    seen: u64,
    /// When somebody was last seen to have asked.
    company: Option<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<B> Paced<B> {
    /// The same body, giving way to [`Traffic::Brief`](crate::link::Traffic::Brief) on the links that share `counters`.
    pub fn new(body: B, counters: Arc<StreamCounters>) -> Self {
        Self {
            body,
            left: BURST,
            begun: Instant::now(),
            seen: counters.brief(),
            company: None,
            counters,
            pause: None,
        }
    }

    /// Ready once something may go through.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.left > 0 {
            return Poll::Ready(());
        }
        if self.pause.is_none() && self.has_company() {
            self.pause = Some(Box::pin(sleep_until(self.begun + PERIOD)));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        self.left = BURST;
        self.begun = Instant::now();
        Poll::Ready(())
    }

    fn has_company(&mut self) -> bool {
        let brief = self.counters.brief();
        if brief != self.seen {
            self.seen = brief;
            self.company = Some(Instant::now());
        }
        self.company.is_some_and(|at| at.elapsed() < COMPANY)
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Paced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        ready!(this.poll_turn(cx));
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.left = this.left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::BoxError;

    /// How long `length` bytes take, while `ask` is called before each piece.
    async fn duration(length: usize, counters: &Arc<StreamCounters>, ask: impl Fn()) -> Duration {
        let pieces = vec![Bytes::from_static(&[0; 16 * 1024]); length / (16 * 1024)];
        let stream = futures_util::stream::iter(
            pieces
                .into_iter()
                .map(|piece| Ok::<_, BoxError>(Frame::data(piece))),
        );
        let mut body = Paced::new(http_body_util::StreamBody::new(stream), counters.clone());
        let begun = Instant::now();
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame.expect("no error").data_ref().expect("data").len();
            ask();
        }
        assert_eq!(read, length, "nothing is lost");
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn beside_nobody_nothing_is_held_back() {
        let counters = Arc::default();
        assert_eq!(duration(64 * BURST, &counters, || {}).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn beside_small_requests_a_large_stream_goes_in_bursts() {
        let counters = Arc::<StreamCounters>::default();
        let took = duration(64 * BURST, &counters, || counters.note_brief()).await;
        assert_eq!(took, PERIOD * 64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_slow_anyway_waits_for_nothing() {
        let counters = Arc::<StreamCounters>::default();
        let stream = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(PERIOD).await;
            Some((
                Ok::<_, BoxError>(Frame::data(Bytes::from_static(&[0; BURST]))),
                (),
            ))
        });
        let mut body = Paced::new(
            http_body_util::StreamBody::new(Box::pin(stream)),
            counters.clone(),
        );
        let begun = Instant::now();
        for _ in 0..10 {
            counters.note_brief();
            body.frame().await.expect("more").expect("no error");
        }
        assert_eq!(begun.elapsed(), PERIOD * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_others_are_gone_it_goes_at_full_speed_again() {
        let counters = Arc::<StreamCounters>::default();
        counters.note_brief();
        let took = duration(1024 * BURST, &counters, || {}).await;
        assert!(took <= COMPANY + PERIOD, "{took:?}");
    }
}
