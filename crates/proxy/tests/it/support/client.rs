//! A client of either protocol.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mk8s_net::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};

use crate::support::HTTP2;

pub(crate) struct Client {
    sender: Sender,
    driving: JoinHandle<()>,
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Client {
    pub(crate) async fn over<I>(io: I, alpn: &[u8]) -> Self
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if alpn == HTTP2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .max_header_list_size(1 << 20)
                .initial_connection_window_size(1 << 30)
                .handshake(TokioIo::new(io))
                .await
                .expect("HTTP/2");
            let driving = tokio::spawn(async move { drop(connection.await) });
            Self {
                sender: Sender::Http2(sender),
                driving,
            }
        } else {
            let (sender, connection) = http1::handshake(TokioIo::new(io)).await.expect("HTTP/1.1");
            let driving = tokio::spawn(async move { drop(connection.with_upgrades().await) });
            Self {
                sender: Sender::Http1(sender),
                driving,
            }
        }
    }

    pub(crate) async fn try_send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                // HTTP/1.1 knows no absolute target but for proxies.
                let (mut parts, body) = request.into_parts();
                parts
                    .headers
                    .entry("host")
                    .or_insert_with(|| "localhost".parse().expect("a value"));
                parts.uri = parts.uri.path_and_query().expect("a path").clone().into();
                sender.send_request(Request::from_parts(parts, body)).await
            }
            Sender::Http2(sender) => sender.clone().send_request(request).await,
        }
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        self.try_send(request).await.expect("an answer")
    }

    /// Goes away without a word.
    pub(crate) fn vanish(self) {
        self.driving.abort();
    }
}

pub(crate) fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .body(body)
        .expect("a request")
}

pub(crate) fn get(path: &str) -> Request<Body> {
    request(Method::GET, path, Body::empty())
}

pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Body> {
    request(Method::POST, path, Body::full(body))
}

pub(crate) async fn body_text(response: Response<Incoming>) -> String {
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// An answer that must be a Kubernetes `Status`.
pub(crate) async fn status_json(response: Response<Incoming>) -> serde_json::Value {
    assert_eq!(response.headers()["content-type"], "application/json");
    let code = response.status().as_u16();
    let json: serde_json::Value = serde_json::from_str(&body_text(response).await).expect("JSON");
    assert_eq!(
        (&json["kind"], &json["status"], &json["code"]),
        (&"Status".into(), &"Failure".into(), &code.into())
    );
    json
}
