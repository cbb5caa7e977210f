//! What may stand in a label (`k8s.io/apimachinery/pkg/util/validation`).

/// The longest value, and the longest name in a key, in bytes.
const MAX_NAME: usize = 63;
/// The longest prefix of a key, in bytes.
const MAX_PREFIX: usize = 253;

/// Whether a label can have this key: `team`, `example.com/team`.
pub fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_value(key),
        Some((prefix, name)) => is_value(name) && is_subdomain(prefix),
    }
}

/// Whether this is a label's value that isn't empty; a name in its key is made of the same.
pub fn is_value(text: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= MAX_NAME
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn is_subdomain(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|b| is_edge(*b))
            && bytes.last().is_some_and(|b| is_edge(*b))
            && bytes.iter().all(|b| is_edge(*b) || *b == b'-')
    };
    text.len() <= MAX_PREFIX && text.split('.').all(is_label)
}
