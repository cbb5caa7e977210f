//! A real provider, by the real clock.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use jiff::Timestamp;
use mk8s_oauth::{Clock, NoToken, Refused, Scope, Settings, Verified, system_clock};
use mk8s_testkit::{Oidc, OidcSettings};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::support::{Hands, KUBERNETES, RESOURCE, Server, Signer};

const OTHER: &str = "https://other.example.com/api";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// A provider that knows two people and three audiences, and a client that may exchange tokens.
fn provider(client: &Value) -> Oidc {
    let map = |entries: Vec<(&str, Value)>| -> BTreeMap<String, Value> {
        entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    };
    let mut exchanger = json!({
        "client_id": "mcp",
        "grant_types": [EXCHANGE],
        "response_types": [],
        "redirect_uris": [],
    });
    for (name, value) in client.as_object().expect("an object") {
        exchanger[name] = value.clone();
    }
    Oidc::start(&OidcSettings {
        users: map(vec![
            ("alice", json!({"groups": ["dev"], "email": "alice@example.com"})),
            ("bob", json!({"groups": ["ops"], "email": "bob@example.com"})),
        ]),
        resources: map(vec![
            (
                RESOURCE,
                json!({"scope": "mcp:read mcp:write", "algorithm": "ES256"}),
            ),
            (OTHER, json!({"scope": "mcp:read"})),
            (KUBERNETES, json!({"scope": "", "algorithm": "EdDSA"})),
        ]),
        clients: vec![exchanger],
        exchanges: map(vec![("mcp", json!({"from": RESOURCE, "to": [KUBERNETES]}))]),
    })
}

/// A secret for the client, and the file that it is in.
fn secret() -> (Value, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let word = ["not", "a", "secret", "%&+:"].join("-");
    std::fs::write(&file, &word).expect("written");
    (
        json!({"client_secret": word, "token_endpoint_auth_method": "client_secret_basic"}),
        file,
    )
}

fn settings(provider: &Oidc, other: Value) -> Settings {
    let mut settings = json!({
        "issuer": provider.issuer(),
        "resource": RESOURCE,
        "requiredScopes": ["mcp:read"],
        "requireAtJwt": true,
        "groups": {"claim": "groups", "prefix": "oidc:"},
        "allowLoopbackHttp": true,
        "keys": {"refresh": "5m", "minInterval": "10s", "keep": "1h"},
    });
    for (name, value) in other.as_object().expect("an object") {
        settings[name] = value.clone();
    }
    serde_json::from_value(settings).expect("settings")
}

/// By the real clock, which the hands turn on from there.
fn server(provider: &Oidc, other: Value) -> Server {
    let hands = Hands::new();
    let (turned, began) = (hands.clock(), hands.clock()());
    let real = system_clock();
    let clock: Clock = Arc::new(move || -> Timestamp { real() + turned().duration_since(began) });
    Server::by(settings(provider, other), clock, hands)
}

fn exchanging(client: Value) -> Value {
    json!({"kubernetes": {"exchange": {"audience": KUBERNETES, "client": client}}})
}

fn claims(token: &SecretString) -> Value {
    let read = jsonwebtoken::dangerous::insecure_decode::<Value>(token.expose_secret());
    read.expect("a JWT").claims
}

async fn verified(server: &Server, token: &str) -> (Verified, SecretString) {
    (server.verify(token).await.expect("good"), token.into())
}

#[tokio::test]
async fn a_token_for_us_is_taken_and_one_for_another_is_not() {
    let (client, _file) = secret();
    let provider = provider(&client);
    let server = server(&provider, json!({}));
    let token = provider.token("alice", RESOURCE, "openid mcp:read").await;
    let verified = server.verify(&token).await.expect("good");
    assert_eq!(verified.identity.user(), "oidc:alice");
    assert_eq!(verified.identity.groups().collect::<Vec<_>>(), ["oidc:dev"]);
    assert_eq!(
        verified.client.as_deref(),
        Some(mk8s_testkit::oidc::PUBLIC_CLIENT)
    );
    let other = provider.token("alice", OTHER, "openid mcp:read").await;
    assert_eq!(server.verify(&other).await.err(), Some(Refused::WrongAudience));
}

#[tokio::test]
async fn a_token_that_reaches_less_far_is_told_what_it_lacks() {
    let (client, _file) = secret();
    let provider = provider(&client);
    let server = server(&provider, json!({}));
    let little = provider.token("alice", RESOURCE, "openid mcp:write").await;
    let refused = server.verify(&little).await.expect_err("it lacks a scope");
    let challenge = server.verifier.challenges().of(&refused);
    assert_eq!(challenge.status, 403);
    let words = challenge.headers["www-authenticate"].to_str().expect("text");
    assert!(
        words.contains(r#"error="insufficient_scope""#) && words.contains(r#"scope="mcp:read""#),
        "{words}"
    );
    let more = provider
        .token("alice", RESOURCE, "openid mcp:read mcp:write")
        .await;
    let user = server.verify(&more).await.expect("enough");
    assert!(
        server
            .verifier
            .require(&user, &[Scope::new("mcp:write").expect("a scope")])
            .is_ok()
    );
}

#[tokio::test]
async fn keys_that_are_replaced_while_we_run_are_found() {
    let (client, _file) = secret();
    let mut provider = provider(&client);
    let server = server(&provider, json!({}));
    let before = provider.token("alice", RESOURCE, "openid mcp:read").await;
    assert!(server.verify(&before).await.is_ok());
    provider.rotate(true);
    let after = provider.token("alice", RESOURCE, "openid mcp:read").await;
    server.hands.advance(Duration::from_secs(10));
    assert!(server.verify(&after).await.is_ok());
    assert!(
        server.verify(&before).await.is_ok(),
        "the key of before is published still"
    );
    assert_eq!(provider.asked().keys, 2);
    provider.rotate(false);
    let last = provider.token("bob", RESOURCE, "openid mcp:read").await;
    server.hands.advance(Duration::from_secs(10));
    assert!(server.verify(&last).await.is_ok());
    assert_eq!(server.verify(&before).await.err(), Some(Refused::Untrusted));
}

#[tokio::test]
async fn while_the_provider_is_down_known_keys_go_on_for_a_time() {
    let (client, _file) = secret();
    let mut provider = provider(&client);
    let server = server(
        &provider,
        json!({"leeway": "5m", "keys": {"refresh": "1m", "minInterval": "10s", "keep": "12m"}}),
    );
    let token = provider.token("alice", RESOURCE, "openid mcp:read").await;
    assert!(server.verify(&token).await.is_ok());
    provider.stop();
    server.hands.advance(Duration::from_secs(4 * 60));
    assert!(server.verify(&token).await.is_ok());
    server.hands.advance(Duration::from_secs(8 * 60));
    let refused = server.verify(&token).await.expect_err("the keys are too old");
    assert!(matches!(refused, Refused::KeysUnavailable(_)), "{refused}");
    assert_eq!(server.verifier.challenges().of(&refused).status, 503);
}

#[tokio::test]
async fn a_token_is_exchanged_for_one_of_the_same_user_for_kubernetes() {
    let (client, file) = secret();
    let mut provider = provider(&client);
    let server = server(
        &provider,
        exchanging(json!({"secret": {"id": "mcp", "file": file.path()}})),
    );
    let tokens = server.tokens.as_ref().expect("an exchange");
    let alice = verified(
        &server,
        &provider.token("alice", RESOURCE, "openid mcp:read").await,
    )
    .await;
    let got = tokens.token(&alice.0, &alice.1).await.expect("a token");
    let claims = claims(&got);
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&json!("alice"), &json!(KUBERNETES))
    );
    assert_eq!(claims["groups"], json!(["dev"]));
    let again = tokens.token(&alice.0, &alice.1).await.expect("a token");
    assert_eq!(again.expose_secret(), got.expose_secret());
    assert_eq!(provider.asked().exchange, 1);
    assert_eq!(
        server.verify(got.expose_secret()).await.err(),
        Some(Refused::WrongAudience),
        "what is for Kubernetes doesn't come in here"
    );
}

#[tokio::test]
async fn nobody_is_ever_handed_the_token_of_another() {
    let (client, file) = secret();
    let mut provider = provider(&client);
    let server = server(
        &provider,
        exchanging(json!({"secret": {"id": "mcp", "file": file.path()}})),
    );
    let tokens = server.tokens.as_ref().expect("an exchange");
    let mut users = Vec::new();
    for name in ["alice", "bob", "alice", "bob"] {
        users.push(verified(&server, &provider.token(name, RESOURCE, "openid mcp:read").await).await);
    }
    let asking = (0..200).map(|n| {
        let (user, bearer) = &users[n % users.len()];
        async move { (&user.subject, tokens.token(user, bearer).await.expect("a token")) }
    });
    for (subject, token) in join_all(asking).await {
        assert_eq!(claims(&token)["sub"], json!(**subject));
    }
    assert_eq!(provider.asked().exchange, users.len());
}

#[tokio::test]
async fn a_client_that_proves_itself_by_a_key_is_known() {
    let own = Signer::elliptic("own");
    let client = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [own.public()]},
    });
    let provider = provider(&client);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, &own.pem).expect("written");
    let key = json!({"id": "mcp", "file": file.path(), "algorithm": "ES256", "keyId": "own"});
    let server = server(&provider, exchanging(json!({"privateKey": key})));
    let alice = verified(
        &server,
        &provider.token("alice", RESOURCE, "openid mcp:read").await,
    )
    .await;
    let tokens = server.tokens.as_ref().expect("an exchange");
    assert!(tokens.token(&alice.0, &alice.1).await.is_ok());
    std::fs::write(&file, Signer::elliptic("own").pem).expect("written");
    tokens.forget(&alice.0).await;
    let refused = tokens.token(&alice.0, &alice.1).await.expect_err("another's key");
    assert!(
        matches!(
            refused,
            NoToken::Refused {
                code: "invalid_client",
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn an_audience_that_the_client_may_not_ask_for_is_refused() {
    let (client, file) = secret();
    let provider = provider(&client);
    let mut other = exchanging(json!({"secret": {"id": "mcp", "file": file.path()}}));
    other["kubernetes"]["exchange"]["audience"] = json!(OTHER);
    let server = server(&provider, other);
    let alice = verified(
        &server,
        &provider.token("alice", RESOURCE, "openid mcp:read").await,
    )
    .await;
    let tokens = server.tokens.as_ref().expect("an exchange");
    let refused = tokens
        .token(&alice.0, &alice.1)
        .await
        .expect_err("not for this client");
    assert!(
        matches!(
            refused,
            NoToken::Refused {
                code: "invalid_target",
                ..
            }
        ),
        "{refused}"
    );
}
