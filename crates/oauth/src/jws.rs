//! A signed token taken apart (RFC 7515 section 3.1), before anything of it is believed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;

use crate::{Algorithm, object::Object};

/// The longest token looked at, in bytes. An HTTP server takes little more in one header.
pub(crate) const MAX_BYTES: usize = 16 * 1024;

/// A token's parts.
pub(crate) struct Jws<'a> {
    /// What is said of the signature. Keys in it, and places where keys may be had (jwk, jku, x5c, x5u), are never looked at.
    pub(crate) header: Object,
    pub(crate) claims: Object,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    pub(crate) fn read(token: &'a str) -> Result<Self, &'static str> {
        if token.len() > MAX_BYTES {
            return Err("it is longer than any token taken here");
        }
        let (signed, signature) = token.rsplit_once('.').ok_or("it has not three parts")?;
        let (header, claims) = signed.split_once('.').ok_or("it has not three parts")?;
        if claims.contains('.') {
            return Err("it has not three parts");
        }
        let object = |part: &str| Object::read(&URL_SAFE_NO_PAD.decode(part).ok()?);
        let header = object(header).ok_or("its header is none")?;
        if header.has("crit") {
            return Err("it has critical extensions, and none is known here");
        }
        Ok(Self {
            header,
            // A token inside a token would be no object.
            claims: object(claims).ok_or("its claims are none")?,
            signed,
            signature,
        })
    }

    /// Whether the holder of the key signed this, by that algorithm.
    pub(crate) fn is_signed_by(&self, key: &DecodingKey, algorithm: Algorithm) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm.into())
            .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn a_token_has_three_parts_and_the_first_two_are_objects() {
        let (header, claims) = (part(r#"{"alg":"RS256"}"#), part(r#"{"sub":"jane"}"#));
        assert!(Jws::read(&format!("{header}.{claims}.AAAA")).is_ok());
        let nested = part(&format!("{header}.{claims}.AAAA"));
        for bad in [
            String::new(),
            "..".to_owned(),
            format!("{header}.{claims}"),
            format!("{header}.{claims}.AAAA.AAAA"),
            format!("{header}.{claims}.AA.AA.AA"),
            format!("{header}.{nested}.AAAA"),
            format!("{header}=.{claims}.AAAA"),
            format!(
                "{}.{claims}.AAAA",
                part(r#"{"alg":"RS256","crit":["b64"],"b64":false}"#)
            ),
            format!("{}.{claims}.AAAA", part(r#"{"alg":"RS256","crit":null}"#)),
            format!("{}.{claims}.AAAA", part(r#"{"alg":"none","alg":"RS256"}"#)),
            format!("{header}.{}.AAAA", part(r#"{"aud":"a","aud":"b"}"#)),
            format!("{header}.{claims}.{}", "A".repeat(MAX_BYTES)),
        ] {
            assert!(Jws::read(&bad).is_err(), "{bad:.80}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}") {
            let _ = Jws::read(&text);
        }

        #[test]
        fn no_parts_make_it_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..5)) {
            let parts: Vec<String> = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
            let _ = Jws::read(&parts.join("."));
        }
    }
}
