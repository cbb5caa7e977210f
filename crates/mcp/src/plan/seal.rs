//! What clients keep for us: it says nothing to them, and can't be made, changed, or used by somebody else or for something else.

use std::io::{Read as _, Write as _};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use mk8s_model::Identity;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::ToolError;

/// What is sealed with: replicas that take each other's plans have the same. No printable form.
#[derive(Clone)]
pub struct PlanKey([u8; 32]);

impl PlanKey {
    /// 32 bytes that nobody can guess.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// One that this process alone has.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl std::fmt::Debug for PlanKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlanKey")
    }
}

/// What something was sealed for: one is never taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A plan, which an agent sends back.
    Plan,
    /// A question to a user, whose client sends it back with the answer.
    Question,
}

/// The longest that is read, in characters.
const LONGEST: usize = 16 << 10;
/// The most that it unfolds to, in bytes.
const LARGEST: u64 = 1 << 20;

/// AES-256-GCM-SIV: nonces are random, and two that were equal would tell no more than that two texts were.
pub(crate) struct Seals(Option<RandomizedNonceKey>);

impl Seals {
    pub(crate) fn new(key: &PlanKey) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM_SIV, &key.0).ok())
    }

    pub(crate) fn seal(
        &self,
        purpose: Purpose,
        who: &Identity,
        value: &impl Serialize,
    ) -> Result<String, ToolError> {
        self.sealed(purpose, who, value)
            .ok_or_else(|| ToolError::Denied("a plan can't be sealed now: try again".to_owned()))
    }

    fn sealed(&self, purpose: Purpose, who: &Identity, value: &impl Serialize) -> Option<String> {
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&serde_json::to_vec(value).ok()?).ok()?;
        let mut text = packed.finish().ok()?;
        let nonce = self
            .0
            .as_ref()?
            .seal_in_place_append_tag(Aad::from(bound_to(purpose, who)), &mut text)
            .ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        // Of this alphabet, no word can be taken for a well-known kind of token, which would be hidden.
        Some(STANDARD_NO_PAD.encode(sealed))
    }

    /// What was sealed for this, for them; None for anything else.
    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        who: &Identity,
        text: &str,
    ) -> Option<T> {
        let text = Some(text.trim()).filter(|text| text.len() <= LONGEST)?;
        let sealed = STANDARD_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let packed = self
            .0
            .as_ref()?
            .open_in_place(Nonce::from(nonce), Aad::from(bound_to(purpose, who)), &mut sealed)
            .ok()?;
        let mut text = Vec::new();
        DeflateDecoder::new(&*packed)
            .take(LARGEST)
            .read_to_end(&mut text)
            .ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Purpose, user and groups, each told apart by its length. The order of groups is nobody's.
fn bound_to(purpose: Purpose, who: &Identity) -> Vec<u8> {
    let purpose = match purpose {
        Purpose::Plan => "mk8s-mcp plan 1",
        Purpose::Question => "mk8s-mcp question 1",
    };
    let mut groups: Vec<&str> = who.groups().collect();
    groups.sort_unstable();
    let mut bound = Vec::new();
    for part in [purpose, who.user()].into_iter().chain(groups) {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part.as_bytes());
    }
    bound
}

#[cfg(test)]
mod tests {
    use mk8s_model::AuthMethod;

    use super::*;

    fn identity(user: &str, groups: &[&str]) -> Identity {
        Identity::new(user, groups, AuthMethod::Token).expect("an identity")
    }

    #[test]
    fn what_was_sealed_is_opened_by_whom_and_for_what_it_was_alone() {
        let seals = Seals::new(&PlanKey::new([1; 32]));
        let anna = identity("anna", &["a", "b"]);
        let text = seals.seal(Purpose::Plan, &anna, &"scale to 5").expect("sealed");
        let open = |seals: &Seals, purpose, who: &Identity| seals.open::<String>(purpose, who, &text);
        assert_eq!(open(&seals, Purpose::Plan, &anna).as_deref(), Some("scale to 5"));
        let reordered = identity("anna", &["b", "a"]);
        assert!(open(&seals, Purpose::Plan, &reordered).is_some());
        assert!(open(&seals, Purpose::Question, &anna).is_none());
        for (user, groups) in [
            ("anne", &["a", "b"][..]),
            ("anna", &["a"]),
            ("anna", &[]),
            ("anna", &["ab"]),
        ] {
            assert!(
                open(&seals, Purpose::Plan, &identity(user, groups)).is_none(),
                "{user} {groups:?}"
            );
        }
        assert!(open(&Seals::new(&PlanKey::new([2; 32])), Purpose::Plan, &anna).is_none());
        assert!(open(&Seals::new(&PlanKey::random()), Purpose::Plan, &anna).is_none());
    }

    #[test]
    fn what_was_changed_or_made_up_isnt_opened() {
        let seals = Seals::new(&PlanKey::new([1; 32]));
        let anna = identity("anna", &[]);
        let text = seals
            .seal(Purpose::Plan, &anna, &"delete nothing")
            .expect("sealed");
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("text");
            assert_eq!(
                seals.open::<String>(Purpose::Plan, &anna, &changed),
                None,
                "{changed}"
            );
        }
        for odd in ["", "AAAA", "!", &text[1..], &"A".repeat(1 << 20)] {
            assert_eq!(seals.open::<String>(Purpose::Plan, &anna, odd), None);
        }
    }
}
