//! Scopes: what a token lets its bearer do here.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// One scope (RFC 6749 section 3.3): printable ASCII without space, quotation mark and backslash, so it can stand in a
/// challenge as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Scope(Arc<str>);

/// What was written is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is made of printable ASCII without spaces, quotation marks and backslashes; write one an item"
)]
pub struct InvalidScope;

impl Scope {
    /// Reads one.
    ///
    /// # Errors
    /// [`InvalidScope`] if it is empty or has a character that no scope has.
    pub fn new(text: &str) -> Result<Self, InvalidScope> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(InvalidScope);
        }
        Ok(Self(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// As one text, with spaces between.
pub(crate) fn joined(scopes: &[Scope]) -> String {
    scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_end_a_header_or_a_quotation_is_no_scope() {
        assert!(Scope::new("mcp:read").is_ok());
        for bad in ["", "a b", "a\"b", "a\\b", "a\r\nb", "é", "a\u{7f}"] {
            assert_eq!(Scope::new(bad), Err(InvalidScope), "{bad:?}");
        }
    }
}
