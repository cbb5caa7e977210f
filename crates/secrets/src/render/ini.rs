//! `name=value` lines under `[secret]`.
//!
//! INI has no common escapes, so what a line can't keep is refused: line breaks and other control characters, spaces at the
//! ends, and names that would be something else.

use std::fmt::Write as _;

use super::RenderError;
use crate::record::Fields;

pub(super) fn render(fields: &Fields) -> Result<String, RenderError> {
    let mut text = "[secret]\n".to_owned();
    for (name, value) in &fields.0 {
        let value = value.text();
        if let Some(what) = unwritable_name(name).or_else(|| unwritable_value(&value)) {
            return Err(RenderError::Unwritable {
                field: name.clone(),
                format: "ini",
                what,
            });
        }
        // Infallible for a String.
        let _ = writeln!(text, "{name}={}", *value);
    }
    Ok(text)
}

fn unwritable_name(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.starts_with(['[', '#', ';']) || name.contains(['=', ':']) {
        return Some("such a name (no = or :, and no [ # ; at its beginning)");
    }
    unwritable_value(name)
}

fn unwritable_value(value: &str) -> Option<&'static str> {
    if value.contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}') {
        return Some("line breaks and control characters");
    }
    if value.trim() != value {
        return Some("spaces at the beginning or end");
    }
    None
}
