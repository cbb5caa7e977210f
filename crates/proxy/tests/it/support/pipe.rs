//! A body that a test writes piece by piece.

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use mk8s_net::{Body, BoxError};
use tokio::sync::mpsc;

/// The writing end. Dropping it ends the body; [`Pipe::fail`] breaks it off.
#[derive(Debug)]
pub(crate) struct Pipe(mpsc::Sender<Result<Frame<Bytes>, BoxError>>);

pub(crate) fn pipe() -> (Pipe, Body) {
    let (sender, mut frames) = mpsc::channel(1);
    let stream = futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx));
    (Pipe(sender), Body::boxed(StreamBody::new(stream)))
}

impl Pipe {
    /// Writes a piece, once there is room. Returns whether somebody still reads.
    pub(crate) async fn send(&self, bytes: impl Into<Bytes>) -> bool {
        self.0.send(Ok(Frame::data(bytes.into()))).await.is_ok()
    }

    /// Ends the body with trailers.
    pub(crate) async fn finish_with(self, trailers: HeaderMap) {
        let _ = self.0.send(Ok(Frame::trailers(trailers))).await;
    }

    /// Breaks the body off.
    pub(crate) async fn fail(self) {
        let _ = self.0.send(Err("broken off by the test".into())).await;
    }

    /// Resolves when nobody reads any more.
    pub(crate) async fn abandoned(&self) {
        self.0.closed().await;
    }
}
