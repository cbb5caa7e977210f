//! A `continue` that says nothing to whoever has it, and is of use to nobody else.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// What begins a sealed token, and no token of an API server's.
const PREFIX: &str = "mk8s1.";
/// The longest that we read, in bytes; longer ones don't fit into a URI anyway.
const MAX_TOKEN: usize = 64 * 1024;

/// Seals what one caller sends back to get the next page: the API server's own `continue` names the object that a page ends
/// with, which the caller may not see. AES-256-GCM, with the caller and the path as associated data.
#[derive(Clone)]
pub struct Seal {
    key: Arc<RandomizedNonceKey>,
    caller: Box<str>,
}

/// The library couldn't: there is no randomness, most likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a list's continue can't be sealed: there may be no randomness; try again")]
pub struct Unsealable;

/// Where a page begins: so many objects behind where a page of the API server's begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The API server's `continue`; empty for its first page.
    #[serde(rename = "c")]
    pub(crate) token: String,
    /// The list's resource version, which is the same on all its pages; empty before it is known.
    #[serde(rename = "v")]
    pub(crate) version: String,
    /// How many objects of there on are to be left out, whether they can be seen or not.
    #[serde(rename = "n")]
    pub(crate) skip: u64,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

impl Seal {
    /// Seals for this caller. All replicas that answer the same callers need the same key: 32 bytes that nobody can guess.
    ///
    /// # Errors
    /// [`Unsealable`] if the library takes no such key.
    pub fn new(key: &[u8; 32], caller: &str) -> Result<Self, Unsealable> {
        Ok(Self {
            key: Arc::new(RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| Unsealable)?),
            caller: caller.into(),
        })
    }

    /// A position in the list at this path.
    pub(crate) fn seal(&self, path: &str, position: &Position) -> Result<String, Unsealable> {
        let mut text = serde_json::to_vec(position).map_err(|_| Unsealable)?;
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(self.bound_to(path)), &mut text)
            .map_err(|_| Unsealable)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// What [`Seal::seal`] was given; `None` if that was for another caller or path, with another key, or not at all.
    pub(crate) fn open(&self, path: &str, token: &str) -> Option<Position> {
        let text = token
            .strip_prefix(PREFIX)
            .filter(|text| text.len() <= MAX_TOKEN)?;
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let text = self
            .key
            .open_in_place(Nonce::from(nonce), Aad::from(self.bound_to(path)), &mut sealed)
            .ok()?;
        serde_json::from_slice(text).ok()
    }

    /// Caller and path, told apart by the caller's length.
    fn bound_to(&self, path: &str) -> Vec<u8> {
        let mut bound = (self.caller.len() as u64).to_be_bytes().to_vec();
        bound.extend_from_slice(self.caller.as_bytes());
        bound.extend_from_slice(path.as_bytes());
        bound
    }
}

/// Whether this is a token of ours, of whichever caller.
pub(crate) fn is_sealed(token: &str) -> bool {
    token.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_opened_by_its_caller_at_its_path_alone() {
        let [key, other] = [[1; 32], [2; 32]];
        let position = Position {
            token: "names secret/pod".to_owned(),
            version: "7".to_owned(),
            skip: 3,
        };
        let jane = Seal::new(&key, "jane").expect("seal");
        let token = jane.seal("/api/v1/pods", &position).expect("sealed");
        assert!(is_sealed(&token));
        assert_eq!(jane.open("/api/v1/pods", &token), Some(position.clone()));
        assert_eq!(jane.open("/api/v1/secrets", &token), None);
        for (key, caller) in [(&key, "june"), (&key, ""), (&key, "jane/api"), (&other, "jane")] {
            let seal = Seal::new(key, caller).expect("seal");
            assert_eq!(seal.open("/api/v1/pods", &token), None, "{caller}");
        }
        // The same bytes, cut elsewhere.
        let jan = Seal::new(&key, "jan").expect("seal");
        assert_eq!(jan.open("e/api/v1/pods", &token), None);
        assert_ne!(jane.seal("/api/v1/pods", &position).expect("sealed"), token);
    }

    #[test]
    fn what_was_changed_or_made_up_is_not_opened() {
        let seal = Seal::new(&[1; 32], "jane").expect("seal");
        let token = seal.seal("/x", &Position::default()).expect("sealed");
        for at in PREFIX.len()..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("text");
            assert_eq!(seal.open("/x", &changed), None, "{changed}");
        }
        for text in [
            "",
            "mk8s1.",
            "mk8s1.AAAA",
            "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
            "mk8s1.!",
        ] {
            assert_eq!(seal.open("/x", text), None, "{text}");
        }
    }
}
