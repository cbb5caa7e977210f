//! What an API server is told of a caller beside their name: `Impersonate-Extra-*`, which its audit log keeps.
//!
//! Made by a door of what it knows itself, never of a client's headers; [`crate::rewrite`] puts it on last, with the name.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const PREFIX: &str = "impersonate-extra-";

/// What isn't encoded of a key: what may stand in a header's name (RFC 9110, 5.6.2), but `%`. The API server decodes what is
/// (`k8s.io/client-go/transport`, `headerKeyEscape`).
const KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// What an API server is told of a caller beside their name. Cheap to clone; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Extra(Option<Arc<[(HeaderName, HeaderValue)]>>);

/// What can't be told. It isn't shown: it may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExtra {
    /// Its key is empty, or longer than a header's name may be.
    #[error("the key of an extra is empty or too long")]
    Key,
    /// Its value would end a header.
    #[error("the value of an extra has a control character in it")]
    Value,
}

impl Extra {
    /// Of keys and values. A key may come several times. The API server takes keys for lower-case.
    ///
    /// # Errors
    /// [`InvalidExtra`], if one of them can't stand in a header.
    pub fn new<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, InvalidExtra>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let header = |(key, value): (K, V)| {
            let (key, value) = (key.as_ref(), value.as_ref());
            if key.is_empty() {
                return Err(InvalidExtra::Key);
            }
            let name = format!("{PREFIX}{}", utf8_percent_encode(key, KEY));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| InvalidExtra::Key)?;
            if value.chars().any(char::is_control) {
                return Err(InvalidExtra::Value);
            }
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| InvalidExtra::Value)?;
            Ok((name, value))
        };
        let headers: Vec<_> = pairs.into_iter().map(header).collect::<Result<_, _>>()?;
        Ok(Self((!headers.is_empty()).then(|| headers.into())))
    }

    pub(crate) fn put_on(&self, headers: &mut HeaderMap) {
        for (name, value) in self.0.iter().flat_map(|headers| headers.iter()) {
            headers.append(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        Extra::new(pairs.iter().copied())
            .expect("extras")
            .put_on(&mut headers);
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    #[test]
    fn keys_are_encoded_as_client_go_does() {
        // The header's name is lower-case here, as on every HTTP/2 connection; hexadecimal digits may be.
        for (key, name) in [
            ("agent", "impersonate-extra-agent"),
            ("request-id", "impersonate-extra-request-id"),
            ("example.com/scopes", "impersonate-extra-example.com%2fscopes"),
            ("a b%c:d", "impersonate-extra-a%20b%25c%3ad"),
            ("ü", "impersonate-extra-%c3%bc"),
            (
                "x\r\nimpersonate-user: root",
                "impersonate-extra-x%0d%0aimpersonate-user%3a%20root",
            ),
        ] {
            assert_eq!(
                headers(&[(key, "v")]),
                [(name.to_owned(), "v".to_owned())],
                "{key:?}"
            );
        }
    }

    #[test]
    fn a_key_may_have_several_values_and_there_may_be_none() {
        let twice = headers(&[("scopes", "a"), ("scopes", "ü")]);
        assert_eq!(twice.len(), 2);
        assert_eq!(twice[1].1, "ü");
        assert!(headers(&[]).is_empty());
    }

    #[test]
    fn what_would_end_a_header_is_refused() {
        assert_eq!(Extra::new([("", "v")]).map(|_| ()), Err(InvalidExtra::Key));
        for value in ["a\r\nb", "a\0", "\u{85}", "a\tb"] {
            assert_eq!(
                Extra::new([("k", value)]).map(|_| ()),
                Err(InvalidExtra::Value),
                "{value:?}"
            );
        }
        let long = "k".repeat(1 << 17);
        assert_eq!(Extra::new([(long, "v")]).map(|_| ()), Err(InvalidExtra::Key));
    }
}
