//! Who may ask: one-time tokens, and clients that are bound.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    contents::Contents,
    crypto::{self, Key},
    wire::{Refusal, Sealed, Sender},
};

/// The configuration of a client that is bound already: what the SDKs keep in `ksm-config.json`, or take from `KSM_CONFIG`.
#[derive(Clone)]
pub struct AppConfig {
    document: BTreeMap<&'static str, String>,
}

/// All clients of the application, by their ids.
#[derive(Debug, Default)]
pub(super) struct Clients {
    by_id: HashMap<String, Client>,
}

#[derive(Debug)]
enum Client {
    /// Waits for somebody to bring the token.
    Token(Key),
    /// Has this public key.
    Bound(Vec<u8>),
}

/// A client that has proved to be one.
#[derive(Debug)]
pub(super) struct Known {
    /// The token that it has just used up.
    pub(super) token: Option<Key>,
}

impl AppConfig {
    /// The JSON document.
    pub fn json(&self) -> String {
        json!(self.document).to_string()
    }

    /// The document in base64: the other form that SDKs take.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.json())
    }

    /// The client's id.
    pub fn client_id(&self) -> &str {
        &self.document["clientId"]
    }

    /// With another host name: `host` or `host:port`.
    #[must_use]
    pub fn with_hostname(mut self, hostname: &str) -> Self {
        self.document.insert("hostname", hostname.to_owned());
        self
    }

    /// With another key of the server's, and its id.
    #[must_use]
    pub fn with_server_key(mut self, id: &str, key: &str) -> Self {
        self.document.insert("serverPublicKeyId", id.to_owned());
        self.document.insert("serverPublicKey", key.to_owned());
        self
    }
}

impl fmt::Debug for AppConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest is keys.
        f.debug_struct("AppConfig")
            .field("hostname", &self.document["hostname"])
            .finish_non_exhaustive()
    }
}

impl Clients {
    /// A token that binds one client.
    pub(super) fn new_token(&mut self) -> String {
        let token: Key = crypto::random();
        self.by_id.insert(crypto::client_id(&token), Client::Token(token));
        crypto::encode_url(&token)
    }

    /// A client that is bound.
    pub(super) fn new_bound(
        &mut self,
        contents: &Contents,
        hostname: String,
        (key_id, key): (String, String),
    ) -> AppConfig {
        let client_id = crypto::client_id(&crypto::random());
        let (private, public) = crypto::client_pair();
        self.by_id.insert(client_id.clone(), Client::Bound(public));
        AppConfig {
            document: BTreeMap::from([
                ("hostname", hostname),
                ("clientId", client_id),
                ("privateKey", crypto::encode(&private)),
                ("appKey", crypto::encode(&contents.app_key)),
                ("appOwnerPublicKey", crypto::encode(contents.owner.public())),
                ("serverPublicKeyId", key_id),
                ("serverPublicKey", key),
            ]),
        }
    }

    /// Forgets a client: all that it asks is refused. False: there was none.
    pub(super) fn revoke(&mut self, client_id: &str) -> bool {
        self.by_id.remove(client_id).is_some()
    }

    /// Who sent this. A token is used up by the first who brings it with a proper signature, even if the reply gets lost.
    pub(super) fn identify(
        &mut self,
        sender: &Sender,
        sealed: &Sealed,
        may_bind: bool,
    ) -> Result<Known, Refusal> {
        if sender.client_version.is_empty() {
            return Err(Refusal::bad_request("clientVersion is empty"));
        }
        let unknown = || Refusal::access_denied("Unable to validate application access");
        let client = self.by_id.get_mut(&sender.client_id).ok_or_else(unknown)?;
        match (&*client, &sender.public_key) {
            (Client::Bound(public), None) => {
                signed_with(sealed, public)?;
                Ok(Known { token: None })
            }
            (Client::Token(token), Some(public)) if may_bind => {
                let public = crypto::decode(public)
                    .filter(|public| crypto::is_point(public))
                    .ok_or_else(|| Refusal::bad_request("publicKey isn't a point of P-256"))?;
                signed_with(sealed, &public)?;
                let token = *token;
                *client = Client::Bound(public);
                Ok(Known { token: Some(token) })
            }
            _ => Err(unknown()),
        }
    }
}

impl Known {
    /// Adds to a reply what a client is told once.
    pub(super) fn greet(&self, reply: &mut Value, contents: &Contents) {
        if let Some(token) = &self.token {
            let app_key = crypto::encrypt(token, &contents.app_key);
            reply["encryptedAppKey"] = crypto::encode_url(&app_key).into();
            reply["appOwnerPublicKey"] = crypto::encode_url(contents.owner.public()).into();
        }
    }
}

fn signed_with(sealed: &Sealed, public: &[u8]) -> Result<(), Refusal> {
    if sealed.is_signed_by(public) {
        Ok(())
    } else {
        Err(Refusal::access_denied("Signature is invalid"))
    }
}
