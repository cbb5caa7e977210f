//! A query's values, as the API server reads them.

use percent_encoding::percent_decode_str;

/// A boolean query parameter as Kubernetes reads it (`Convert_Slice_string_To_bool`): the first value counts, and only
/// absence, `0` and `false` in any case are false.
pub fn flag(query: Option<&str>, key: &str) -> bool {
    value(query, key).is_some_and(|value| !(value == b"0" || value.eq_ignore_ascii_case(b"false")))
}

/// The first value of a query key, decoded as Go's `url.ParseQuery` does: `+` is a space, a pair with a `;` or broken
/// percent-encoding is dropped, and what isn't UTF-8 is kept all the same.
pub fn value(query: Option<&str>, key: &str) -> Option<Vec<u8>> {
    query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.contains(';'))
        .find_map(|pair| {
            let (k, v) = pair.split_once('=').unwrap_or((pair, ""));
            let (k, v) = (form_decode(k)?, form_decode(v)?);
            (k == key.as_bytes()).then_some(v)
        })
}

fn form_decode(text: &str) -> Option<Vec<u8>> {
    if has_broken_encoding(text) {
        return None;
    }
    Some(percent_decode_str(&text.replace('+', " ")).collect())
}

/// Whether a `%` stands before something else than two hexadecimal digits.
pub(super) fn has_broken_encoding(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    bytes
        .iter()
        .enumerate()
        .any(|(at, b)| *b == b'%' && !bytes.get(at + 1..at + 3).is_some_and(is_hex))
}
