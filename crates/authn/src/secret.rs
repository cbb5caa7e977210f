//! Opaque tokens: 256 random bits that mean something only to the database, which keeps their SHA-256 alone.

use std::{fmt, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What refresh tokens begin with, so that secret scanners and people know one when they see it.
const REFRESH_PREFIX: &str = "mk8s_rt_";
/// What join tokens of agents begin with.
const JOIN_PREFIX: &str = "mk8s_at_";

/// Random bytes in a secret.
const SECRET_BYTES: usize = 32;
/// Their length as unpadded base64url.
const SECRET_CHARS: usize = 43;

/// The SHA-256 of a secret, which is all of it that is stored. A plain hash is enough: there is nothing to guess in
/// 256 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash([u8; 32]);

/// A refresh token: `mk8s_rt_` and 43 characters.
#[derive(Clone, Debug)]
pub struct RefreshToken(SecretString);

/// An agent's join token: `mk8s_at_`, its id in 32 hexadecimal digits, `_` and 43 characters.
#[derive(Clone, Debug)]
pub struct JoinToken {
    id: Uuid,
    text: SecretString,
}

/// The text has not the form of such a token. The text itself is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no {0}: copy the whole of it, from \"{1}\" to its end")]
pub struct InvalidSecret(&'static str, &'static str);

impl SecretHash {
    /// The hash of a secret's text.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// 64 lower-case hexadecimal digits, as stored.
    pub fn to_hex(self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Reads what [`SecretHash::to_hex`] wrote.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

impl RefreshToken {
    /// A new one.
    pub fn generate() -> Self {
        Self(SecretString::from(format!("{REFRESH_PREFIX}{}", random_secret())))
    }

    /// Reads a token that was given.
    ///
    /// # Errors
    /// [`InvalidSecret`] if it has not a refresh token's form.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        match text.strip_prefix(REFRESH_PREFIX) {
            Some(secret) if is_secret(secret) => Ok(Self(SecretString::from(text))),
            _ => Err(InvalidSecret("refresh token", REFRESH_PREFIX)),
        }
    }

    /// The text, for whoever is to have it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.expose())
    }
}

impl JoinToken {
    /// A new one, with a new id (UUID version 7: ids sort by time).
    pub fn generate() -> Self {
        let id = Uuid::now_v7();
        let text = SecretString::from(format!("{JOIN_PREFIX}{}_{}", id.simple(), random_secret()));
        Self { id, text }
    }

    /// Reads a token that was given. White space around it is let pass: files end in a newline.
    ///
    /// # Errors
    /// [`InvalidSecret`] if it has not a join token's form.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let text = text.trim();
        let parts = text
            .strip_prefix(JOIN_PREFIX)
            .and_then(|rest| rest.split_once('_'));
        match parts {
            Some((id, secret)) if id.len() == 32 && is_secret(secret) => {
                let id = Uuid::try_parse(id).map_err(|_| InvalidSecret("join token", JOIN_PREFIX))?;
                Ok(Self {
                    id,
                    text: SecretString::from(text),
                })
            }
            _ => Err(InvalidSecret("join token", JOIN_PREFIX)),
        }
    }

    /// The token's id, which is no secret: lists and revocations go by it.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The text, for whoever is to have it.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// What is stored.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.expose())
    }
}

/// 43 random characters, 256 bits.
pub(crate) fn random_secret() -> String {
    let mut bytes = zeroize::Zeroizing::new([0; SECRET_BYTES]);
    rand::rng().fill_bytes(bytes.as_mut());
    URL_SAFE_NO_PAD.encode(bytes.as_ref())
}

fn is_secret(text: &str) -> bool {
    text.len() == SECRET_CHARS
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back() {
        let refresh = RefreshToken::generate();
        assert_eq!(
            RefreshToken::parse(refresh.expose()).expect("valid").hash(),
            refresh.hash()
        );
        let join = JoinToken::generate();
        let read = JoinToken::parse(&format!(" {}\n", join.expose())).expect("valid");
        assert_eq!((read.id(), read.hash()), (join.id(), join.hash()));
    }

    #[test]
    fn what_is_no_token_is_refused_before_any_lookup() {
        let good = RefreshToken::generate();
        let long = "x".repeat(100_000);
        for bad in [
            "",
            "mk8s_rt_",
            &good.expose()[..50],
            &format!("{}A", good.expose()),
            long.as_str(),
        ] {
            assert!(RefreshToken::parse(bad).is_err());
            assert!(JoinToken::parse(bad).is_err());
        }
        let join = JoinToken::generate();
        assert!(RefreshToken::parse(join.expose()).is_err());
        assert!(JoinToken::parse(&join.expose().replace("mk8s_at_", "mk8s_at_{")).is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let (refresh, join) = (RefreshToken::generate(), JoinToken::generate());
        let shown = format!("{refresh:?} {join:?} {:?}", refresh.hash());
        assert!(!shown.contains(&refresh.expose()[8..]) && !shown.contains(&join.expose()[41..]));
        assert!(!shown.contains(&refresh.hash().to_hex()));
    }

    #[test]
    fn hashes_are_read_back() {
        let hash = SecretHash::of("x");
        assert_eq!(SecretHash::from_hex(&hash.to_hex()), Some(hash));
        assert_eq!(SecretHash::from_hex("00"), None);
        assert_eq!(SecretHash::from_hex(&"zz".repeat(32)), None);
    }
}
