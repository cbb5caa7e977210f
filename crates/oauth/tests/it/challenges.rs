//! What clients are told: before they have a token, and when it isn't taken.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use mk8s_oauth::{Challenge, Challenges, FetchError, ProtectedResource, Refused, Scope, Settings};
use serde_json::{Value, json};

use crate::support::{FakeIssuer, RESOURCE, Server, Signer};

fn settings(other: &Value) -> Settings {
    let mut settings = json!({
        "issuer": "https://login.example.com/realm",
        "resource": RESOURCE,
        "requiredScopes": ["mcp:read"],
        "supportedScopes": ["mcp:write"],
        "resourceName": "Kubernetes",
        "resourceDocumentation": "https://docs.example.com/mcp",
    });
    for (name, value) in other.as_object().expect("an object") {
        settings[name] = value.clone();
    }
    serde_json::from_value(settings).expect("settings")
}

fn words(challenge: &Challenge) -> &str {
    let value = challenge
        .headers
        .get(header::WWW_AUTHENTICATE)
        .expect("a challenge");
    value.to_str().expect("text")
}

#[test]
fn the_metadata_names_the_resource_and_where_to_get_tokens_for_it() {
    let resource = ProtectedResource::new(&settings(&json!({})));
    let document: Value = serde_json::from_slice(&resource.json()).expect("JSON");
    assert_eq!(
        document,
        json!({
            "resource": RESOURCE,
            "authorization_servers": ["https://login.example.com/realm"],
            "scopes_supported": ["mcp:write", "mcp:read"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Kubernetes",
            "resource_documentation": "https://docs.example.com/mcp",
        })
    );
    assert_eq!(
        resource.paths().collect::<Vec<_>>(),
        [
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/mcp"
        ]
    );
    let bare = ProtectedResource::new(&settings(&json!({"resource": "https://mcp.example.com"})));
    assert_eq!(
        bare.paths().collect::<Vec<_>>(),
        ["/.well-known/oauth-protected-resource"]
    );
}

#[test]
fn each_refusal_has_its_status_and_challenge() {
    const METADATA: &str =
        "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"";
    let challenges = Challenges::new(&settings(&json!({})));
    let missing = challenges.of(&Refused::Missing);
    assert_eq!(missing.status, StatusCode::UNAUTHORIZED);
    assert_eq!(words(&missing), format!("Bearer scope=\"mcp:read\", {METADATA}"));
    let expired = challenges.of(&Refused::Expired);
    assert_eq!(expired.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        words(&expired),
        format!(
            "Bearer error=\"invalid_token\", error_description=\"expired\", scope=\"mcp:read\", {METADATA}"
        )
    );
    let needed = ["mcp:read", "mcp:write"].map(|scope| Scope::new(scope).expect("a scope"));
    let insufficient = challenges.of(&Refused::InsufficientScope {
        needed: needed.into(),
    });
    assert_eq!(insufficient.status, StatusCode::FORBIDDEN);
    assert_eq!(
        words(&insufficient),
        format!(
            "Bearer error=\"insufficient_scope\", error_description=\"lacks a scope\", scope=\"mcp:read mcp:write\", {METADATA}"
        )
    );
    let away = FetchError::TimedOut {
        host: "login.example.com".to_owned(),
    };
    let unavailable = challenges.of(&Refused::KeysUnavailable(away));
    assert_eq!(unavailable.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(unavailable.headers.contains_key(header::RETRY_AFTER));
    assert!(!unavailable.headers.contains_key(header::WWW_AUTHENTICATE));
}

#[test]
fn every_challenge_is_well_formed_and_every_message_is_one_line() {
    let challenges = Challenges::new(&settings(&json!({"requiredScopes": []})));
    for refused in [
        Refused::Missing,
        Refused::Malformed("a claim is of another type than it must be"),
        Refused::Untrusted,
        Refused::Expired,
        Refused::NotYetValid,
        Refused::TooLong,
        Refused::WrongIssuer,
        Refused::WrongAudience,
        Refused::WrongClient,
        Refused::Identity(mk8s_model::InvalidIdentity::Reserved("\"system:x\"".to_owned())),
    ] {
        let challenge = challenges.of(&refused);
        let words = words(&challenge);
        assert_eq!(challenge.status, StatusCode::UNAUTHORIZED);
        assert!(
            words.starts_with("Bearer ") && !words.contains('\\') && !words.contains("scope="),
            "{words}"
        );
        assert_eq!(words.matches('"').count() % 2, 0, "{words}");
        assert!(!challenge.message.contains('\n'), "{}", challenge.message);
    }
}

#[tokio::test]
async fn a_token_is_taken_from_the_authorization_header() {
    let signer = Signer::elliptic("one");
    let issuer = FakeIssuer::start(&[&signer]).await;
    let server = Server::new(&issuer.url, json!({}));
    let token = signer.token(&issuer.claims());
    let with = |name: header::HeaderName, value: String| {
        HeaderMap::from_iter([(name, HeaderValue::try_from(value).expect("a value"))])
    };
    let good = with(header::AUTHORIZATION, format!("Bearer {token}"));
    let (_, verified) = server.verifier.authenticate(&good).await.expect("good");
    assert_eq!(verified.identity.user(), "oidc:jane");
    for elsewhere in [
        with(header::COOKIE, format!("access_token={token}")),
        with(header::PROXY_AUTHORIZATION, format!("Bearer {token}")),
        with(header::AUTHORIZATION, format!("Basic {token}")),
        HeaderMap::new(),
    ] {
        let challenge = server
            .verifier
            .authenticate(&elsewhere)
            .await
            .expect_err("no token");
        assert_eq!(challenge.status, StatusCode::UNAUTHORIZED);
        assert!(!words(&challenge).contains("error="));
    }
}

#[tokio::test]
async fn a_scope_that_one_thing_needs_is_asked_for_with_those_that_all_need() {
    let signer = Signer::elliptic("one");
    let issuer = FakeIssuer::start(&[&signer]).await;
    let server = Server::new(&issuer.url, json!({}));
    let of = async |scope: Value| {
        let mut claims = issuer.claims();
        claims["scope"] = scope;
        server.verify(&signer.token(&claims)).await
    };
    let write = [Scope::new("mcp:write").expect("a scope")];
    let reader = of(json!("mcp:read")).await.expect("enough for most");
    assert!(server.verifier.require(&reader, &[]).is_ok());
    let Err(Refused::InsufficientScope { needed }) = server.verifier.require(&reader, &write) else {
        panic!("a reader can't write");
    };
    assert_eq!(
        needed.iter().map(Scope::as_str).collect::<Vec<_>>(),
        ["mcp:read", "mcp:write"]
    );
    let both = of(json!(["mcp:read", "mcp:write"])).await.expect("enough");
    assert!(server.verifier.require(&both, &write).is_ok());
    for little in [
        json!(""),
        json!("mcp:reader"),
        json!("MCP:READ"),
        json!("mcp"),
        json!([]),
    ] {
        assert!(
            matches!(of(little.clone()).await, Err(Refused::InsufficientScope { .. })),
            "{little}"
        );
    }
}
