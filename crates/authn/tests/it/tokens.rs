//! Tokens, good and bad.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use mk8s_authn::{
    Clock, ManualClock, SigningKeys, TokenError, TokenIssuer, TokenVerifier,
    token::{Subject, TokenSettings},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{AUDIENCE, HOUR, ISSUER, email, keys, settings, start};

struct Fixture {
    clock: Arc<ManualClock>,
    issuer: TokenIssuer,
    verifier: TokenVerifier,
    subject: Subject,
}

fn fixture() -> Fixture {
    let clock = Arc::new(ManualClock::new(start()));
    let shared = Arc::clone(&clock) as Arc<dyn Clock>;
    Fixture {
        issuer: TokenIssuer::new(keys(), settings(), Arc::clone(&shared)),
        verifier: TokenVerifier::new(keys(), ISSUER, AUDIENCE, shared, 100),
        subject: Subject {
            user_id: Uuid::new_v4(),
            session_id: Uuid::new_v4(),
            email: email(),
        },
        clock,
    }
}

impl Fixture {
    fn token(&self) -> String {
        self.issuer.issue(&self.subject).expect("signed").token
    }

    fn error(&self, token: &str) -> TokenError {
        self.verifier.verify(token).expect_err("refused")
    }
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().expect("three parts")
}

#[test]
fn a_token_says_who_it_is_about() {
    let f = fixture();
    let issued = f.issuer.issue(&f.subject).expect("signed");
    let verified = f.verifier.verify(&issued.token).expect("good");
    assert_eq!(verified.user_id, f.subject.user_id);
    assert_eq!(verified.session_id, f.subject.session_id);
    assert_eq!(&*verified.email, "dev@example.com");
    assert_eq!(verified.expires_at, issued.expires_at);
    assert_eq!(issued.expires_at, start() + HOUR);
    let [header, claims, _] = parts(&issued.token);
    let header = decode(header);
    assert_eq!(
        (&header["alg"], &header["kid"]),
        (&json!("RS256"), &json!(keys().signing_key_id()))
    );
    let claims = decode(claims);
    let mut names: Vec<_> = claims
        .as_object()
        .expect("claims")
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["aud", "email", "exp", "iat", "iss", "jti", "nbf", "sid", "sub"]
    );
}

#[test]
fn a_second_look_gives_the_same_without_the_signature() {
    let f = fixture();
    let token = f.token();
    let first = f.verifier.verify(&token).expect("good");
    assert!(Arc::ptr_eq(&first, &f.verifier.verify(&token).expect("good")));
    // A remembered token is no reason to take another with the same beginning.
    assert!(f.verifier.verify(&token[..token.len() - 1]).is_err());
}

#[test]
fn expiry_is_by_the_handed_clock_with_a_minute_of_leeway() {
    let f = fixture();
    let token = f.token();
    for verifier in [&f.verifier, &fixture().verifier] {
        // The first has the token in its memory, and the other's clock doesn't move.
        assert!(verifier.verify(&token).is_ok());
    }
    f.clock.set(start() + HOUR + Duration::from_secs(60));
    assert!(f.verifier.verify(&token).is_ok());
    f.clock.set(start() + HOUR + Duration::from_secs(61));
    let ago = SignedDuration::from_secs(61);
    assert_eq!(f.error(&token), TokenError::Expired { ago });
    let anew = TokenVerifier::new(
        keys(),
        ISSUER,
        AUDIENCE,
        Arc::clone(&f.clock) as Arc<dyn Clock>,
        10,
    );
    assert_eq!(
        anew.verify(&token).expect_err("refused"),
        TokenError::Expired { ago }
    );
    assert_eq!(
        f.error(&token).to_string(),
        "the token expired 61 s ago: log in again"
    );
}

#[test]
fn a_clock_that_is_ten_minutes_off_is_said_to_be() {
    let f = fixture();
    let token = f.token();
    f.clock.set(start() - Duration::from_secs(60));
    assert!(f.verifier.verify(&token).is_ok());
    let f = fixture();
    f.clock.set(start() - Duration::from_secs(600));
    let error = f.error(&token);
    assert_eq!(
        error,
        TokenError::NotYetValid {
            ahead: SignedDuration::from_mins(10)
        }
    );
    assert_eq!(
        error.to_string(),
        "the token begins only in 10 min 0 s: the clock here or where it was issued is off; set it (NTP)"
    );
}

#[test]
fn no_algorithm_but_rs256() {
    let f = fixture();
    let token = f.token();
    let [_, claims, signature] = parts(&token);
    for algorithm in [
        "none", "None", "NONE", "nOnE", "HS256", "RS384", "RS512", "PS256", "ES256", "", "rs256",
    ] {
        let header = encode(&json!({"alg": algorithm, "typ": "JWT", "kid": keys().signing_key_id()}));
        for signature in ["", signature] {
            let error = f.error(&format!("{header}.{claims}.{signature}"));
            assert_eq!(
                error,
                TokenError::WrongAlgorithm(algorithm.to_owned()),
                "{algorithm}"
            );
        }
    }
    // The public key as an HMAC secret, the classic.
    let secret = jsonwebtoken::EncodingKey::from_secret(keys().jwks().as_bytes());
    let header = jsonwebtoken::Header {
        kid: Some(keys().signing_key_id().to_owned()),
        ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256)
    };
    let forged = jsonwebtoken::encode(&header, &decode(claims), &secret).expect("signed");
    assert_eq!(f.error(&forged), TokenError::WrongAlgorithm("HS256".to_owned()));
}

#[test]
fn a_foreign_key_is_unknown_and_a_borrowed_name_does_not_help() {
    let f = fixture();
    let foreign = SigningKeys::ephemeral().expect("a key");
    let clock = Arc::clone(&f.clock) as Arc<dyn Clock>;
    let token = TokenIssuer::new(foreign.clone(), settings(), clock)
        .issue(&f.subject)
        .expect("signed")
        .token;
    assert_eq!(
        f.error(&token),
        TokenError::UnknownKey(foreign.signing_key_id().to_owned())
    );
    let directory = tempfile::tempdir().expect("a directory");
    SigningKeys::load_or_create(directory.path()).expect("a key");
    let pem = std::fs::read(directory.path().join("token-0001.pem")).expect("read");
    let key = jsonwebtoken::EncodingKey::from_rsa_pem(&pem).expect("a key");
    let header = jsonwebtoken::Header {
        kid: Some(keys().signing_key_id().to_owned()),
        ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256)
    };
    let forged = jsonwebtoken::encode(&header, &decode(parts(&token)[1]), &key).expect("signed");
    assert_eq!(f.error(&forged), TokenError::BadSignature);
}

#[test]
fn a_tampered_token_has_a_bad_signature() {
    let f = fixture();
    let token = f.token();
    let [header, claims, signature] = parts(&token);
    for (name, value) in [
        ("sub", json!(Uuid::new_v4())),
        ("email", json!("admin@example.com")),
        ("exp", json!(9_999_999_999_i64)),
        ("iss", json!("https://evil.example")),
    ] {
        let mut changed = decode(claims);
        changed[name] = value;
        assert_eq!(
            f.error(&format!("{header}.{}.{signature}", encode(&changed))),
            TokenError::BadSignature,
            "{name}"
        );
    }
    assert_eq!(f.error(&format!("{header}.{claims}.")), TokenError::BadSignature);
}

#[test]
fn tokens_of_others_are_told_apart() {
    let f = fixture();
    let clock = Arc::clone(&f.clock) as Arc<dyn Clock>;
    let issue = |settings| {
        TokenIssuer::new(keys(), settings, Arc::clone(&clock))
            .issue(&f.subject)
            .expect("signed")
            .token
    };
    let other_issuer = TokenSettings {
        issuer: "https://other.example".to_owned(),
        ..settings()
    };
    let other_audience = TokenSettings {
        audience: "other".to_owned(),
        ..settings()
    };
    assert_eq!(f.error(&issue(other_issuer)), TokenError::WrongIssuer);
    assert_eq!(f.error(&issue(other_audience)), TokenError::WrongAudience);
}

#[test]
fn what_is_no_token_is_malformed() {
    let f = fixture();
    let token = f.token();
    let [_, claims, signature] = parts(&token);
    let with = |header: Value| format!("{}.{claims}.{signature}", encode(&header));
    let kid = keys().signing_key_id().to_owned();
    let rows = [
        String::new(),
        "x".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        format!("{token}.x"),
        format!("é{token}"),
        format!("!.{claims}.{signature}"),
        with(json!(7)),
        with(json!({"typ": "JWT"})),
        with(json!({"alg": 7})),
        with(json!({"alg": "RS256"})),
        with(json!({"alg": "RS256", "kid": kid, "crit": ["exp"]})),
    ];
    for row in rows {
        assert!(
            matches!(f.error(&row), TokenError::Malformed(_)),
            "{row}: {:?}",
            f.error(&row)
        );
    }
    assert_eq!(f.error(&"x".repeat(8193)), TokenError::TooLong);
    let huge = format!(
        "{}.{claims}.{signature}",
        encode(&json!({"alg": "x".repeat(1000), "kid": kid}))
    );
    assert!(matches!(f.error(&huge), TokenError::WrongAlgorithm(shown) if shown.len() == 64));
}

/// Printed, not asserted: how long a hit takes depends on the machine and on what else it does. In a release build on the
/// build machine it is about a microsecond, nearly all of it SHA-256.
#[test]
fn a_hit_is_cheap() {
    let f = fixture();
    let token = f.token();
    // The best of many short runs: what else the machine does is not what is asked.
    let time = || {
        let run = |_| {
            let begin = std::time::Instant::now();
            for _ in 0..500 {
                std::hint::black_box(f.verifier.verify(&token)).expect("good");
            }
            begin.elapsed() / 500
        };
        (0..100).map(run).min().expect("a hundred")
    };
    let alone = time();
    let together = std::thread::scope(|scope| {
        let other = scope.spawn(time);
        time().max(other.join().expect("no panic"))
    });
    println!("a hit: {alone:?} on one thread, {together:?} on two at once");
    assert!(
        alone < Duration::from_millis(1),
        "{alone:?}: the signature is being checked again"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_bytes_never_panic(text in "\\PC{0,60}(\\.\\PC{0,60}){0,4}", at in 0_usize..700, byte in 0_u8..128) {
        let f = fixture();
        prop_assert!(f.verifier.verify(&text).is_err());
        let mut token = f.token().into_bytes();
        let at = at % token.len();
        if token[at] != byte {
            token[at] = byte;
            let token = String::from_utf8(token).expect("ASCII");
            prop_assert!(f.verifier.verify(&token).is_err());
        }
    }
}
