//! Go's quoted strings.

use crate::unicode::{chars, is_print, push};

/// In double quotes, with what can't be printed escaped.
pub(crate) fn quote(text: &[u8]) -> Vec<u8> {
    quoted(text, '"', false)
}

/// In double quotes, with everything but ASCII escaped.
pub(crate) fn quote_ascii(text: &[u8]) -> Vec<u8> {
    quoted(text, '"', true)
}

/// A character in single quotes.
pub(super) fn quote_char(c: char, ascii: bool) -> Vec<u8> {
    quoted(c.encode_utf8(&mut [0; 4]).as_bytes(), '\'', ascii)
}

/// Can it be in backquotes?
pub(super) fn can_backquote(text: &[u8]) -> bool {
    chars(text).all(|(c, bytes)| {
        let broken = c == char::REPLACEMENT_CHARACTER && bytes.len() == 1;
        let control = c < ' ' && c != '\t' || c == '\x7f';
        !broken && !control && c != '`' && c != '\u{feff}'
    })
}

fn quoted(text: &[u8], quote: char, ascii: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    push(&mut out, quote);
    for (c, bytes) in chars(text) {
        match c {
            char::REPLACEMENT_CHARACTER if bytes.len() == 1 => {
                out.extend(format!("\\x{:02x}", bytes[0]).bytes());
            }
            '\\' => out.extend(b"\\\\"),
            c if c == quote => out.extend([b'\\', quote as u8]),
            c if is_print(c) && (!ascii || c.is_ascii()) => push(&mut out, c),
            '\x07' => out.extend(b"\\a"),
            '\x08' => out.extend(b"\\b"),
            '\x0c' => out.extend(b"\\f"),
            '\n' => out.extend(b"\\n"),
            '\r' => out.extend(b"\\r"),
            '\t' => out.extend(b"\\t"),
            '\x0b' => out.extend(b"\\v"),
            c if c < ' ' || c == '\x7f' => out.extend(format!("\\x{:02x}", u32::from(c)).bytes()),
            c if c < '\u{10000}' => out.extend(format!("\\u{:04x}", u32::from(c)).bytes()),
            c => out.extend(format!("\\U{:08x}", u32::from(c)).bytes()),
        }
    }
    push(&mut out, quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_printed_is_escaped() {
        assert_eq!(
            quote("é\n\"\u{200b}😀".as_bytes()),
            "\"é\\n\\\"\\u200b😀\"".as_bytes()
        );
        assert_eq!(quote(b"\xff\x01"), b"\"\\xff\\x01\"");
        assert_eq!(quote_ascii("é😀".as_bytes()), b"\"\\u00e9\\U0001f600\"");
    }
}
