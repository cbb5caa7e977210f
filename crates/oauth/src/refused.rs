//! Why a token isn't taken, and the answer that says so (RFC 6750 section 3, RFC 9728 section 5.1).

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use mk8s_model::InvalidIdentity;

use crate::{FetchError, Scope, Settings, metadata, scope::joined};

/// How soon a client may ask again when keys are not to be had, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Why a token isn't taken. No part of its text is in it, and of what it says at most a name that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is none.
    #[error("there is no bearer token; sign in, and send the access token in the Authorization header")]
    Missing,
    /// It is no access token.
    #[error("the token is malformed: {0}; sign in again")]
    Malformed(&'static str),
    /// No key of the issuer signed it.
    #[error("the token is not signed by a key of its issuer; sign in again")]
    Untrusted,
    /// It was good once.
    #[error("the token has expired; refresh it, or sign in again")]
    Expired,
    /// It will be good.
    #[error("the token is not valid yet; set the clock here or at its issuer (NTP)")]
    NotYetValid,
    /// It is good for longer than is taken here.
    #[error("the token is good for longer than maxLifetime lets it be; have the issuer give shorter ones")]
    TooLong,
    /// Somebody else made it.
    #[error("the token is of another issuer; sign in where the resource's metadata says")]
    WrongIssuer,
    /// It is for somebody else.
    #[error("the token is for another resource; ask for one with this server's resource indicator")]
    WrongAudience,
    /// It was given to a client that has no business here.
    #[error("the token was given to a client that is not among authorizedParties; use one that is")]
    WrongClient,
    /// Its user or a group of theirs has a name that can't be taken.
    #[error("the token's user or one of its groups can't be taken: {0}")]
    Identity(#[from] InvalidIdentity),
    /// It doesn't reach that far.
    #[error("the token lacks a scope; sign in again with: {}", joined(needed))]
    InsufficientScope {
        /// All that are needed.
        needed: Arc<[Scope]>,
    },
    /// Nobody knows: the issuer's keys can't be had.
    #[error("the token can't be checked, because the issuer's keys can't be fetched ({0}); try again soon")]
    KeysUnavailable(FetchError),
}

/// The answer to a request whose token isn't taken. No part of the token's text is in it, so it may be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// 401, 403, or 503 if it is no fault of the token's.
    pub status: StatusCode,
    /// `WWW-Authenticate`, or `Retry-After`.
    pub headers: HeaderMap,
    /// One line for the body.
    pub message: String,
}

/// Makes challenges.
#[derive(Clone, Debug)]
pub struct Challenges {
    metadata_url: String,
    required: Arc<[Scope]>,
}

impl Challenges {
    /// For the resource of the settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            metadata_url: metadata::url(settings),
            required: Arc::clone(&settings.required_scopes),
        }
    }

    /// The answer for what is wrong.
    pub fn of(&self, refused: &Refused) -> Challenge {
        let mut headers = HeaderMap::new();
        let status = refused.status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        } else if let Ok(value) = HeaderValue::from_str(&self.words(refused)) {
            headers.insert(header::WWW_AUTHENTICATE, value);
        }
        Challenge {
            status,
            headers,
            message: refused.to_string(),
        }
    }

    /// All of it is ours or from checked settings, and free of quotation marks and backslashes.
    fn words(&self, refused: &Refused) -> String {
        let mut words = Vec::new();
        if let Some(code) = refused.code() {
            words.push(format!("error=\"{code}\""));
            words.push(format!("error_description=\"{}\"", refused.description()));
        }
        let scopes = match refused {
            Refused::InsufficientScope { needed } => needed,
            _ => &self.required,
        };
        if !scopes.is_empty() {
            words.push(format!("scope=\"{}\"", joined(scopes)));
        }
        words.push(format!("resource_metadata=\"{}\"", self.metadata_url));
        format!("Bearer {}", words.join(", "))
    }
}

impl Refused {
    /// The status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InsufficientScope { .. } => StatusCode::FORBIDDEN,
            Self::KeysUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// RFC 6750 section 3.1. Who sent nothing is told of no error.
    fn code(&self) -> Option<&'static str> {
        match self {
            Self::Missing | Self::KeysUnavailable(_) => None,
            Self::InsufficientScope { .. } => Some("insufficient_scope"),
            _ => Some("invalid_token"),
        }
    }

    fn description(&self) -> &'static str {
        match self {
            Self::Missing => "no token",
            Self::Malformed(what) => what,
            Self::Untrusted => "not signed by a key of its issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not valid yet",
            Self::TooLong => "valid for too long",
            Self::WrongIssuer => "of another issuer",
            Self::WrongAudience => "for another resource",
            Self::WrongClient => "given to another client",
            Self::Identity(_) => "names a user or group that can not be taken",
            Self::InsufficientScope { .. } => "lacks a scope",
            Self::KeysUnavailable(_) => "the keys of the issuer are unavailable",
        }
    }
}
