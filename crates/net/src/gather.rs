//! Joining the pieces of a stream that are there already. Logs come a line at a time, and each line passed on alone costs a
//! frame, a TLS record and a system call on every hop; joined, they cost one copy. Nothing is waited for, so that a line
//! that comes alone goes at once, and a stream that falls behind gets cheaper.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// What is joined at most, in bytes: what a TLS record holds.
const FULL: usize = 16 * 1024;

/// A body whose pieces are joined. They differ from the original's in length alone.
#[derive(Debug)]
pub struct Gathered<B: HttpBody> {
    body: B,
    /// What came while there was something to be delivered first: a piece that didn't fit, trailers, an error or the end.
    next: Option<Option<Result<Frame<Bytes>, B::Error>>>,
}

impl<B: HttpBody> Gathered<B> {
    /// The same body, in fewer pieces.
    pub fn new(body: B) -> Self {
        Self { body, next: None }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Gathered<B>
where
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let first = match this.next.take() {
            Some(next) => next,
            None => std::task::ready!(Pin::new(&mut this.body).poll_frame(cx)),
        };
        let first = match first.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => data,
            Some(Ok(Err(frame))) => return Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        let mut joined = Joined::One(first);
        while joined.len() < FULL && !this.body.is_end_stream() {
            let Poll::Ready(next) = Pin::new(&mut this.body).poll_frame(cx) else {
                break;
            };
            match next.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) if joined.len() + data.len() <= FULL => joined.push(&data),
                Some(Ok(Ok(data))) => {
                    this.next = Some(Some(Ok(Frame::data(data))));
                    break;
                }
                Some(Ok(Err(frame))) => {
                    this.next = Some(Some(Ok(frame)));
                    break;
                }
                Some(Err(error)) => {
                    this.next = Some(Some(Err(error)));
                    break;
                }
                None => {
                    this.next = Some(None);
                    break;
                }
            }
        }
        Poll::Ready(Some(Ok(Frame::data(joined.into_bytes()))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // A length that the other side announced is checked by HTTP itself; what is held here would have to be added.
        match &self.next {
            None => self.body.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

/// Copied only once there is a second piece.
enum Joined {
    One(Bytes),
    More(BytesMut),
}

impl Joined {
    fn len(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::More(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, data: &[u8]) {
        if let Self::One(first) = self {
            let mut both = BytesMut::with_capacity(FULL);
            both.extend_from_slice(first);
            *self = Self::More(both);
        }
        if let Self::More(bytes) = self {
            bytes.extend_from_slice(data);
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::One(bytes) => bytes,
            Self::More(bytes) => bytes.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::{FutureExt as _, future::poll_fn};
    use http::HeaderMap;
    use http_body_util::BodyExt as _;

    use super::*;

    /// What comes, piece by piece; `None` is a pause.
    struct Pieces(VecDeque<Option<Result<Frame<Bytes>, &'static str>>>);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            match self.0.pop_front() {
                Some(Some(piece)) => Poll::Ready(Some(piece)),
                Some(None) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                None => Poll::Ready(None),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn gathered(
        pieces: impl IntoIterator<Item = Option<Result<Frame<Bytes>, &'static str>>>,
    ) -> Gathered<Pieces> {
        Gathered::new(Pieces(pieces.into_iter().collect()))
    }

    fn data(length: usize) -> Option<Result<Frame<Bytes>, &'static str>> {
        Some(Ok(Frame::data(vec![b'x'; length].into())))
    }

    /// The length of the next piece; none if there is none now.
    fn length(body: &mut Gathered<Pieces>) -> Option<usize> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).now_or_never()??;
        Some(frame.expect("no error").data_ref().expect("data").len())
    }

    #[test]
    fn what_is_there_is_joined_and_nothing_is_waited_for() {
        let mut body = gathered([data(10), data(20), None, data(30)]);
        assert_eq!(length(&mut body), Some(30));
        assert_eq!(length(&mut body), Some(30));
        assert!(body.is_end_stream());
        let mut body = gathered([None, data(1)]);
        assert_eq!(length(&mut body), None);
        assert_eq!(length(&mut body), Some(1));
    }

    #[test]
    fn no_piece_grows_beyond_the_bound() {
        let mut body = gathered([data(FULL - 1), data(2), data(FULL), data(3 * FULL), data(1)]);
        let lengths: Vec<_> = std::iter::from_fn(|| length(&mut body)).collect();
        assert_eq!(lengths, [FULL - 1, 2, FULL, 3 * FULL, 1]);
    }

    #[test]
    fn trailers_and_errors_come_after_what_was_before_them() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("1"))]);
        let mut body = gathered([data(1), data(2), Some(Ok(Frame::trailers(trailers)))]);
        assert_eq!(length(&mut body), Some(3));
        assert!(!body.is_end_stream());
        let next = body
            .frame()
            .now_or_never()
            .flatten()
            .expect("more")
            .expect("no error");
        assert!(next.is_trailers());
        assert!(body.is_end_stream());

        let mut body = gathered([data(1), data(2), Some(Err("cut short"))]);
        assert_eq!(length(&mut body), Some(3));
        assert!(!body.is_end_stream(), "cut short is not complete");
        assert_eq!(
            body.frame().now_or_never().flatten().expect("more").err(),
            Some("cut short")
        );
    }
}
