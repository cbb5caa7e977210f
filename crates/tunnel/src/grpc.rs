//! gRPC over a [`Link`], whichever side dialled it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use mk8s_net::{
    Body,
    link::{Link, LinkBody, SendError},
};

/// A link as the transport of a generated gRPC client. Give the client an origin
/// (`…Client::with_origin(channel, uri)`), which becomes scheme and authority of its calls.
#[derive(Clone, Debug)]
pub struct Channel(Link);

impl Channel {
    /// Calls over this link.
    pub fn new(link: Link) -> Self {
        Self(link)
    }
}

impl tower::Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<LinkBody>;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, SendError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        // A link queues by itself, and says so by an error if it is gone.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let mut link = self.0.clone();
        Box::pin(async move { link.send(request.map(Body::boxed)).await })
    }
}

/// Serves a generated gRPC service on a request that a door received.
pub async fn serve<S>(mut service: S, request: Request<hyper::body::Incoming>) -> Response<Body>
where
    S: tower::Service<
            Request<hyper::body::Incoming>,
            Response = Response<tonic::body::Body>,
            Error = std::convert::Infallible,
        >,
{
    match service.call(request).await {
        Ok(response) => response.map(Body::boxed),
        Err(never) => match never {},
    }
}
