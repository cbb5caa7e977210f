//! An OpenID provider of a test's own: the certified `oidc-provider`, run by Node (`tests/clients/oidc`). It signs people in, gives JWT
//! access tokens for the resource asked for (RFC 8707) and exchanges them for those of another audience (RFC 8693).

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{LazyLock, mpsc},
    thread,
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Certificate, Client, Url, header, redirect::Policy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Pki, command, wait::PATIENCE, workspace};

/// The client that people sign in with: a program of theirs, without a secret.
pub const PUBLIC_CLIENT: &str = "command-line";
/// Where it is sent back to. Nobody listens there: the flow ends when it is sent there.
const CALLBACK: &str = "http://127.0.0.1/callback";
/// More steps than any sign-in has.
const MAX_STEPS: usize = 16;

/// Whom a provider knows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OidcSettings {
    /// People, with the claims that their tokens have beside the usual ones.
    pub users: BTreeMap<String, Value>,
    /// Audiences: `{scope, lifetime, algorithm}`, in words, seconds and one of RS256 (if absent), ES256 and EdDSA.
    pub resources: BTreeMap<String, Value>,
    /// Clients beside [`PUBLIC_CLIENT`], as dynamic registration has them (RFC 7591).
    pub clients: Vec<Value>,
    /// Who may exchange tokens: by client, `{from: audience, to: [audience]}`.
    pub exchanges: BTreeMap<String, Value>,
}

/// A running provider. Dropping it ends it; so does the death of the test's process.
#[derive(Debug)]
pub struct Oidc {
    issuer: String,
    child: Child,
    input: Option<ChildStdin>,
    answers: mpsc::Receiver<String>,
    errors: File,
    http: Client,
}

/// How often it was asked, since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Asked {
    /// For its description.
    pub discovery: usize,
    /// For its keys.
    pub keys: usize,
    /// To exchange a token.
    pub exchange: usize,
}

impl Oidc {
    /// Starts one on a free port of this machine.
    ///
    /// # Panics
    /// If it can't be installed or started; what is missing is said.
    pub fn start(settings: &OidcSettings) -> Self {
        Self::launch(settings, None)
    }

    /// The same over TLS, as API servers want it, with a certificate of this authority.
    ///
    /// # Panics
    /// If it can't be installed or started; what is missing is said.
    pub fn start_over_tls(settings: &OidcSettings, pki: &Pki) -> Self {
        Self::launch(settings, Some(pki))
    }

    fn launch(settings: &OidcSettings, pki: Option<&Pki>) -> Self {
        let directory = installed();
        let errors = tempfile::tempfile().expect("a file for what the provider says");
        let mut child = Command::new("node")
            .arg(directory.join("server.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone().expect("a second handle of an open file"))
            .spawn()
            .expect("node can be run: apt-get install nodejs");
        let output = child.stdout.take().expect("its standard output");
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for line in lines {
                let _ = sender.send(line);
            }
        });
        let mut provider = Self {
            issuer: String::new(),
            input: child.stdin.take(),
            child,
            answers,
            errors,
            http: client(pki),
        };
        let mut settings = settings.clone();
        settings.clients.push(json!({
            "client_id": PUBLIC_CLIENT,
            "application_type": "native",
            "redirect_uris": [CALLBACK],
            "response_types": ["code"],
            "grant_types": ["authorization_code"],
            "token_endpoint_auth_method": "none",
        }));
        let mut started = json!(settings);
        if let Some(pki) = pki {
            let pair = pki.server_pair();
            started["tls"] = json!({"cert": pair.chain.pem(), "key": pair.key.pem().as_str()});
        }
        let started = provider.say(&started);
        provider.issuer = text(&started, "issuer");
        provider
    }

    /// Its issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs by new keys from now on. Those of before are published on if they are to be kept.
    ///
    /// # Panics
    /// If it is gone.
    pub fn rotate(&mut self, keep: bool) {
        self.say(&json!({"rotate": {"keep": keep}}));
    }

    /// How often it was asked.
    ///
    /// # Panics
    /// If it is gone.
    pub fn asked(&mut self) -> Asked {
        let answer = self.say(&json!({}));
        Asked::deserialize(&answer["asked"]).expect("counts")
    }

    /// Ends it.
    ///
    /// # Panics
    /// If it can't be waited for.
    pub fn stop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        self.child.wait().expect("the killed provider can be waited for");
    }

    /// Signs somebody in, as their browser and program would (authorization code with PKCE), and gets them an access token for the
    /// resource.
    ///
    /// # Panics
    /// If they aren't let in.
    pub async fn token(&self, user: &str, resource: &str, scope: &str) -> String {
        let http = &self.http;
        let description =
            json_of(http.get(format!("{}/.well-known/openid-configuration", self.issuer))).await;
        let verifier = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let start = Url::parse_with_params(
            &text(&description, "authorization_endpoint"),
            [
                ("client_id", PUBLIC_CLIENT),
                ("response_type", "code"),
                ("redirect_uri", CALLBACK),
                ("scope", scope),
                ("resource", resource),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ],
        );
        let code = self.sign_in(http, start.expect("an endpoint"), user).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", &verifier),
            ("client_id", PUBLIC_CLIENT),
            ("resource", resource),
        ];
        let answer = json_of(http.post(text(&description, "token_endpoint")).form(&form)).await;
        text(&answer, "access_token")
    }

    /// Goes where it is sent, and fills in the forms there, until it is sent back with a code.
    async fn sign_in(&self, http: &Client, start: Url, user: &str) -> String {
        let mut cookies = BTreeMap::new();
        let mut prompts = ["login", "consent"].into_iter();
        let mut next = start;
        for _ in 0..MAX_STEPS {
            if next.as_str().starts_with(CALLBACK) {
                let answer: BTreeMap<_, _> = next.query_pairs().into_owned().collect();
                assert_eq!(answer.get("iss"), Some(&self.issuer), "{next}");
                return answer
                    .get("code")
                    .unwrap_or_else(|| panic!("sent back without a code: {next}"))
                    .clone();
            }
            let request = if next.path().starts_with("/interaction/") {
                let prompt = prompts.next().expect("no more than two forms");
                http.post(next.clone())
                    .form(&[("prompt", prompt), ("login", user), ("password", "any")])
            } else {
                http.get(next.clone())
            };
            let shown: Vec<String> = cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let response = request
                .header(header::COOKIE, shown.join("; "))
                .send()
                .await
                .expect("an answer");
            for cookie in response.headers().get_all(header::SET_COOKIE) {
                let pair = cookie
                    .to_str()
                    .expect("a cookie")
                    .split(';')
                    .next()
                    .unwrap_or_default();
                let (name, value) = pair.split_once('=').expect("a cookie");
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let place = response
                .headers()
                .get(header::LOCATION)
                .map(|place| place.to_str().expect("a place").to_owned());
            let Some(place) = place else {
                let status = response.status();
                panic!(
                    "{next} answers {status}: {}",
                    response.text().await.unwrap_or_default()
                );
            };
            next = next.join(&place).expect("a place");
        }
        panic!("{user} is sent around without end");
    }

    fn say(&mut self, message: &Value) -> Value {
        let written = self.input.as_mut().map(|input| writeln!(input, "{message}"));
        let answer = match written {
            Some(Ok(())) => self.answers.recv_timeout(PATIENCE).ok(),
            _ => None,
        };
        let Some(answer) = answer else {
            panic!("the provider doesn't answer; it said:\n{}", self.said());
        };
        serde_json::from_str(&answer).expect("an answer")
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        let _ = self.errors.rewind();
        let _ = self.errors.read_to_string(&mut said);
        command::shortened(&said)
    }
}

impl Drop for Oidc {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("=== the OpenID provider said:\n{}", self.said());
        }
    }
}

fn installed() -> PathBuf {
    static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut script = Command::new(workspace::root().join("tools/test-oidc.sh"));
        let ran = command::run_with(&mut script, b"", Duration::from_secs(600)).ok();
        workspace::root().join(ran.text())
    });
    DIRECTORY.clone()
}

fn client(pki: Option<&Pki>) -> Client {
    mk8s_tls::install_default_provider();
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(PATIENCE);
    if let Some(pki) = pki {
        let authority = Certificate::from_pem(pki.roots_pem().as_bytes()).expect("an authority");
        builder = builder.tls_certs_only([authority]);
    }
    builder.build().expect("an HTTP client")
}

async fn json_of(request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.expect("an answer");
    let (url, status) = (response.url().clone(), response.status());
    let body = response.text().await.expect("all of it");
    assert!(status.is_success(), "{url} answers {status}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{url}: {error}: {body}"))
}

fn text(object: &Value, name: &str) -> String {
    let text = object[name].as_str();
    text.unwrap_or_else(|| panic!("there is no {name} in {object}"))
        .to_owned()
}
