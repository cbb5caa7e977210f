//! Making tokens.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header};
use uuid::Uuid;

use super::{Claims, SigningKeys};
use crate::{Clock, Email, clock::later};

/// Who makes tokens, for whom, and for how long.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The `iss` claim: central's own URL.
    pub issuer: String,
    /// The `aud` claim: what the token is for.
    pub audience: String,
    /// How long a token is good.
    pub lifetime: Duration,
}

/// Whom a token is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The user.
    pub user_id: Uuid,
    /// The session; revoking it ends all its tokens.
    pub session_id: Uuid,
    /// The user's name.
    pub email: Email,
}

/// A token, and until when it is good.
#[derive(Clone)]
pub struct IssuedToken {
    /// The token's text.
    pub token: String,
    /// Its `exp`, in whole seconds.
    pub expires_at: Timestamp,
}

/// The token couldn't be signed: a key that signed once can only fail if the machine is out of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token could not be signed: the machine is out of memory")]
pub struct SigningFailed;

/// Signs tokens with the newest key. Cheap to clone.
#[derive(Clone)]
pub struct TokenIssuer {
    keys: SigningKeys,
    settings: Arc<TokenSettings>,
    clock: Arc<dyn Clock>,
}

impl TokenIssuer {
    /// Signs with `keys`, by `clock`.
    pub fn new(keys: SigningKeys, settings: TokenSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            keys,
            settings: Arc::new(settings),
            clock,
        }
    }

    /// Until when a token made now would be good, in whole seconds.
    pub fn expiry(&self) -> Timestamp {
        let exp = later(self.clock.now(), self.settings.lifetime);
        Timestamp::from_second(exp.as_second()).unwrap_or(exp)
    }

    /// Makes a token. It takes about a millisecond of arithmetic.
    ///
    /// # Errors
    /// [`SigningFailed`].
    pub fn issue(&self, subject: &Subject) -> Result<IssuedToken, SigningFailed> {
        let now = self.clock.now().as_second();
        let expires_at = self.expiry();
        let claims = Claims {
            iss: self.settings.issuer.clone(),
            aud: self.settings.audience.clone(),
            sub: subject.user_id,
            email: subject.email.as_str().to_owned(),
            sid: subject.session_id,
            iat: now,
            nbf: now,
            exp: expires_at.as_second(),
            jti: Uuid::new_v4(),
        };
        let (id, key) = self.keys.signing_key();
        let header = Header {
            kid: Some(id.to_owned()),
            ..Header::new(Algorithm::RS256)
        };
        let token = jsonwebtoken::encode(&header, &claims, key).map_err(|_| SigningFailed)?;
        Ok(IssuedToken { token, expires_at })
    }
}
