//! One body type for the whole path, so that the common case (a stream straight from hyper) costs no box.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

/// Whatever went wrong in the middle of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's or answer's body.
#[derive(Debug)]
pub struct Body(Kind);

enum Kind {
    Empty,
    Full(Option<Bytes>),
    Http1(Incoming),
    Http2(Incoming),
    Boxed(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::Http1(_) => "Http1",
            Self::Http2(_) => "Http2",
            Self::Boxed(_) => "Boxed",
        })
    }
}

impl Body {
    /// No body at all.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A body that is there already.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::empty()
        } else {
            Self(Kind::Full(Some(bytes)))
        }
    }

    /// The body of a request that came in on a connection we serve. Over HTTP/2 it differs from hyper's own in one
    /// thing: a body whose stream was reset is an error, whatever the reason.
    pub fn from_request(request: Request<Incoming>) -> Request<Self> {
        let is_http2 = request.version() == Version::HTTP_2;
        request.map(|body| {
            Self(if is_http2 {
                Kind::Http2(body)
            } else {
                Kind::Http1(body)
            })
        })
    }

    /// The body of an answer that came over HTTP/1.1.
    pub fn from_http1(incoming: Incoming) -> Self {
        Self(Kind::Http1(incoming))
    }

    /// Any other body, at the price of a box.
    pub fn boxed<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Boxed(Box::pin(http_body_util::BodyExt::map_err(
            body,
            Into::into,
        ))))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Kind::Http1(body) => {
                Poll::Ready(ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into)))
            }
            Kind::Http2(body) => poll_http2(body, cx),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Http1(body) | Kind::Http2(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Http1(body) | Kind::Http2(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

/// The next frame of a body that comes over HTTP/2. hyper takes a reset with NO_ERROR for the end, as that of an answer
/// that came before its request was read may be; but only END_STREAM says that a message is whole (RFC 9113, 8.1), and
/// what was cut short must never look complete to whoever it is passed on to.
pub(crate) fn poll_http2(
    body: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    match ready!(Pin::new(&mut *body).poll_frame(cx)) {
        Some(frame) => Poll::Ready(Some(frame.map_err(Into::into))),
        None if body.is_end_stream() => Poll::Ready(None),
        None => Poll::Ready(Some(Err("the stream was reset before the body's end".into()))),
    }
}
