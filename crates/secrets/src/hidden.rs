//! Bytes that have no printable form.

use std::fmt;

use zeroize::Zeroizing;

/// Secret bytes: never printed, overwritten when dropped. Comparing tells changed from unchanged; it isn't for checking what
/// a stranger sent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hidden(Zeroizing<Vec<u8>>);

impl Hidden {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for whoever writes them where they belong.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The same as text; `None` if it isn't UTF-8.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_no_printable_form() {
        let hidden = Hidden::from("correct horse");
        assert_eq!(format!("{hidden:?} {hidden:#?}"), "[hidden] [hidden]");
        assert_eq!(hidden.expose_text(), Some("correct horse"));
    }
}
