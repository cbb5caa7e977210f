//! The name of an account.

use std::{fmt, str::FromStr, sync::Arc};

/// The longest address that mail can be sent to (RFC 5321, section 4.5.3.1.3, less the angle brackets), in bytes.
pub const MAX_EMAIL_BYTES: usize = 254;

/// An e-mail address as accounts are compared by it: trimmed and in lower case. Cheap to clone.
///
/// It isn't checked whether mail would arrive: what matters here is that two spellings of one account can't be two
/// accounts, and that the name can stand in a header and in a log line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(Arc<str>);

/// The text is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// Nothing but white space.
    #[error("the e-mail address is empty")]
    Empty,
    /// Longer than [`MAX_EMAIL_BYTES`].
    #[error("the e-mail address is longer than {MAX_EMAIL_BYTES} bytes")]
    TooLong,
    /// Control characters or white space within.
    #[error("the e-mail address has white space or a control character in it")]
    Character,
    /// No `@` with something on both sides.
    #[error("the e-mail address needs an \"@\" with a name before it and a domain behind it")]
    NoDomain,
}

impl Email {
    /// The normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The normalised address, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidEmail::Empty);
        }
        // Lower case can be longer than what it was made from, so the limit is checked on both.
        if text.len() > MAX_EMAIL_BYTES {
            return Err(InvalidEmail::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(InvalidEmail::Character);
        }
        match text.rsplit_once('@') {
            Some((name, domain)) if !name.is_empty() && !domain.is_empty() => {}
            _ => return Err(InvalidEmail::NoDomain),
        }
        let lower = text.to_lowercase();
        if lower.len() > MAX_EMAIL_BYTES {
            return Err(InvalidEmail::TooLong);
        }
        Ok(Self(lower.into()))
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_account_are_one() {
        let plain: Email = "dev@example.com".parse().expect("valid");
        for spelling in ["Dev@Example.COM", "  dev@example.com\t", "DEV@EXAMPLE.COM\n"] {
            assert_eq!(spelling.parse::<Email>(), Ok(plain.clone()), "{spelling:?}");
        }
    }

    #[test]
    fn what_could_break_a_header_or_a_log_is_refused() {
        let long = format!("{}@example.com", "x".repeat(254));
        let rows = [
            ("", InvalidEmail::Empty),
            (" \t ", InvalidEmail::Empty),
            ("dev", InvalidEmail::NoDomain),
            ("@example.com", InvalidEmail::NoDomain),
            ("dev@", InvalidEmail::NoDomain),
            ("a\r\nImpersonate-User: b@example.com", InvalidEmail::Character),
            ("a\0b@example.com", InvalidEmail::Character),
            ("a b@example.com", InvalidEmail::Character),
            (long.as_str(), InvalidEmail::TooLong),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse::<Email>(), Err(expected), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_address_parses_to_itself(text in "\\PC{0,40}@\\PC{1,40}") {
            if let Ok(email) = text.parse::<Email>() {
                prop_assert!(email.as_str().len() <= MAX_EMAIL_BYTES);
                prop_assert_eq!(email.as_str().parse::<Email>(), Ok(email));
            }
        }
    }
}
