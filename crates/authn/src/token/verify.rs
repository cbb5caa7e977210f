//! Checking tokens.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Claims, SigningKeys, cache::Cache};
use crate::{Clock, Email};

/// The longest token looked at, in bytes; ours have about 800.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far two clocks may be apart.
pub const LEEWAY: Duration = Duration::from_secs(60);

const LEEWAY_SECONDS: i64 = 60;

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The user.
    pub user_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// The user's name when the token was made.
    pub email: Arc<str>,
    /// When the token ends, by its `exp`.
    pub expires_at: Timestamp,
}

/// Why a token isn't good. Nothing of the token is shown but its algorithm and key id, shortened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes: this is no token of mk8s")]
    TooLong,
    /// No JWT, or one that lacks a claim.
    #[error("the token is malformed ({0}): log in again")]
    Malformed(&'static str),
    /// `alg` is not RS256; `none` above all.
    #[error("the token is signed by {0:?}, and only RS256 is taken: log in again")]
    WrongAlgorithm(String),
    /// No such key here: signed elsewhere, or the key was retired.
    #[error(
        "the token's signing key {0:?} is unknown here: it is another central's or was retired; log in again"
    )]
    UnknownKey(String),
    /// Changed after signing, or not signed by that key.
    #[error("the token's signature is wrong: log in again")]
    BadSignature,
    /// Another `iss`.
    #[error("the token was issued by another central: log in again")]
    WrongIssuer,
    /// Another `aud`.
    #[error("the token is for another service: log in again")]
    WrongAudience,
    /// Past its `exp` by more than the leeway.
    #[error("the token expired {} ago: log in again", shown(*ago))]
    Expired {
        /// Since when.
        ago: SignedDuration,
    },
    /// Before its `nbf` by more than the leeway: two clocks disagree.
    #[error(
        "the token begins only in {}: the clock here or where it was issued is off; set it (NTP)",
        shown(*ahead)
    )]
    NotYetValid {
        /// For how long still.
        ahead: SignedDuration,
    },
}

/// Checks tokens, and remembers the good ones until they expire, so that the signature of a token used for a thousand
/// requests is checked once.
pub struct TokenVerifier {
    keys: SigningKeys,
    validation: Validation,
    clock: Arc<dyn Clock>,
    cache: Cache<Arc<Verified>>,
}

impl TokenVerifier {
    /// Takes tokens of `issuer` for `audience`, and remembers about `capacity` of them (a few hundred bytes each).
    pub fn new(
        keys: SigningKeys,
        issuer: &str,
        audience: &str,
        clock: Arc<dyn Clock>,
        capacity: usize,
    ) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Done below by the handed clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            keys,
            validation,
            clock,
            cache: Cache::new(capacity),
        }
    }

    /// What the token says, if it is good now. A token seen before costs a SHA-256 and a look-up.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn verify(&self, token: &str) -> Result<Arc<Verified>, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let now = self.clock.now();
        let digest = Sha256::digest(token.as_bytes()).into();
        if let Some(verified) = self.cache.find(&digest) {
            check_expiry(verified.expires_at, now)?;
            return Ok(verified);
        }
        let verified = Arc::new(self.verify_anew(token, now)?);
        let is_alive = |entry: &Arc<Verified>| check_expiry(entry.expires_at, now).is_ok();
        self.cache.insert(digest, Arc::clone(&verified), is_alive);
        Ok(verified)
    }

    #[cold]
    fn verify_anew(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        let header = Header::read(token)?;
        if header.alg != "RS256" {
            return Err(TokenError::WrongAlgorithm(shortened(&header.alg)));
        }
        if header.crit.is_some() {
            return Err(TokenError::Malformed("it has critical extensions"));
        }
        let id = header.kid.ok_or(TokenError::Malformed("it names no key"))?;
        let key = self
            .keys
            .verifying_key(&id)
            .ok_or_else(|| TokenError::UnknownKey(shortened(&id)))?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation)
            .map_err(|error| explain(error.kind()))?
            .claims;
        let time = |seconds| {
            Timestamp::from_second(seconds).map_err(|_| TokenError::Malformed("a time is out of range"))
        };
        let (begins_at, expires_at) = (time(claims.nbf)?, time(claims.exp)?);
        let ahead = begins_at.duration_since(now);
        if ahead > SignedDuration::from_secs(LEEWAY_SECONDS) {
            return Err(TokenError::NotYetValid { ahead });
        }
        check_expiry(expires_at, now)?;
        // We signed it, so it can only be a name; but what becomes a header is parsed once more.
        let email: Email = claims
            .email
            .parse()
            .map_err(|_| TokenError::Malformed("its e-mail address is none"))?;
        Ok(Verified {
            user_id: claims.sub,
            session_id: claims.sid,
            email: email.shared(),
            expires_at,
        })
    }
}

/// Good up to and with `exp` plus the leeway.
fn check_expiry(expires_at: Timestamp, now: Timestamp) -> Result<(), TokenError> {
    let ago = now.duration_since(expires_at);
    if ago > SignedDuration::from_secs(LEEWAY_SECONDS) {
        Err(TokenError::Expired { ago })
    } else {
        Ok(())
    }
}

/// A JWS header, as far as it decides what happens next. jsonwebtoken reads it too, but has one error for all of it.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

impl Header {
    fn read(token: &str) -> Result<Self, TokenError> {
        let mut parts = token.split('.');
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed("it has not three parts"));
        };
        let json = URL_SAFE_NO_PAD
            .decode(header)
            .map_err(|_| TokenError::Malformed("its header is no base64url"))?;
        serde_json::from_slice(&json).map_err(|_| TokenError::Malformed("its header is no JWT header"))
    }
}

fn explain(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature => TokenError::BadSignature,
        ErrorKind::InvalidIssuer => TokenError::WrongIssuer,
        ErrorKind::InvalidAudience => TokenError::WrongAudience,
        ErrorKind::InvalidAlgorithm => TokenError::WrongAlgorithm("another algorithm".to_owned()),
        ErrorKind::MissingRequiredClaim(_) => TokenError::Malformed("a claim is missing"),
        ErrorKind::Base64(_) => TokenError::Malformed("a part is no base64url"),
        _ => TokenError::Malformed("its claims are not those of a token of mk8s"),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// `1 h 5 min`, `9 min 58 s`, `61 s`.
fn shown(duration: SignedDuration) -> String {
    let seconds = duration.unsigned_abs().as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}
