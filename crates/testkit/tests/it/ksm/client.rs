//! A client that can do everything wrong, written from the protocol alone.

use std::io;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey},
    digest, hmac, rand,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use mk8s_testkit::{
    ksm::KsmServer,
    raw::{Endpoint, Response},
};
use serde_json::{Value, json};

pub(super) struct Client {
    pub(super) endpoint: Endpoint,
    pub(super) client_id: String,
    pub(super) key_id: String,
    pub(super) server_key: Vec<u8>,
    pub(super) pair: EcdsaKeyPair,
}

/// A request, ready to be changed before it goes.
pub(super) struct Prepared {
    pub(super) transmission_key: [u8; 32],
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Client {
    /// Bound already.
    pub(super) fn bound(server: &KsmServer) -> Self {
        let config: Value = serde_json::from_str(&server.app_config_json()).expect("JSON");
        let text = |name: &str| config[name].as_str().expect("text").to_owned();
        let private = STANDARD.decode(text("privateKey")).expect("base64");
        Self {
            endpoint: endpoint(server),
            client_id: text("clientId"),
            key_id: text("serverPublicKeyId"),
            server_key: URL_SAFE_NO_PAD.decode(text("serverPublicKey")).expect("base64"),
            pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &private).expect("PKCS #8"),
        }
    }

    /// With a token that it hasn't brought yet.
    pub(super) fn with_token(server: &KsmServer, token: &str) -> Self {
        let token = URL_SAFE_NO_PAD.decode(token).expect("base64");
        let hash = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA512, &token),
            b"KEEPER_SECRETS_MANAGER_CLIENT_ID",
        );
        Self {
            client_id: STANDARD.encode(hash),
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a pair"),
            ..Self::bound(server)
        }
    }

    pub(super) fn public_key(&self) -> String {
        STANDARD.encode(self.pair.public_key())
    }

    /// What every payload has.
    pub(super) fn payload(&self) -> Value {
        json!({"clientVersion": "mk8s-test", "clientId": self.client_id})
    }

    pub(super) fn prepare(&self, plain: &[u8]) -> Prepared {
        let mut transmission_key = [0; 32];
        rand::fill(&mut transmission_key).expect("random numbers");
        let private = PrivateKey::generate(&ECDH_P256).expect("a pair");
        let server = UnparsedPublicKey::new(&ECDH_P256, &self.server_key);
        let key = agreement::agree(&private, server, (), |secret| {
            Ok(digest::digest(&digest::SHA256, secret).as_ref().to_vec())
        })
        .expect("a point of the server");
        let mut encrypted_key = private
            .compute_public_key()
            .expect("its public half")
            .as_ref()
            .to_vec();
        encrypted_key.extend(seal(&key, &transmission_key));
        let body = seal(&transmission_key, plain);
        let signed = [&encrypted_key[..], &body].concat();
        let signature = self
            .pair
            .sign(&aws_lc_rs::rand::SystemRandom::new(), &signed)
            .expect("a signature");
        Prepared {
            transmission_key,
            headers: vec![
                ("PublicKeyId", self.key_id.clone()),
                ("TransmissionKey", STANDARD.encode(encrypted_key)),
                (
                    "Authorization",
                    format!("Signature {}", STANDARD.encode(signature)),
                ),
            ],
            body,
        }
    }

    pub(super) fn send(&self, path: &str, prepared: &Prepared) -> io::Result<Response> {
        let headers: Vec<(&str, &str)> = prepared
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let path = format!("/api/rest/sm/v1/{path}");
        self.endpoint.request("POST", &path, &headers, &prepared.body)
    }

    /// Asks, and opens the reply; or the status and the error document.
    pub(super) fn ask(&self, path: &str, more: Value) -> Result<Value, (u16, Value)> {
        let mut payload = self.payload();
        for (name, value) in more.as_object().expect("an object") {
            payload[name] = value.clone();
        }
        self.ask_raw(path, payload.to_string().as_bytes())
    }

    pub(super) fn ask_raw(&self, path: &str, plain: &[u8]) -> Result<Value, (u16, Value)> {
        let prepared = self.prepare(plain);
        let response = self.send(path, &prepared).expect("an answer");
        match response.status {
            200 if response.body.is_empty() => Ok(Value::Null),
            200 => {
                let plain = open(&prepared.transmission_key, &response.body).expect("a sealed reply");
                Ok(serde_json::from_slice(&plain).expect("a reply in JSON"))
            }
            status => Err((status, response.json())),
        }
    }

    /// Why it is refused.
    #[track_caller]
    pub(super) fn refusal(&self, path: &str, more: Value) -> String {
        match self.ask(path, more) {
            Ok(reply) => panic!("this should have been refused: {reply}"),
            Err((status, document)) => said(status, &document),
        }
    }
}

impl Prepared {
    /// The whole request.
    pub(super) fn bytes(&self, path: &str) -> Vec<u8> {
        let mut head = format!("POST /api/rest/sm/v1/{path} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        [head.as_bytes(), &self.body].concat()
    }
}

/// `403 access_denied: …`
pub(super) fn said(status: u16, document: &Value) -> String {
    let text = |name: &str| document[name].as_str().unwrap_or("?").to_owned();
    format!("{status} {}: {}", text("error"), text("message"))
}

pub(super) fn endpoint(server: &KsmServer) -> Endpoint {
    Endpoint {
        address: server.address(),
        name: "localhost".to_owned(),
        ca_pem: server.ca_pem().as_bytes().to_vec(),
    }
}

pub(super) fn seal(key: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 12];
    rand::fill(&mut nonce).expect("random numbers");
    let mut sealed = plain.to_vec();
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
        .expect("a message that fits");
    [&nonce[..], &sealed].concat()
}

pub(super) fn open(key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<12>()?;
    let mut plain = sealed.to_vec();
    let opened = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut plain)
        .ok()?;
    Some(opened.to_vec())
}
