//! Tokens for Kubernetes, from an endpoint that a test has in its hands.

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};

use futures_util::future::join_all;
use jsonwebtoken::{DecodingKey, Validation, jwk::Jwk};
use mk8s_oauth::{NoToken, Verified};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::support::{Answer, FakeIssuer, KUBERNETES, NOW, RESOURCE, Server, Signer};

/// A server that exchanges, and the one who signs for its users.
struct Setup {
    issuer: FakeIssuer,
    server: Server,
    signer: Signer,
    _files: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        Self::with(|file| json!({"secret": {"id": "mcp", "file": file}}), "word").await
    }

    async fn with(client: impl Fn(&Path) -> Value, content: &str) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let file: PathBuf = files.path().join("file");
        std::fs::write(&file, content).expect("written");
        let signer = Signer::elliptic("one");
        let issuer = FakeIssuer::start(&[&signer]).await;
        let exchange = json!({
            "audience": KUBERNETES,
            "resource": KUBERNETES,
            "scopes": ["kubernetes"],
            "client": client(&file),
            "leeway": "30s",
        });
        let server = Server::new(&issuer.url, json!({"kubernetes": {"exchange": exchange}}));
        Self {
            issuer,
            server,
            signer,
            _files: files,
        }
    }

    /// A user with a token, which is their own by its number.
    async fn user(&self, name: &str, number: u32) -> (Verified, SecretString) {
        let mut claims = self.issuer.claims();
        claims["sub"] = json!(name);
        claims["jti"] = json!(number);
        let token = self.signer.token(&claims);
        let verified = self.server.verify(&token).await.expect("good");
        (verified, token.into())
    }

    async fn token(&self, (user, bearer): &(Verified, SecretString)) -> Result<Value, NoToken> {
        let tokens = self.server.tokens.as_ref().expect("an exchange");
        tokens
            .token(user, bearer)
            .await
            .map(|token| claims(token.expose_secret()))
    }

    fn count(&self) -> usize {
        self.issuer.exchanges().len()
    }
}

fn claims(token: &str) -> Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    let part = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("claims")
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_specification_says() {
    let setup = Setup::new().await;
    let jane = setup.user("jane", 1).await;
    let claims = setup.token(&jane).await.expect("a token");
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&json!("jane"), &json!(KUBERNETES))
    );
    let [asked] = &setup.issuer.exchanges()[..] else {
        panic!("once");
    };
    let form: Vec<(&str, &str)> = asked
        .form
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        form,
        [
            ("audience", KUBERNETES),
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token"
            ),
            ("resource", KUBERNETES),
            ("scope", "kubernetes"),
            ("subject_token", jane.1.expose_secret()),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:access_token"
            ),
        ]
    );
    // "mcp:word", in base64.
    assert_eq!(asked.authorization.as_deref(), Some("Basic bWNwOndvcmQ="));
}

#[tokio::test]
async fn a_token_is_kept_until_a_little_before_either_ends() {
    let setup = Setup::new().await;
    let jane = setup.user("jane", 1).await;
    let first = setup.token(&jane).await;
    setup.server.hands.advance(Duration::from_secs(269));
    assert_eq!(setup.token(&jane).await, first);
    assert_eq!(setup.count(), 1);
    setup.server.hands.advance(Duration::from_secs(1));
    setup
        .issuer
        .state
        .exchanged_until
        .store(NOW + 3600, Ordering::SeqCst);
    assert_ne!(setup.token(&jane).await, first);
    assert_eq!(setup.count(), 2);
    // From here on the user's own token, of 600 seconds, ends first.
    setup.server.hands.advance(Duration::from_secs(299));
    assert!(setup.token(&jane).await.is_ok());
    assert_eq!(setup.count(), 2);
    setup.server.hands.advance(Duration::from_secs(1));
    assert!(setup.token(&jane).await.is_ok());
    assert_eq!(setup.count(), 3);
}

#[tokio::test]
async fn all_who_ask_at_once_get_their_own_and_each_is_asked_for_once() {
    let setup = Setup::new().await;
    let mut users = Vec::new();
    for number in 0..20 {
        users.push(setup.user(&format!("user-{}", number % 10), number).await);
    }
    let closed = setup.issuer.state.gate.write().await;
    let asking = join_all((0..400).map(|n| {
        let user = &users[n % 20];
        let setup = &setup;
        async move {
            (
                user.0.subject.to_string(),
                n % 20,
                setup.token(user).await.expect("a token"),
            )
        }
    }));
    let opening = async {
        mk8s_testkit::soon("all to be asked for", || (setup.count() == 20).then_some(())).await;
        drop(closed);
    };
    let (answers, ()) = tokio::join!(asking, opening);
    let mut numbers = std::collections::BTreeMap::new();
    for (subject, user, claims) in answers {
        assert_eq!(claims["sub"], json!(subject));
        // Two tokens of one user are two keys.
        let number = numbers.entry(user).or_insert_with(|| claims["jti"].clone());
        assert_eq!(*number, claims["jti"]);
    }
    assert_eq!(setup.count(), 20);
}

#[tokio::test]
async fn one_who_goes_away_while_asking_holds_up_nobody() {
    let setup = Setup::new().await;
    let jane = setup.user("jane", 1).await;
    let closed = setup.issuer.state.gate.write().await;
    tokio::select! {
        _ = setup.token(&jane) => panic!("the gate is closed"),
        () = mk8s_testkit::wait::soon("the first request", || (setup.count() == 1).then_some(())) => {}
    }
    drop(closed);
    assert!(setup.token(&jane).await.is_ok());
    assert_eq!(setup.count(), 2);
}

#[tokio::test]
async fn a_failure_counts_for_a_second_and_a_token_forgotten_is_asked_for_anew() {
    let setup = Setup::new().await;
    let jane = setup.user("jane", 1).await;
    setup.issuer.answer_token(Some(Answer::Status(503)));
    for _ in 0..5 {
        assert!(setup.token(&jane).await.expect_err("away").is_passing());
    }
    assert_eq!(setup.count(), 1);
    setup.issuer.answer_token(None);
    setup.server.hands.advance(Duration::from_secs(1));
    let first = setup.token(&jane).await.expect("back");
    setup
        .server
        .tokens
        .as_ref()
        .expect("an exchange")
        .forget(&jane.0)
        .await;
    assert_ne!(setup.token(&jane).await.expect("another"), first);
}

#[tokio::test]
async fn an_answer_that_is_another_users_or_for_another_audience_is_not_handed_out() {
    let setup = Setup::new().await;
    let jane = setup.user("jane", 1).await;
    for (subject, audience) in [("joan", KUBERNETES), ("jane", RESOURCE)] {
        let token = setup
            .signer
            .token(&json!({"sub": subject, "aud": audience, "exp": NOW + 60}));
        setup.issuer.answer_token(Some(Answer::Json(json!({
            "access_token": token,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
        }))));
        let refused = setup.token(&jane).await;
        assert!(matches!(refused, Err(NoToken::Unusable(_))), "{refused:?}");
        setup.server.hands.advance(Duration::from_secs(1));
    }
    setup
        .issuer
        .answer_token(Some(Answer::Redirect("https://evil.example.com".to_owned())));
    assert!(setup.token(&jane).await.is_err());
}

#[tokio::test]
async fn one_users_token_is_not_exchanged_in_anothers_name() {
    let setup = Setup::new().await;
    let (jane, joan) = (setup.user("jane", 1).await, setup.user("joan", 2).await);
    assert_eq!(setup.token(&(jane.0, joan.1)).await, Err(NoToken::NotTheSame));
    assert_eq!(setup.count(), 0);
}

#[tokio::test]
async fn a_client_proves_itself_by_a_key() {
    for own in [
        Signer::rsa("own"),
        Signer::elliptic("own"),
        Signer::edwards("own"),
    ] {
        let algorithm = json!(own.algorithm);
        let client = |file: &Path| json!({"privateKey": {"id": "mcp", "file": file, "algorithm": algorithm, "keyId": "own"}});
        let setup = Setup::with(client, &own.pem).await;
        let jane = setup.user("jane", 1).await;
        setup.token(&jane).await.expect("a token");
        let asked = &setup.issuer.exchanges()[0];
        assert_eq!(asked.authorization, None);
        assert_eq!(asked.form["client_id"], "mcp");
        assert_eq!(
            asked.form["client_assertion_type"],
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        let public: Jwk = serde_json::from_value(own.public()).expect("a key");
        let mut validation = Validation::new(own.algorithm);
        validation.set_audience(&[&setup.issuer.url]);
        validation.set_issuer(&["mcp"]);
        // The clock of these tests stands in another year.
        validation.validate_exp = false;
        let key = DecodingKey::from_jwk(&public).expect("a key");
        let assertion = &asked.form["client_assertion"];
        let read = jsonwebtoken::decode::<Value>(assertion, &key, &validation).expect("an assertion of ours");
        assert_eq!(read.header.kid.as_deref(), Some("own"));
        assert_eq!(
            (&read.claims["sub"], &read.claims["exp"]),
            (&json!("mcp"), &json!(NOW + 60))
        );
        assert!(read.claims["jti"].is_string());
    }
}

#[tokio::test]
async fn a_client_proves_itself_by_its_pods_token() {
    let client = |file: &Path| json!({"serviceAccountToken": {"file": file}});
    let setup = Setup::with(client, "a.b.c\n").await;
    let jane = setup.user("jane", 1).await;
    setup.token(&jane).await.expect("a token");
    let asked = &setup.issuer.exchanges()[0];
    assert_eq!(asked.form["client_assertion"], "a.b.c");
    assert!(!asked.form.contains_key("client_id"));
}

#[tokio::test]
async fn a_key_that_is_none_is_told_of_by_its_file_alone() {
    let client = |file: &Path| json!({"privateKey": {"id": "mcp", "file": file, "algorithm": "RS256"}});
    let setup = Setup::with(client, "surely no key").await;
    let jane = setup.user("jane", 1).await;
    let error = setup.token(&jane).await.expect_err("no key").to_string();
    assert!(error.contains("/file: ") && !error.contains("surely"), "{error}");
    assert_eq!(setup.count(), 0);
}

#[tokio::test]
async fn a_token_is_passed_on_only_if_it_is_for_kubernetes_too() {
    let signer = Signer::elliptic("one");
    let issuer = FakeIssuer::start(&[&signer]).await;
    let pass = json!({"audience": KUBERNETES, "iAcceptThatMcpForbidsThis": true});
    let server = Server::new(&issuer.url, json!({"kubernetes": {"passThrough": pass}}));
    let tokens = server.tokens.as_ref().expect("pass-through");
    for (audience, passed) in [
        (json!([RESOURCE, KUBERNETES]), true),
        (json!(RESOURCE), false),
        (json!([RESOURCE, format!("{KUBERNETES}/")]), false),
    ] {
        let mut claims = issuer.claims();
        claims["aud"] = audience.clone();
        let token = signer.token(&claims);
        let user = server.verify(&token).await.expect("good");
        let got = tokens.token(&user, &SecretString::from(token.as_str())).await;
        match got {
            Ok(got) => assert!(passed && got.expose_secret() == token, "{audience}"),
            Err(error) => assert!(
                !passed && matches!(error, NoToken::NotForKubernetes(_)),
                "{audience}: {error}"
            ),
        }
    }
}
