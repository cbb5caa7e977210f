//! What `java.util.Properties` loads: its escapes, in ASCII, so that the reader's encoding doesn't matter.

use std::fmt::Write as _;

use crate::record::Fields;

pub(super) fn render(fields: &Fields) -> String {
    let mut text = String::new();
    for (name, value) in &fields.0 {
        escape(name, true, &mut text);
        text.push('=');
        escape(&value.text(), false, &mut text);
        text.push('\n');
    }
    text
}

/// In a name a space would end it; in a value only those at its beginning would be lost.
fn escape(from: &str, is_name: bool, into: &mut String) {
    for (at, c) in from.chars().enumerate() {
        match c {
            ' ' if is_name || at == 0 => into.push_str("\\ "),
            '\\' | '=' | ':' | '#' | '!' => into.extend(['\\', c]),
            '\t' => into.push_str("\\t"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\u{c}' => into.push_str("\\f"),
            ' '..='~' => into.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Infallible for a String.
                    let _ = write!(into, "\\u{unit:04X}");
                }
            }
        }
    }
}
