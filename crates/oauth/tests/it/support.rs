//! An issuer whose every answer a test decides, its keys, and a clock that stands still.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use axum::{
    Router,
    body::Body,
    extract::{Form, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures_util::stream;
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, jwk::Jwk};
use mk8s_oauth::{Clock, Issuer, KubernetesTokens, Refused, Settings, Verified, Verifier, kubernetes_tokens};
use mk8s_tls::{
    CertificateAuthority, ReloadingCertificate, ServerTlsStream, TlsAcceptor,
    server::{self, ClientAuth},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

/// What we are called in these tests.
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
/// What Kubernetes is called.
pub(crate) const KUBERNETES: &str = "https://kubernetes.default.svc";
/// When the clock of these tests stands.
pub(crate) const NOW: i64 = 1_800_000_000;

/// A key that signs.
pub(crate) struct Signer {
    pub(crate) id: String,
    pub(crate) algorithm: jsonwebtoken::Algorithm,
    pub(crate) key: EncodingKey,
    pub(crate) pem: String,
}

impl Signer {
    pub(crate) fn rsa(id: &str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("its form");
        Self::new(
            id,
            jsonwebtoken::Algorithm::RS256,
            der.as_ref(),
            EncodingKey::from_rsa_pem,
        )
    }

    pub(crate) fn elliptic(id: &str) -> Self {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let der = made.expect("a key");
        Self::new(
            id,
            jsonwebtoken::Algorithm::ES256,
            der.as_ref(),
            EncodingKey::from_ec_pem,
        )
    }

    pub(crate) fn edwards(id: &str) -> Self {
        let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).expect("a key");
        Self::new(
            id,
            jsonwebtoken::Algorithm::EdDSA,
            der.as_ref(),
            EncodingKey::from_ed_pem,
        )
    }

    fn new(
        id: &str,
        algorithm: jsonwebtoken::Algorithm,
        der: &[u8],
        read: fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>,
    ) -> Self {
        // Put together here, lest scanners take this file for a key.
        let (dashes, label) = ("-----", "PRIVATE KEY");
        let body = STANDARD.encode(der);
        let pem = format!("{dashes}BEGIN {label}{dashes}\n{body}\n{dashes}END {label}{dashes}\n");
        Self {
            id: id.to_owned(),
            algorithm,
            key: read(pem.as_bytes()).expect("a key"),
            pem,
        }
    }

    /// The public half, as it is published.
    pub(crate) fn public(&self) -> Value {
        let mut jwk = json!(Jwk::from_encoding_key(&self.key, self.algorithm).expect("its public half"));
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The usual header.
    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm, "typ": "at+jwt", "kid": self.id})
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header().to_string(), &claims.to_string())
    }

    /// With header and claims byte by byte.
    pub(crate) fn token_with(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm);
        format!("{message}.{}", signature.expect("a signature"))
    }
}

pub(crate) fn part(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// How an endpoint answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Json(Value),
    Text(String),
    Status(u16),
    Redirect(String),
    /// Without an end, and without saying how long it is.
    Endless,
    /// None.
    Silence,
}

/// An issuer on this machine.
pub(crate) struct FakeIssuer {
    pub(crate) url: String,
    pub(crate) state: Arc<Shared>,
}

/// What it answers, and was asked.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) description: Mutex<Option<Answer>>,
    pub(crate) keys: Mutex<Option<Answer>>,
    /// Instead of an exchange.
    pub(crate) token: Mutex<Option<Answer>>,
    pub(crate) described: AtomicUsize,
    pub(crate) keys_asked: AtomicUsize,
    pub(crate) exchanges: Mutex<Vec<Exchanged>>,
    /// The `exp` of tokens given in exchange.
    pub(crate) exchanged_until: AtomicI64,
    /// Held by a test for as long as exchanges are to wait.
    pub(crate) gate: tokio::sync::RwLock<()>,
    /// Held for as long as who asks for keys is to wait.
    pub(crate) keys_gate: tokio::sync::RwLock<()>,
}

/// A request to exchange a token.
#[derive(Clone, Debug)]
pub(crate) struct Exchanged {
    pub(crate) form: BTreeMap<String, String>,
    pub(crate) authorization: Option<String>,
}

impl FakeIssuer {
    pub(crate) async fn start(keys: &[&Signer]) -> Self {
        let listener = listen().await;
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (issuer, router) = Self::new(url, keys);
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    /// One that speaks TLS, by a certificate of the authority.
    pub(crate) async fn start_tls(keys: &[&Signer], authority: &CertificateAuthority) -> Self {
        let listener = listen().await;
        let url = format!("https://{}", listener.local_addr().expect("its address"));
        let names = ["127.0.0.1".to_owned()];
        let issued = authority.issue_server(&names, Duration::from_secs(3600), Timestamp::now());
        let certificate = ReloadingCertificate::from_issued(&issued.expect("a certificate"));
        let config = server::config(certificate.expect("a pair"), &ClientAuth::None, &[b"http/1.1"]);
        let acceptor = TlsAcceptor::from(config.expect("a configuration"));
        let (issuer, router) = Self::new(url, keys);
        tokio::spawn(async move { axum::serve(Tls { listener, acceptor }, router).await });
        issuer
    }

    fn new(url: String, keys: &[&Signer]) -> (Self, Router) {
        let state = Arc::new(Shared::default());
        let issuer = Self { url, state };
        issuer.describe(json!({}));
        issuer.publish(keys);
        issuer.state.exchanged_until.store(NOW + 300, Ordering::SeqCst);
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(description))
            .route("/jwks", get(keys_of))
            .route("/token", post(exchange))
            .with_state(Arc::clone(&issuer.state));
        (issuer, router)
    }

    /// The usual description, with these instead.
    pub(crate) fn describe(&self, other: Value) {
        let mut description = json!({
            "issuer": self.url,
            "jwks_uri": format!("{}/jwks", self.url),
            "token_endpoint": format!("{}/token", self.url),
        });
        for (name, value) in other.as_object().expect("an object") {
            description[name] = value.clone();
        }
        *self.state.description.lock().expect("lock") = Some(Answer::Json(description));
    }

    pub(crate) fn publish(&self, keys: &[&Signer]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        self.answer_keys(Answer::Json(json!({"keys": keys})));
    }

    pub(crate) fn answer_keys(&self, answer: Answer) {
        *self.state.keys.lock().expect("lock") = Some(answer);
    }

    pub(crate) fn answer_token(&self, answer: Option<Answer>) {
        *self.state.token.lock().expect("lock") = answer;
    }

    pub(crate) fn keys_asked(&self) -> usize {
        self.state.keys_asked.load(Ordering::SeqCst)
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchanged> {
        self.state.exchanges.lock().expect("lock").clone()
    }

    /// Claims of a token that is good.
    pub(crate) fn claims(&self) -> Value {
        json!({
            "iss": self.url,
            "aud": RESOURCE,
            "sub": "jane",
            "groups": ["dev", "ops"],
            "scope": "mcp:read mcp:write",
            "client_id": "cli",
            "iat": NOW - 10,
            "exp": NOW + 600,
        })
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

/// Connections whose handshake went well.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = ServerTlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn respond(answer: Option<Answer>) -> Response {
    match answer {
        Some(Answer::Json(json)) => axum::Json(json).into_response(),
        Some(Answer::Text(text)) => text.into_response(),
        Some(Answer::Status(status)) => StatusCode::from_u16(status).expect("a status").into_response(),
        Some(Answer::Redirect(place)) => (StatusCode::FOUND, [(header::LOCATION, place)]).into_response(),
        Some(Answer::Endless) => {
            let piece = || Ok::<_, std::convert::Infallible>(vec![b' '; 64 * 1024]);
            Body::from_stream(stream::repeat_with(piece)).into_response()
        }
        Some(Answer::Silence) => std::future::pending().await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn description(State(state): State<Arc<Shared>>) -> Response {
    state.described.fetch_add(1, Ordering::SeqCst);
    let answer = state.description.lock().expect("lock").clone();
    respond(answer).await
}

async fn keys_of(State(state): State<Arc<Shared>>) -> Response {
    state.keys_asked.fetch_add(1, Ordering::SeqCst);
    let _open = state.keys_gate.read().await;
    let answer = state.keys.lock().expect("lock").clone();
    respond(answer).await
}

/// Gives a token of the same subject for the audience, unsigned: nobody here checks that.
async fn exchange(
    State(state): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().expect("text").to_owned());
    let number = {
        let mut exchanges = state.exchanges.lock().expect("lock");
        exchanges.push(Exchanged {
            form: form.clone(),
            authorization,
        });
        exchanges.len()
    };
    let _open = state.gate.read().await;
    let instead = state.token.lock().expect("lock").clone();
    if instead.is_some() {
        return respond(instead).await;
    }
    let subject_token = &form["subject_token"];
    let claims = subject_token.split('.').nth(1).expect("a JWT");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("claims");
    let until = state.exchanged_until.load(Ordering::SeqCst);
    let claims = json!({"sub": claims["sub"], "aud": form["audience"], "exp": until, "jti": number});
    let token = format!("{}.{}.c2ln", part(r#"{"alg":"RS256"}"#), part(claims.to_string()));
    respond(Some(Answer::Json(json!({
        "access_token": token,
        "issued_token_type": form["requested_token_type"],
        "token_type": "Bearer",
        "expires_in": 3600,
    }))))
    .await
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct Hands(Arc<AtomicI64>);

impl Hands {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(NOW)))
    }

    pub(crate) fn advance(&self, step: Duration) {
        self.0
            .fetch_add(i64::try_from(step.as_secs()).expect("a step"), Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let seconds = Arc::clone(&self.0);
        Arc::new(move || Timestamp::from_second(seconds.load(Ordering::SeqCst)).expect("a time"))
    }
}

/// A resource server.
pub(crate) struct Server {
    pub(crate) verifier: Verifier,
    pub(crate) tokens: Option<Arc<dyn KubernetesTokens>>,
    pub(crate) hands: Hands,
}

impl Server {
    /// With the settings of most tests, and these instead.
    pub(crate) fn new(issuer: &str, other: Value) -> Self {
        let mut settings = json!({
            "issuer": issuer,
            "resource": RESOURCE,
            "requiredScopes": ["mcp:read"],
            "groups": {"claim": "groups", "prefix": "oidc:"},
            "allowLoopbackHttp": true,
        });
        for (name, value) in other.as_object().expect("an object") {
            settings[name] = value.clone();
        }
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let hands = Hands::new();
        Self::by(settings, hands.clock(), hands)
    }

    pub(crate) fn by(settings: Settings, clock: Clock, hands: Hands) -> Self {
        let issuer = Arc::new(Issuer::new(&settings, clock).expect("an issuer"));
        Self {
            tokens: kubernetes_tokens(&settings, &issuer),
            verifier: Verifier::new(settings, issuer),
            hands,
        }
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Verified, Refused> {
        self.verifier.verify(&SecretString::from(token)).await
    }
}
