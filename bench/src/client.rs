//! The client: HTTP/2 over TLS, as client-go speaks it.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mk8s_tls::{ClientConfig, Roots, ServerName, TlsConnector};
use tokio::net::TcpStream;

/// Where to ask, and as whom. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    /// Scheme, authority, and what stands before the API server's own path.
    base: String,
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// An HTTPS server whose certificate is of one of these authorities (PEM).
    pub(crate) fn new(address: SocketAddr, authorities: &[u8]) -> anyhow::Result<Self> {
        let tls = mk8s_tls::client::config(&Roots::Pem(authorities.to_vec()), None, &[b"h2"])?;
        Ok(Self {
            address,
            tls,
            base: format!("https://{address}"),
            authorization: None,
        })
    }

    /// The same, below a path.
    pub(crate) fn below(mut self, prefix: &str) -> Self {
        self.base.push_str(prefix);
        self
    }

    /// The same, with a token.
    pub(crate) fn with_token(mut self, token: &str) -> anyhow::Result<Self> {
        let value = HeaderValue::from_str(&format!("Bearer {token}"))?;
        self.authorization = Some(value);
        Ok(self)
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("can't reach {}", self.base))?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            bail!("{} does not speak HTTP/2", self.base);
        }
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // Those of Go's client.
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(1 << 30)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        Ok(Connection {
            sender,
            target: self.clone(),
        })
    }
}

/// An HTTP/2 connection. Its clones send on the same one; it closes with the last of them and the last answer.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
    target: Target,
}

impl Connection {
    /// Asks for something, and returns as soon as the answer's head is there.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Response<Incoming>> {
        self.send(self.request(Method::GET, path, Bytes::new())?).await
    }

    /// Asks for something, and reads all of the answer without keeping it. Returns its length in bytes.
    pub(crate) async fn fetch(&mut self, path: &str) -> anyhow::Result<usize> {
        let mut body = self.get(path).await?.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(length)
    }

    /// Asks for something short.
    pub(crate) async fn text(&mut self, path: &str) -> anyhow::Result<String> {
        let body = self.get(path).await?.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8(body.to_vec())?)
    }

    /// Sends JSON, and reads JSON.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        self.ask(path, body, &[]).await
    }

    /// The same, with more headers.
    pub(crate) async fn ask(
        &mut self,
        path: &str,
        body: &serde_json::Value,
        headers: &[(&'static str, &'static str)],
    ) -> anyhow::Result<serde_json::Value> {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.json(Method::POST, path, &headers, body.to_string()).await
    }

    /// Changes an object by a JSON merge patch.
    pub(crate) async fn merge(
        &mut self,
        path: &str,
        patch: &serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        let headers = [("content-type", "application/merge-patch+json")];
        self.json(Method::PATCH, path, &headers, patch.to_string()).await
    }

    /// Reads JSON, however long it is.
    pub(crate) async fn read(&mut self, path: &str) -> anyhow::Result<serde_json::Value> {
        self.json(Method::GET, path, &[], String::new()).await
    }

    async fn json(
        &mut self,
        method: Method,
        path: &str,
        more: &[(&'static str, &'static str)],
        body: String,
    ) -> anyhow::Result<serde_json::Value> {
        let mut request = self.request(method, path, body.into())?;
        let headers = request.headers_mut();
        for (name, value) in more {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        // What is read here needn't be unpacked.
        headers.remove(header::ACCEPT_ENCODING);
        let answer = self.send(request).await?.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&answer)?)
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.target.base))
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(
                header::USER_AGENT,
                "kubectl/v1.36.3 (linux/amd64) kubernetes/0123456",
            );
        if let Some(authorization) = &self.target.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        Ok(request.body(Full::new(body))?)
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        let uri = request.uri().clone();
        let response = self
            .sender
            .send_request(request)
            .await
            .with_context(|| format!("{uri}"))?;
        let status = response.status();
        if !status.is_success() {
            let said = response.into_body().collect().await?.to_bytes();
            bail!("{uri} was answered {status}: {}", String::from_utf8_lossy(&said));
        }
        Ok(response)
    }
}
