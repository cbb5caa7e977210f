//! A request: sealed for one of the server's keys, and signed by its client.

use bytes::Bytes;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{
    Config, base64,
    crypto::{Key, Unsealable},
    server_key::ServerKey,
};

/// What we speak: the protocol as the official Rust SDK of this version does. The service refuses versions that it doesn't know.
const CLIENT_VERSION: &str = "mr17.3.0";

/// A request, ready to be sent.
pub(crate) struct Sealed {
    pub(crate) headers: [(&'static str, String); 4],
    pub(crate) body: Bytes,
    /// What the reply will be encrypted with.
    pub(crate) key: Key,
}

/// Seals a request for everything, which is the same for records and folders.
pub(crate) fn seal(config: &Config, server_key: &ServerKey) -> Result<Sealed, Unsealable> {
    let payload = Payload {
        client_version: CLIENT_VERSION,
        client_id: config.client_id.expose_secret(),
    };
    let payload = serde_json::to_vec(&payload).map_err(|_| Unsealable)?;
    let key = Key::random()?;
    let encrypted_key = server_key.point.seal(&key)?;
    let body = key.seal(&payload)?;
    let signature = config.signer.sign(&[&encrypted_key[..], &body].concat())?;
    Ok(Sealed {
        headers: [
            ("Content-Type", "application/octet-stream".to_owned()),
            ("PublicKeyId", server_key.id.clone()),
            ("TransmissionKey", base64::encode(&encrypted_key)),
            (
                "Authorization",
                format!("Signature {}", base64::encode(&signature)),
            ),
        ],
        body: body.into(),
        key,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'c> {
    client_version: &'static str,
    client_id: &'c str,
}
