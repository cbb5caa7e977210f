//! The RS256 tokens that requests carry (RFC 7519): made by [`TokenIssuer`], checked by [`TokenVerifier`].
//!
//! They are checked without a database, so one stays good until it expires; whoever lets a request in also asks its
//! snapshot whether the session or the user was revoked.

mod cache;
mod issue;
mod keys;
mod verify;

pub use issue::{IssuedToken, SigningFailed, Subject, TokenIssuer, TokenSettings};
pub use keys::{KeyError, SigningKeys};
pub use verify::{LEEWAY, MAX_TOKEN_BYTES, TokenError, TokenVerifier, Verified};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a token says. Times in seconds since 1970 (RFC 7519, section 2, NumericDate).
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The user's id.
    sub: Uuid,
    email: String,
    /// The session's id.
    sid: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: Uuid,
}
