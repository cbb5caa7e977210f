//! What may stand in a path. An argument that could mean another path than it says is refused, not escaped.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::ToolError;

/// All but what stays as it is in a query's value (RFC 3986, unreserved characters).
pub(crate) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An object's name, as the API server takes it for a path's segment
/// (`k8s.io/apimachinery/pkg/api/validation/path`).
pub(crate) fn check_name(name: &str) -> Result<&str, ToolError> {
    let is_dots = name == "." || name == "..";
    let odd = |c: char| c.is_control() || c.is_whitespace() || "/%?#\\".contains(c);
    if name.is_empty() || name.len() > 253 || is_dots || name.contains(odd) {
        return Err(ToolError::arguments(format!(
            "{} is no object's name: give the name alone, as it is in metadata.name",
            quoted(name)
        )));
    }
    Ok(name)
}

/// A namespace's name (RFC 1123 label).
pub(crate) fn check_namespace(name: &str) -> Result<&str, ToolError> {
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    let bytes = name.as_bytes();
    let is_label = (1..=63).contains(&bytes.len())
        && bytes.iter().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !is_label {
        return Err(ToolError::arguments(format!(
            "{} is no namespace: lower-case letters, digits and '-', 63 at most",
            quoted(name)
        )));
    }
    Ok(name)
}

/// A query of those that have a value, `?` included; nothing if none has.
pub(crate) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        let Some(value) = value else { continue };
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        text.extend(utf8_percent_encode(&value, UNRESERVED));
    }
    text
}

/// The start of what somebody wrote, as one line.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_another_path_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a%2fb",
            "a?x=1",
            "a#b",
            "a b",
            "a\nb",
            "../../secrets/x",
            "a\\b",
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["web-0", "system:node:a", "a.b.c", "UPPER", "ü"] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
        assert!(check_name(&"a".repeat(254)).is_err());
    }

    #[test]
    fn namespaces_are_labels() {
        for name in ["", "A", "a.b", "-a", "a-", "a/b", "*", "a,b"] {
            assert!(check_namespace(name).is_err(), "{name:?}");
        }
        assert!(check_namespace("kube-system").is_ok());
    }

    #[test]
    fn a_value_cant_become_another_parameter() {
        assert_eq!(
            query([
                ("labelSelector", Some("a=b&limit=0".to_owned())),
                ("x", None),
                ("y", Some("ü".to_owned()))
            ]),
            "?labelSelector=a%3Db%26limit%3D0&y=%C3%BC"
        );
        assert_eq!(query([("x", None)]), "");
    }
}
