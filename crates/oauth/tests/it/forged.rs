//! Tokens that somebody made up, bent or took from elsewhere.

use jsonwebtoken::{Algorithm, EncodingKey};
use mk8s_oauth::Refused;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{FakeIssuer, NOW, RESOURCE, Server, Signer, part};

/// The claims with one of them changed; null takes it away.
fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    if value.is_null() {
        claims.as_object_mut().expect("claims").remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

#[tokio::test]
async fn a_good_token_says_who_it_is_and_what_they_may() {
    let signers = [Signer::rsa("r"), Signer::elliptic("e"), Signer::edwards("d")];
    let issuer = FakeIssuer::start(&[&signers[0], &signers[1], &signers[2]]).await;
    let server = Server::new(&issuer.url, json!({}));
    for signer in &signers {
        let verified = server
            .verify(&signer.token(&issuer.claims()))
            .await
            .expect("good");
        assert_eq!(verified.identity.user(), "oidc:jane");
        assert_eq!(
            verified.identity.groups().collect::<Vec<_>>(),
            ["oidc:dev", "oidc:ops"]
        );
        assert_eq!((&*verified.subject, &*verified.issuer), ("jane", &*issuer.url));
        assert_eq!(verified.client.as_deref(), Some("cli"));
        assert_eq!(verified.expires.as_second(), NOW + 600);
        let scopes: Vec<_> = verified.scopes.iter().map(|scope| scope.as_str()).collect();
        assert_eq!(scopes, ["mcp:read", "mcp:write"]);
    }
}

#[tokio::test]
async fn a_signature_that_is_not_the_issuers_is_never_taken() {
    let (good, other) = (Signer::rsa("one"), Signer::rsa("one"));
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({}));
    let claims = issuer.claims();
    let genuine = good.token(&claims);
    let signature = genuine.rsplit('.').next().expect("a signature");
    let header = |alg: &str| json!({"alg": alg, "typ": "at+jwt", "kid": "one"});
    let unsigned = |alg: &str| format!("{}.{}", part(header(alg).to_string()), part(claims.to_string()));
    // The key confusion of old: what is public, used as a shared secret.
    let shared = |secret: &[u8]| {
        let message = unsigned("HS256");
        let key = EncodingKey::from_secret(secret);
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("signed");
        format!("{message}.{signature}")
    };
    let public = good.public();
    let embedding = |name: &str, value: Value| {
        let mut header = other.header();
        header[name] = value;
        other.token_with(&header.to_string(), &claims.to_string())
    };
    let place = format!("{}/jwks", issuer.url);
    let raised = with(&claims, "sub", json!("admin")).to_string();
    for (what, token) in [
        ("unsigned", format!("{}.", unsigned("none"))),
        ("unsigned, in capitals", format!("{}.", unsigned("NONE"))),
        (
            "unsigned, with a signature",
            format!("{}.{signature}", unsigned("none")),
        ),
        (
            "no algorithm",
            format!("{}.{}.{signature}", part("{}"), part(claims.to_string())),
        ),
        (
            "a shared secret: the key set's key",
            shared(public.to_string().as_bytes()),
        ),
        (
            "a shared secret: the modulus",
            shared(public["n"].as_str().expect("n").as_bytes()),
        ),
        ("a shared secret: nothing", shared(b"")),
        ("another key of the same name", other.token(&claims)),
        ("another's key in the header", embedding("jwk", other.public())),
        (
            "a place of keys in the header",
            embedding("jku", json!("https://evil.example.com/jwks")),
        ),
        ("the issuer's own place of keys", embedding("jku", json!(place))),
        (
            "a place of certificates",
            embedding("x5u", json!("https://evil.example.com/cert")),
        ),
        ("a certificate", embedding("x5c", json!(["AAAA"]))),
        ("no signature", format!("{}.", unsigned("RS256"))),
        (
            "a signature of zeros",
            format!("{}.{}", unsigned("RS256"), part([0; 256])),
        ),
        (
            "a piece of the signature",
            genuine[..genuine.len() - 4].to_owned(),
        ),
        ("more than the signature", format!("{genuine}AAAA")),
        ("another's name on it", {
            let header = genuine.split('.').next().expect("a header");
            format!("{header}.{}.{signature}", part(&raised))
        }),
        (
            "another algorithm of the same key",
            format!("{}.{signature}", unsigned("PS256")),
        ),
        ("a longer hash", format!("{}.{signature}", unsigned("RS512"))),
        (
            "another kind of key",
            format!("{}.{signature}", unsigned("ES256")),
        ),
        ("an unknown key", {
            let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": "two"}).to_string();
            good.token_with(&header, &claims.to_string())
        }),
        ("a path for a key", {
            let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": "../../one"}).to_string();
            good.token_with(&header, &claims.to_string())
        }),
    ] {
        let refused = server.verify(&token).await.expect_err(what);
        assert!(
            matches!(refused, Refused::Untrusted | Refused::Malformed(_)),
            "{what}: {refused}"
        );
    }
    assert!(server.verify(&genuine).await.is_ok());
}

#[tokio::test]
async fn an_algorithm_that_is_not_allowed_is_refused_whoever_signed() {
    let (allowed, other) = (Signer::rsa("one"), Signer::elliptic("two"));
    let issuer = FakeIssuer::start(&[&allowed, &other]).await;
    let server = Server::new(&issuer.url, json!({"algorithms": ["RS256"]}));
    let claims = issuer.claims();
    let pss = Signer {
        algorithm: Algorithm::PS256,
        ..Signer::rsa("three")
    };
    issuer.publish(&[&allowed, &other, &pss]);
    for token in [other.token(&claims), pss.token(&claims)] {
        assert!(matches!(server.verify(&token).await, Err(Refused::Malformed(_))));
    }
    assert_eq!(issuer.keys_asked(), 0);
    assert!(server.verify(&allowed.token(&claims)).await.is_ok());
    let lenient = Server::new(&issuer.url, json!({"algorithms": ["PS256", "ES256"]}));
    assert!(lenient.verify(&pss.token(&claims)).await.is_ok());
    assert!(lenient.verify(&other.token(&claims)).await.is_ok());
    assert!(lenient.verify(&allowed.token(&claims)).await.is_err());
}

#[tokio::test]
async fn what_a_header_says_of_keys_is_not_looked_at_even_if_the_signature_is_good() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({}));
    let mut header = good.header();
    header["jwk"] = json!({"kty": "oct", "k": "AAAA"});
    header["jku"] = json!("https://evil.example.com/jwks");
    header["x5u"] = json!(["not even a text"]);
    let token = good.token_with(&header.to_string(), &issuer.claims().to_string());
    assert!(server.verify(&token).await.is_ok());
}

#[tokio::test]
async fn a_header_says_that_it_is_of_an_access_token() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let (lenient, strict) = (
        Server::new(&issuer.url, json!({})),
        Server::new(&issuer.url, json!({"requireAtJwt": true})),
    );
    for (said, taken, taken_strictly) in [
        (json!("at+jwt"), true, true),
        (json!("AT+JWT"), true, true),
        (json!("application/at+jwt"), true, true),
        (json!("JWT"), true, false),
        (Value::Null, true, false),
        (json!("id+jwt"), false, false),
        (json!("logout+jwt"), false, false),
        (json!("dpop+jwt"), false, false),
        (json!("JWE"), false, false),
        (json!(""), false, false),
        (json!(1), false, false),
    ] {
        let header = with(&good.header(), "typ", said.clone()).to_string();
        let token = good.token_with(&header, &issuer.claims().to_string());
        assert_eq!(lenient.verify(&token).await.is_ok(), taken, "{said}");
        assert_eq!(
            strict.verify(&token).await.is_ok(),
            taken_strictly,
            "{said}, strictly"
        );
    }
}

#[tokio::test]
async fn an_id_token_opens_nothing() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({}));
    let header = with(&good.header(), "typ", json!("JWT")).to_string();
    for (name, value) in [
        ("at_hash", "AAAA"),
        ("nonce", "AAAA"),
        ("c_hash", "AAAA"),
        ("typ", "ID"),
    ] {
        let claims = with(&issuer.claims(), name, json!(value));
        let token = good.token_with(&header, &claims.to_string());
        assert!(
            matches!(server.verify(&token).await, Err(Refused::Malformed(_))),
            "{name}"
        );
        // What says that it is an access token may have them.
        assert!(server.verify(&good.token(&claims)).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_token_for_somebody_else_is_not_for_us() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({}));
    let of = |audience: Value| good.token(&with(&issuer.claims(), "aud", audience));
    for ours in [json!(RESOURCE), json!([RESOURCE]), json!(["other", RESOURCE])] {
        assert!(server.verify(&of(ours.clone())).await.is_ok(), "{ours}");
    }
    for other in [
        Value::Null,
        json!(""),
        json!([]),
        json!([""]),
        json!("other"),
        json!("https://mcp.example.com"),
        json!("https://mcp.example.com/"),
        json!(format!("{RESOURCE}/")),
        json!(format!("{RESOURCE}2")),
        json!(format!("{RESOURCE}?x")),
        json!(format!(" {RESOURCE}")),
        json!(format!("{RESOURCE}\u{0}")),
        json!(format!("{RESOURCE} other")),
        json!(format!("other,{RESOURCE}")),
        json!(RESOURCE.to_uppercase()),
        json!(RESOURCE.replace("https", "http")),
        json!(RESOURCE.replace("mcp.", "MCP.")),
        json!(["https://mcp.example.com", "/mcp"]),
    ] {
        assert_eq!(
            server.verify(&of(other.clone())).await.err(),
            Some(Refused::WrongAudience),
            "{other}"
        );
    }
    for odd in [
        json!([[RESOURCE]]),
        json!({"0": RESOURCE}),
        json!([RESOURCE, 1]),
        json!(1),
        json!(true),
    ] {
        assert!(
            matches!(server.verify(&of(odd.clone())).await, Err(Refused::Malformed(_))),
            "{odd}"
        );
    }
    for (first, second) in [(RESOURCE, "other"), ("other", RESOURCE)] {
        let claims = issuer.claims().to_string();
        let twice = claims.replacen(
            &format!("\"aud\":\"{RESOURCE}\""),
            &format!("\"aud\":\"{first}\",\"aud\":\"{second}\""),
            1,
        );
        assert_ne!(claims, twice);
        let token = good.token_with(&good.header().to_string(), &twice);
        assert!(
            matches!(server.verify(&token).await, Err(Refused::Malformed(_))),
            "{first} and {second}"
        );
    }
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused_even_with_the_same_keys() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({}));
    for other in [
        json!("https://other.example.com"),
        json!(format!("{}/", issuer.url)),
        json!(issuer.url.to_uppercase()),
        json!(""),
        Value::Null,
    ] {
        let token = good.token(&with(&issuer.claims(), "iss", other.clone()));
        assert_eq!(
            server.verify(&token).await.err(),
            Some(Refused::WrongIssuer),
            "{other}"
        );
    }
    for odd in [json!([issuer.url]), json!(1)] {
        let token = good.token(&with(&issuer.claims(), "iss", odd.clone()));
        assert!(
            matches!(server.verify(&token).await, Err(Refused::Malformed(_))),
            "{odd}"
        );
    }
    assert_eq!(
        issuer.keys_asked(),
        0,
        "nobody was asked for keys because of another's tokens"
    );
}

#[tokio::test]
async fn a_token_is_good_between_its_times_and_for_a_bounded_time() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({"leeway": "60s", "maxLifetime": "1h"}));
    for (changes, refused) in [
        (json!({"exp": NOW + 1}), None),
        (json!({"exp": NOW - 59}), None),
        (json!({"exp": NOW - 60}), Some(Refused::Expired)),
        (json!({"exp": NOW - 3600}), Some(Refused::Expired)),
        (json!({"exp": 0}), Some(Refused::Expired)),
        (json!({"exp": -1}), Some(Refused::Expired)),
        (json!({"nbf": NOW + 60}), None),
        (json!({"nbf": NOW + 61}), Some(Refused::NotYetValid)),
        (json!({"iat": NOW + 60}), None),
        (json!({"iat": NOW + 61}), Some(Refused::NotYetValid)),
        (json!({"iat": NOW, "exp": NOW + 3600}), None),
        (json!({"iat": NOW, "exp": NOW + 3601}), Some(Refused::TooLong)),
        (json!({"iat": 0}), Some(Refused::TooLong)),
        (json!({"iat": null, "exp": NOW + 3660}), None),
        (json!({"iat": null, "exp": NOW + 3661}), Some(Refused::TooLong)),
    ] {
        let mut claims = issuer.claims();
        for (name, value) in changes.as_object().expect("changes") {
            claims = with(&claims, name, value.clone());
        }
        let outcome = server.verify(&good.token(&claims)).await;
        assert_eq!(outcome.err(), refused, "{changes}");
    }
}

#[tokio::test]
async fn claims_that_are_missing_or_of_another_type_are_not_guessed() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({}));
    for (name, value) in [
        ("exp", Value::Null),
        ("exp", json!("never")),
        ("exp", json!(format!("{}", NOW + 60))),
        ("exp", json!(1e300)),
        ("exp", json!([NOW + 60])),
        ("nbf", json!("now")),
        ("iat", json!({})),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(1)),
        ("sub", json!(["jane"])),
        ("groups", json!([1])),
        ("groups", json!({"dev": true})),
        ("groups", json!([["dev"]])),
        ("groups", json!([""])),
        ("scope", json!(1)),
        ("scope", json!("mcp:read \"x\"")),
        ("client_id", json!(1)),
        ("cnf", json!({"jkt": "AAAA"})),
    ] {
        let token = good.token(&with(&issuer.claims(), name, value.clone()));
        let refused = server.verify(&token).await.err();
        assert!(
            matches!(refused, Some(Refused::Malformed(_))),
            "{name} {value}: {refused:?}"
        );
    }
    let one = good.token(&with(&issuer.claims(), "groups", json!("dev")));
    let identity = server.verify(&one).await.expect("good").identity;
    assert_eq!(identity.groups().collect::<Vec<_>>(), ["oidc:dev"]);
    let none = good.token(&with(&issuer.claims(), "groups", Value::Null));
    assert_eq!(
        server.verify(&none).await.expect("good").identity.groups().len(),
        0
    );
}

#[tokio::test]
async fn nobody_becomes_a_part_of_kubernetes() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let bare = Server::new(
        &issuer.url,
        json!({"username": {"claim": "sub", "prefix": ""}, "groups": {"claim": "groups", "prefix": ""}}),
    );
    let split = Server::new(
        &issuer.url,
        json!({"username": {"claim": "sub", "prefix": "sys"}}),
    );
    let named = |name: &str, value: Value| good.token(&with(&issuer.claims(), name, value));
    for (server, token) in [
        (&bare, named("sub", json!("system:admin"))),
        (&bare, named("sub", json!("System:serviceaccount:kube-system:x"))),
        (&bare, named("groups", json!(["dev", "system:masters"]))),
        (
            &bare,
            named("sub", json!("jane\r\nImpersonate-Group: system:masters")),
        ),
        (&bare, named("sub", json!("x".repeat(2000)))),
        (&split, named("sub", json!("tem:admin"))),
    ] {
        assert!(matches!(server.verify(&token).await, Err(Refused::Identity(_))));
    }
}

#[tokio::test]
async fn an_address_that_nobody_proved_to_be_theirs_is_no_name() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({"username": {"claim": "email", "prefix": ""}}));
    let claims = with(&issuer.claims(), "email", json!("jane@example.com"));
    for (verified, taken) in [
        (Value::Null, true),
        (json!(true), true),
        (json!(false), false),
        (json!("true"), false),
    ] {
        let token = good.token(&with(&claims, "email_verified", verified.clone()));
        assert_eq!(server.verify(&token).await.is_ok(), taken, "{verified}");
    }
}

#[tokio::test]
async fn only_the_clients_that_are_named_have_business_here_if_any_are() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({"authorizedParties": ["cli"]}));
    let claims = issuer.claims();
    assert!(server.verify(&good.token(&claims)).await.is_ok());
    for other in [
        with(&claims, "client_id", json!("other")),
        with(&claims, "client_id", Value::Null),
        with(&claims, "azp", json!("other")),
    ] {
        assert_eq!(
            server.verify(&good.token(&other)).await.err(),
            Some(Refused::WrongClient),
            "{other}"
        );
    }
}

#[tokio::test]
async fn a_huge_token_and_one_within_another_are_none() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({}));
    let inner = good.token(&issuer.claims());
    let header = json!({"alg": "RS256", "kid": "one", "cty": "JWT"}).to_string();
    let groups: Vec<String> = (0..5000).map(|n| format!("group-{n}")).collect();
    for (what, token) in [
        (
            "huge",
            good.token(&with(&issuer.claims(), "groups", json!(groups))),
        ),
        ("one in another", good.token_with(&header, &inner)),
        (
            "one in another's text",
            good.token_with(&header, &json!(inner).to_string()),
        ),
        (
            "deep",
            good.token_with(&good.header().to_string(), &"[".repeat(5000)),
        ),
        ("critical", {
            let header = json!({"alg": "RS256", "kid": "one", "crit": ["exp"], "exp": NOW + 60}).to_string();
            good.token_with(&header, &issuer.claims().to_string())
        }),
        ("encrypted", format!("{inner}.AAAA.AAAA")),
        ("with space around", format!(" {inner}")),
    ] {
        assert!(
            matches!(server.verify(&token).await, Err(Refused::Malformed(_))),
            "{what}"
        );
    }
}

#[tokio::test]
async fn no_token_is_ever_shown() {
    let good = Signer::rsa("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({}));
    let token = good.token(&issuer.claims());
    let verified = server.verify(&token).await.expect("good");
    let shown = format!("{verified:?}");
    for piece in token.split('.') {
        assert!(!shown.contains(&piece[..16]), "{shown}");
    }
    for bad in [&token[1..], &token[..token.len() - 8], "Zm9v.YmFy.YmF6"] {
        let refused = server.verify(bad).await.expect_err("bad");
        let challenge = server.verifier.challenges().of(&refused);
        let shown = format!("{refused:?} {refused} {challenge:?}");
        assert!(
            !shown.contains(&bad[..12]) && !shown.contains(&bad[bad.len() - 6..]),
            "{shown}"
        );
    }
}

#[test]
fn whatever_is_sent_as_a_token_it_is_refused_and_nothing_breaks() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let good = Signer::elliptic("one");
    let issuer = runtime.block_on(FakeIssuer::start(&[&good]));
    let server = Server::new(&issuer.url, json!({}));
    let genuine = good.token(&issuer.claims());
    let refused = |token: &str| runtime.block_on(server.verify(token)).is_err();
    assert!(!refused(&genuine));
    proptest!(ProptestConfig::with_cases(256), |(text in ".{0,200}", parts in prop::collection::vec(any::<Vec<u8>>(), 3))| {
        prop_assert!(refused(&text));
        let parts: Vec<String> = parts.iter().map(part).collect();
        prop_assert!(refused(&parts.join(".")));
    });
    // One character of a good token changed, to another that a token may have.
    proptest!(ProptestConfig::with_cases(256), |(at in 0..genuine.len(), to in "[A-Za-z0-9_.-]")| {
        let mut bent = genuine.clone();
        bent.replace_range(at..=at, &to);
        prop_assert!(bent == genuine || refused(&bent), "{at} {to}");
    });
    // Signed claims of any content.
    proptest!(ProptestConfig::with_cases(128), |(claims in prop::collection::vec(any::<u8>(), 0..100))| {
        let message = format!("{}.{}", part(good.header().to_string()), part(&claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &good.key, good.algorithm).expect("signed");
        let token = format!("{message}.{signature}");
        prop_assert!(refused(&token));
    });
}
