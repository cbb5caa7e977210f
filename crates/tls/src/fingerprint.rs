//! A certificate's fingerprint, as people compare it.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// The SHA-256 of a certificate's DER encoding.
///
/// Shown as `SHA256:AB:CD:…`, the pairs that `openssl x509 -noout -fingerprint -sha256` prints. Read back in either
/// letter case, with or without colons and spaces, and with or without the prefix (`SHA256:`, or all that OpenSSL
/// prints up to and including `=`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

/// The text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 fingerprint is 64 hexadecimal digits, as in SHA256:AB:CD:…; got {digits} digits")]
pub struct InvalidFingerprint {
    digits: usize,
}

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// A fingerprint of several things, such that no other division of the same bytes has it.
    pub(crate) fn of_all<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits, for files and rows.
    pub fn to_hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            text.push(digit(byte >> 4).to_ascii_lowercase());
            text.push(digit(byte & 0xf).to_ascii_lowercase());
            text
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHA256")?;
        self.0.iter().try_for_each(|byte| write!(f, ":{byte:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.rsplit('=').next().unwrap_or_default().trim();
        let text = match text.get(..6) {
            Some(head) if head.eq_ignore_ascii_case("sha256") => &text[6..],
            _ => text,
        };
        let mut bytes = [0; 32];
        let mut digits = 0;
        for character in text.chars().filter(|c| !matches!(c, ':' | ' ')) {
            let value = character.to_digit(16).ok_or(InvalidFingerprint { digits })?;
            if let Some(byte) = bytes.get_mut(digits / 2) {
                *byte = *byte << 4 | u8::try_from(value).unwrap_or_default();
            }
            digits += 1;
        }
        if digits == 64 {
            Ok(Self(bytes))
        } else {
            Err(InvalidFingerprint { digits })
        }
    }
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back_however_it_was_copied() {
        let fingerprint = Fingerprint::of(b"certificate");
        let shown = fingerprint.to_string();
        assert!(
            shown.starts_with("SHA256:") && shown.len() == 6 + 32 * 3,
            "{shown}"
        );
        for copy in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace("SHA256:", ""),
            shown.replace("SHA256:", "sha256 Fingerprint="),
            format!("  {} ", fingerprint.to_hex()),
            fingerprint.to_hex().to_uppercase(),
            shown.replace(':', " "),
        ] {
            assert_eq!(copy.parse(), Ok(fingerprint), "{copy}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = "a".repeat(66);
        for bad in [
            "",
            "SHA256:",
            "abcd",
            long.as_str(),
            "zz",
            "é",
            "SHA1:AB",
            "ééééééé",
        ] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
