//! What a token endpoint answers (RFC 8693 section 2.2), believed as far as it is what was asked for.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use std::time::Duration;

use super::TokenType;
use crate::{
    NoToken,
    clock::later,
    jws,
    object::{Object, WrongType},
};

/// What was asked for, and when.
pub(super) struct Asked<'a> {
    pub(super) subject: &'a str,
    pub(super) audience: &'a str,
    pub(super) token_type: TokenType,
    pub(super) now: Timestamp,
}

/// What was got.
pub(super) struct Granted {
    pub(super) token: SecretString,
    /// Its end, if anything says.
    pub(super) expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Grant {
    access_token: SecretString,
    issued_token_type: String,
    token_type: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// The errors there are, and what to do about each.
const REFUSALS: [(&str, &str); 8] = [
    (
        "invalid_request",
        "sign in again; the provider may not exchange tokens at all",
    ),
    (
        "invalid_client",
        "have this server's client id and credentials checked",
    ),
    ("invalid_grant", "sign in again"),
    (
        "unauthorized_client",
        "have this server's client allowed to exchange tokens",
    ),
    (
        "unsupported_grant_type",
        "have token exchange switched on at the provider",
    ),
    ("invalid_scope", "have kubernetes.exchange.scopes checked"),
    (
        "invalid_target",
        "have this server's client allowed to ask for the audience",
    ),
    ("access_denied", "ask the provider's administrators for access"),
];

/// Reads an answer.
pub(super) fn read(status: StatusCode, body: &[u8], asked: &Asked<'_>) -> Result<Granted, NoToken> {
    if status != StatusCode::OK {
        return Err(refusal(status, body));
    }
    let grant: Grant = serde_json::from_slice(body)
        .map_err(|_| NoToken::Unusable("the answer is none of a token exchange"))?;
    grant.check(asked).map_err(NoToken::Unusable)
}

/// Only errors that are known are shown: what else is in such an answer may quote what was sent.
fn refusal(status: StatusCode, body: &[u8]) -> NoToken {
    let named = serde_json::from_slice(body).map(|refusal: Refusal| refusal.error);
    let named = named.unwrap_or_default();
    let known = REFUSALS.into_iter().find(|(code, _)| *code == named);
    match known {
        Some((code, remedy)) => NoToken::Refused { code, remedy },
        None if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => NoToken::Refused {
            code: "for another reason",
            remedy: "see the provider's own log",
        },
        None => NoToken::Unavailable(format!("the token endpoint answers {status}")),
    }
}

impl Grant {
    fn check(self, asked: &Asked<'_>) -> Result<Granted, &'static str> {
        use secrecy::ExposeSecret as _;

        if self.issued_token_type != asked.token_type.urn() {
            return Err("it is of another type than was asked for");
        }
        // A token that needs a proof beside it (DPoP) is of no use to the API server.
        if !["bearer", "n_a"].contains(&self.token_type.to_ascii_lowercase().as_str()) {
            return Err("it is no bearer token");
        }
        let token = self.access_token.expose_secret();
        let is_text = !token.is_empty()
            && token.len() <= jws::MAX_BYTES
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_text {
            return Err("it has not the form of a token");
        }
        let said = self
            .expires_in
            .map(|seconds| later(asked.now, Duration::from_secs(seconds)));
        let own = match claims(token) {
            Some(claims) => check_claims(&claims, asked)?,
            None if asked.token_type == TokenType::AccessToken => None,
            None => return Err("it is no JWT"),
        };
        let expires = [said, own].into_iter().flatten().min();
        if expires.is_some_and(|expires| expires <= asked.now) {
            return Err("it has ended already");
        }
        Ok(Granted {
            token: self.access_token,
            expires,
        })
    }
}

/// The claims of a token that is a JWT. Nobody checks the signature here, because it was got from where such tokens are made; who
/// must, and does, is the API server.
fn claims(token: &str) -> Option<Object> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let object = |part: &str| Object::read(&URL_SAFE_NO_PAD.decode(part).ok()?);
    object(header)?;
    object(claims)
}

/// Whether they are of the user and for Kubernetes, and when they end.
fn check_claims(claims: &Object, asked: &Asked<'_>) -> Result<Option<Timestamp>, &'static str> {
    let wrong = |_: WrongType| "a claim of it is of another type than it must be";
    if claims.text("sub").map_err(wrong)? != Some(asked.subject) {
        return Err("it is of another subject");
    }
    if !claims.texts("aud").map_err(wrong)?.contains(&asked.audience) {
        return Err("it is for another audience");
    }
    claims.time("exp").map_err(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn asked() -> Asked<'static> {
        Asked {
            subject: "jane",
            audience: "kubernetes",
            token_type: TokenType::AccessToken,
            now: Timestamp::from_second(NOW).expect("a time"),
        }
    }

    fn jwt(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
    }

    fn claims() -> Value {
        json!({"sub": "jane", "aud": ["kubernetes"], "exp": NOW + 300})
    }

    fn grant() -> Value {
        json!({
            "access_token": jwt(&claims()),
            "issued_token_type": TokenType::AccessToken.urn(),
            "token_type": "Bearer",
            "expires_in": 600,
        })
    }

    fn with(mut object: Value, name: &str, value: Value) -> Value {
        object[name] = value;
        object
    }

    fn outcome(answer: &Value) -> Result<Option<i64>, NoToken> {
        read(StatusCode::OK, answer.to_string().as_bytes(), &asked())
            .map(|granted| granted.expires.map(|expires| expires.as_second() - NOW))
    }

    #[test]
    fn the_earlier_of_two_ends_counts() {
        assert_eq!(outcome(&grant()), Ok(Some(300)));
        assert_eq!(outcome(&with(grant(), "expires_in", json!(60))), Ok(Some(60)));
        assert_eq!(
            outcome(&with(grant(), "expires_in", json!(u64::MAX))),
            Ok(Some(300))
        );
        assert_eq!(outcome(&with(grant(), "expires_in", Value::Null)), Ok(Some(300)));
        assert_eq!(outcome(&with(grant(), "token_type", json!("N_A"))), Ok(Some(300)));
        let opaque = with(
            with(grant(), "access_token", json!("opaque")),
            "expires_in",
            Value::Null,
        );
        assert_eq!(outcome(&opaque), Ok(None));
    }

    #[test]
    fn what_was_not_asked_for_is_not_used() {
        let token = |name: &str, value: Value| {
            with(grant(), "access_token", json!(jwt(&with(claims(), name, value))))
        };
        for (what, answer) in [
            ("another's", token("sub", json!("joan"))),
            ("nobody's", token("sub", Value::Null)),
            ("for us", token("aud", json!("https://mcp.example.com"))),
            ("for nobody", token("aud", Value::Null)),
            ("over", token("exp", json!(NOW))),
            ("with a word for an end", token("exp", json!("soon"))),
            ("over at once", with(grant(), "expires_in", json!(0))),
            ("bound to a key", with(grant(), "token_type", json!("DPoP"))),
            (
                "of another type",
                with(grant(), "issued_token_type", json!(TokenType::IdToken.urn())),
            ),
            ("of no type", with(grant(), "issued_token_type", Value::Null)),
            ("empty", with(grant(), "access_token", json!(""))),
            ("two headers", with(grant(), "access_token", json!("a\r\nb: c"))),
            (
                "endless",
                with(grant(), "access_token", json!("a".repeat(jws::MAX_BYTES + 1))),
            ),
            ("no token", with(grant(), "access_token", Value::Null)),
            ("no object", json!([])),
        ] {
            assert!(
                matches!(outcome(&answer), Err(NoToken::Unusable(_))),
                "{what}: {:?}",
                outcome(&answer)
            );
        }
    }

    #[test]
    fn a_refusal_is_told_by_its_code_and_nothing_else_of_it_is_shown() {
        let refused = |status, body: &str| read(status, body.as_bytes(), &asked()).err().expect("refused");
        let quoting = r#"{"error":"invalid_grant","error_description":"token a.b.c is bad"}"#;
        let error = refused(StatusCode::BAD_REQUEST, quoting);
        assert!(
            matches!(
                error,
                NoToken::Refused {
                    code: "invalid_grant",
                    ..
                }
            ),
            "{error}"
        );
        assert!(!error.to_string().contains("a.b.c"), "{error}");
        let invented = refused(StatusCode::BAD_REQUEST, r#"{"error":"a.b.c"}"#).to_string();
        assert!(!invented.contains("a.b.c"), "{invented}");
        for status in [
            StatusCode::BAD_GATEWAY,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::FOUND,
        ] {
            assert!(refused(status, "<html>").is_passing(), "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..300), status in 100_u16..600) {
            let status = StatusCode::from_u16(status).expect("a status");
            let _ = read(status, &body, &asked());
        }

        #[test]
        fn no_token_makes_it_panic(token in ".{0,200}", seconds in any::<Option<u64>>()) {
            let _ = outcome(&with(with(grant(), "access_token", json!(token)), "expires_in", json!(seconds)));
        }
    }
}
