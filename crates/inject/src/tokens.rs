//! Which volumes hold a token that the API server takes from anybody.

use serde_json::Value;

use crate::pod::{Object, objects, text};

/// What a volume gives away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A projected token that is good for the API server.
    Projected,
    /// A Secret whose name is that of a service account's token, as Kubernetes made them until 1.23.
    Legacy { secret: String },
}

/// The token in this volume, if it has one. `audiences` are those that the API server takes, besides its own default.
pub(crate) fn token(volume: &Object, audiences: &[String]) -> Option<Token> {
    let is_taken = |source: &Object| {
        source
            .get("serviceAccountToken")
            .and_then(Value::as_object)
            .is_some_and(|token| {
                let audience = text(token, "audience");
                audience.is_empty() || audiences.iter().any(|taken| taken == audience)
            })
    };
    let projected = volume.get("projected").and_then(Value::as_object);
    let sources = || {
        projected
            .into_iter()
            .flat_map(|projected| objects(projected, "sources"))
    };
    if sources().any(is_taken) {
        return Some(Token::Projected);
    }
    let in_volume = volume
        .get("secret")
        .and_then(Value::as_object)
        .map(|secret| text(secret, "secretName"));
    let in_sources = sources()
        .filter_map(|source| source.get("secret").and_then(Value::as_object))
        .map(|secret| text(secret, "name"));
    let secret = in_volume
        .into_iter()
        .chain(in_sources)
        .find(|name| is_legacy(name))?;
    Some(Token::Legacy {
        secret: secret.to_owned(),
    })
}

/// `default-token-x7k2p`
fn is_legacy(secret: &str) -> bool {
    secret.rsplit_once("-token-").is_some_and(|(account, suffix)| {
        !account.is_empty()
            && suffix.len() == 5
            && suffix
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}
