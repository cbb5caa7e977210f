//! One HTTP POST to a responder (RFC 6960, appendix A), on a connection of its own. Nothing goes along but the question: no
//! credentials, no user of the URL, and a redirect is no answer.

use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use mk8s_tls::{Roots, ServerName, TlsConnector, ocsp::MAX_RESPONSE_BYTES};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("its address {0:?} isn't one of http:// or https://")]
    Address(String),
    #[error("it can't be reached: {0}")]
    Connect(std::io::Error),
    #[error("TLS can't be used: {0}")]
    Tls(String),
    #[error("the connection failed: {0}")]
    Http(#[from] hyper::Error),
    #[error("it answers with {0}")]
    Status(StatusCode),
    #[error("its answer broke off, or is larger than {MAX_RESPONSE_BYTES} bytes: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// Sends a question and gives the answer's body.
pub(super) async fn post(url: &str, question: Vec<u8>) -> Result<Vec<u8>, PostError> {
    let bad = || PostError::Address(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let host = uri.host().ok_or_else(bad)?;
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let is_tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(bad()),
    };
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let place = uri
        .port_u16()
        .map_or(host.to_owned(), |port| format!("{host}:{port}"));
    let request = Request::post(path)
        .header(header::HOST, place)
        .header(header::CONTENT_TYPE, "application/ocsp-request")
        .header(header::ACCEPT, "application/ocsp-response")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(question)))
        .map_err(|_| bad())?;
    let stream = TcpStream::connect((name, port))
        .await
        .map_err(PostError::Connect)?;
    if !is_tls {
        return over(stream, request).await;
    }
    let tls = |error: &dyn std::fmt::Display| PostError::Tls(error.to_string());
    let config = mk8s_tls::client::config(&Roots::System, None, &[b"http/1.1"]).map_err(|e| tls(&e))?;
    let server = ServerName::try_from(name.to_owned()).map_err(|e| tls(&e))?;
    let stream = TlsConnector::from(config).connect(server, stream).await;
    over(stream.map_err(|e| tls(&e))?, request).await
}

async fn over<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Vec<u8>, PostError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with this function, however it ends.
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(PostError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES)
        .collect()
        .await;
    Ok(body.map_err(PostError::Body)?.to_bytes().to_vec())
}
