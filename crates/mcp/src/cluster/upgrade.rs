//! Connections into pods: a WebSocket (RFC 6455) whose messages begin with the number of a channel
//! (`k8s.io/apimachinery/pkg/util/remotecommand`).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{ApiError, Cluster, refused};
use crate::{guard::Warrant, plan::Approved};

/// The longest message that is taken, in bytes. Kubelets write no more than 32 KiB at once.
const LONGEST: usize = 1 << 20;

/// The channels of a command (`v5.channel.k8s.io`), and of a port, whose data is on the first and whose errors on the second.
pub(crate) mod channels {
    /// What a command says.
    pub(crate) const OUT: u8 = 1;
    /// What it complains of.
    pub(crate) const ERRORS: u8 = 2;
    /// How it ended: a `Status`.
    pub(crate) const END: u8 = 3;
    /// What goes through a port.
    pub(crate) const DATA: u8 = 0;
    /// What is wrong with a port.
    pub(crate) const TROUBLE: u8 = 1;
}

/// Bytes both ways.
pub trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for S {}

/// A connection that was switched.
pub struct Upgraded {
    /// What was answered to the wish.
    pub headers: HeaderMap,
    /// Its bytes from then on.
    pub stream: Box<dyn Bytestream>,
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgraded")
    }
}

/// Messages both ways, each on a channel. Dropped, the connection ends.
pub(crate) struct Frames(WebSocketStream<Box<dyn Bytestream>>);

impl Cluster {
    /// Enters a pod, if somebody approved of it.
    pub(crate) async fn enter(
        &self,
        approved: &Approved,
        protocol: &'static str,
    ) -> Result<Frames, ApiError> {
        let mut request = self.request(approved.wire(), "*/*", Warrant::Approved(approved))?;
        let key = STANDARD.encode(rand::random::<[u8; 16]>());
        let expected = derive_accept_key(key.as_bytes());
        let key = HeaderValue::from_str(&key).map_err(|error| ApiError::Unreadable(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        let upgraded = match self.clusters.upgrade(&self.call, &self.name, request).await {
            Ok(upgraded) => upgraded,
            Err(response) => return Err(refused(response).await),
        };
        let is = |name: HeaderName, wanted: &str| {
            upgraded
                .headers
                .get(name)
                .is_some_and(|value| value.as_bytes() == wanted.as_bytes())
        };
        if !is(header::SEC_WEBSOCKET_ACCEPT, &expected) || !is(header::SEC_WEBSOCKET_PROTOCOL, protocol) {
            return Err(ApiError::Unreadable(format!("it doesn't speak {protocol}")));
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST))
            .max_frame_size(Some(LONGEST));
        let stream = WebSocketStream::from_raw_socket(upgraded.stream, Role::Client, Some(config)).await;
        Ok(Frames(stream))
    }
}

impl Frames {
    /// The next message and its channel; None at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<(u8, Bytes), ApiError>> {
        loop {
            let message = match self.0.next().await? {
                Ok(Message::Binary(bytes)) => bytes,
                Ok(Message::Text(text)) => Bytes::from(text),
                Ok(Message::Close(_)) => return None,
                Ok(_) => continue,
                Err(error) => return Some(Err(ApiError::Broken(error.to_string()))),
            };
            if let Some(channel) = message.first() {
                return Some(Ok((*channel, message.slice(1..))));
            }
        }
    }

    /// Sends a message on a channel.
    pub(crate) async fn send(&mut self, channel: u8, bytes: &[u8]) -> Result<(), ApiError> {
        let mut message = Vec::with_capacity(bytes.len() + 1);
        message.push(channel);
        message.extend_from_slice(bytes);
        self.0
            .send(Message::Binary(message.into()))
            .await
            .map_err(|error| ApiError::Broken(error.to_string()))
    }
}
