//! What travels: a request sealed for one of the server's keys and signed by its client, and the error documents.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::crypto::{self, Key, Recipient};

/// The key id that clients begin with, unless they are told another.
const FIRST_KEY: u32 = 10;

/// The server's own keys. One is current; clients that use an older one are told so.
#[derive(Debug)]
pub(super) struct ServerKeys {
    pairs: BTreeMap<u32, Recipient>,
}

impl ServerKeys {
    pub(super) fn new() -> Self {
        Self {
            pairs: BTreeMap::from([(FIRST_KEY, Recipient::generate())]),
        }
    }

    /// Makes another key the current one.
    pub(super) fn rotate(&mut self) -> u32 {
        let id = self.current().0 + 1;
        self.pairs.insert(id, Recipient::generate());
        id
    }

    pub(super) fn current(&self) -> (u32, &Recipient) {
        let (id, pair) = self.pairs.last_key_value().expect("there is always one");
        (*id, pair)
    }

    /// Each id with its public key, as clients are given it.
    pub(super) fn public(&self) -> BTreeMap<String, String> {
        self.pairs
            .iter()
            .map(|(id, pair)| (id.to_string(), crypto::encode_url(pair.public())))
            .collect()
    }
}

/// A request as it came.
#[derive(Debug)]
pub(super) struct Sealed {
    key_id: String,
    encrypted_key: Vec<u8>,
    signature: Vec<u8>,
    body: Bytes,
}

impl Sealed {
    /// Takes the three headers.
    pub(super) fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Refusal> {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .ok_or_else(|| Refusal::bad_request(&format!("the header {name} is missing")))
        };
        let decoded = |name: &str, text: &str| {
            crypto::decode(text)
                .ok_or_else(|| Refusal::bad_request(&format!("the header {name} isn't base64")))
        };
        let authorization = header("Authorization")?
            .strip_prefix("Signature ")
            .ok_or_else(|| Refusal::bad_request("the header Authorization isn't \"Signature BASE64\""))?;
        Ok(Self {
            key_id: header("PublicKeyId")?.to_owned(),
            encrypted_key: decoded("TransmissionKey", header("TransmissionKey")?)?,
            signature: decoded("Authorization", authorization)?,
            body,
        })
    }

    /// The key that this request is sealed with, and its reply will be.
    pub(super) fn transmission_key(&self, keys: &ServerKeys) -> Result<Key, Refusal> {
        let (id, pair) = keys.current();
        if self.key_id != id.to_string() {
            return Err(Refusal::other_key(id));
        }
        pair.decrypt_key(&self.encrypted_key)
            .map_err(|_| Refusal::bad_request("the transmission key isn't sealed for this server key"))
    }

    /// What the client says.
    pub(super) fn open(&self, key: &Key) -> Result<Value, Refusal> {
        let plain = crypto::decrypt(key, &self.body)
            .map_err(|_| Refusal::bad_request("the body isn't sealed with the transmission key"))?;
        serde_json::from_slice(&plain).map_err(|_| Refusal::bad_request("the body isn't JSON"))
    }

    /// Whether the holder of this key sent it.
    pub(super) fn is_signed_by(&self, public: &[u8]) -> bool {
        let signed = [&self.encrypted_key, &self.body[..]].concat();
        crypto::verify(public, &signed, &self.signature)
    }
}

/// What every payload begins with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sender {
    pub(super) client_id: String,
    pub(super) public_key: Option<String>,
    pub(super) client_version: String,
}

/// The payload as what an endpoint expects.
pub(super) fn payload<T: DeserializeOwned>(value: &Value) -> Result<T, Refusal> {
    T::deserialize(value).map_err(|error| Refusal::bad_request(&format!("the payload is wrong: {error}")))
}

/// An error document. It travels in the clear, as the service's do.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    document: Value,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: &str, message: &str) -> Self {
        Self {
            status,
            document: json!({"error": error, "message": message}),
        }
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn access_denied(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "access_denied", message)
    }

    /// Something else changed the record in the meantime.
    pub(super) fn out_of_sync(uid: &str) -> Self {
        let message = format!("record {uid} has another revision");
        Self::new(StatusCode::CONFLICT, "out_of_sync", &message)
    }

    /// The client is to use this key, and to ask again.
    pub(super) fn other_key(id: u32) -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, "key", "invalid key id");
        refusal.document["key_id"] = id.into();
        refusal
    }

    /// The client is to wait, for so many seconds if they are given.
    pub(super) fn throttled(retry_after: Option<u64>) -> Self {
        let mut refusal = Self::new(StatusCode::FORBIDDEN, "throttled", "too many requests");
        if let Some(seconds) = retry_after {
            refusal.document["retry_after"] = seconds.into();
        }
        refusal
    }

    /// The document's bytes, with what the service adds to each.
    pub(super) fn body(mut self, path: &str) -> Bytes {
        self.document["path"] = path.into();
        self.document["additional_info"] = "".into();
        self.document["location"] = "".into();
        Bytes::from(self.document.to_string())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(changed: &'static str, value: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("PublicKeyId", HeaderValue::from_static("10"));
        headers.insert("TransmissionKey", HeaderValue::from_static("AAAA"));
        headers.insert("Authorization", HeaderValue::from_static("Signature AAAA"));
        match value {
            Some(value) => drop(headers.insert(changed, HeaderValue::from_static(value))),
            None => drop(headers.remove(changed)),
        }
        headers
    }

    fn why(refusal: Refusal) -> String {
        String::from_utf8(refusal.body("/").to_vec()).unwrap()
    }

    #[test]
    fn a_request_without_one_of_the_headers_is_refused() {
        for name in ["PublicKeyId", "TransmissionKey", "Authorization"] {
            let refusal = Sealed::read(&headers(name, None), Bytes::new()).unwrap_err();
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
            assert!(why(refusal).contains(&format!("{name} is missing")));
        }
    }

    #[test]
    fn a_header_that_is_no_base64_is_refused() {
        let refusal = Sealed::read(&headers("TransmissionKey", Some("%")), Bytes::new()).unwrap_err();
        assert!(why(refusal).contains("TransmissionKey isn't base64"));
        let refusal = Sealed::read(&headers("Authorization", Some("Bearer x")), Bytes::new()).unwrap_err();
        assert!(why(refusal).contains("Signature BASE64"));
    }

    #[test]
    fn an_older_key_leads_to_the_current_one() {
        let mut keys = ServerKeys::new();
        let sealed = Sealed::read(&headers("PublicKeyId", Some("10")), Bytes::new()).unwrap();
        assert!(
            why(sealed.transmission_key(&keys).unwrap_err()).contains("isn't sealed for this server key")
        );
        assert_eq!(keys.rotate(), 11);
        let refusal = why(sealed.transmission_key(&keys).unwrap_err());
        assert!(
            refusal.contains(r#""error":"key""#) && refusal.contains(r#""key_id":11"#),
            "{refusal}"
        );
        assert_eq!(keys.public().keys().collect::<Vec<_>>(), ["10", "11"]);
    }
}
