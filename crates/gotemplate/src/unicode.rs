//! Characters as Go sees them: by general category, and with case mapped one character to one.

use std::sync::LazyLock;

use regex::Regex;

macro_rules! category {
    ($(#[$doc:meta])* $name:ident, $class:literal, $ascii:expr) => {
        $(#[$doc])*
        pub(crate) fn $name(c: char) -> bool {
            static CLASS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($class).ok());
            if c.is_ascii() {
                let ascii: fn(char) -> bool = $ascii;
                return ascii(c);
            }
            CLASS.as_ref().is_some_and(|class| class.is_match(c.encode_utf8(&mut [0; 4])))
        }
    };
}

category!(is_letter, r"^\p{L}$", |c| c.is_ascii_alphabetic());
category!(is_digit, r"^\p{Nd}$", |c| c.is_ascii_digit());
category!(is_number, r"^\p{N}$", |c| c.is_ascii_digit());
category!(is_punctuation, r"^\p{P}$", |c| c.is_ascii_punctuation()
    && !"$+<=>^`|~".contains(c));
category!(is_upper, r"^\p{Lu}$", |c| c.is_ascii_uppercase());
category!(is_lower, r"^\p{Ll}$", |c| c.is_ascii_lowercase());
category!(is_title, r"^\p{Lt}$", |_| false);

/// What may be in a name of a template's: letters, digits, and `_`.
pub(crate) fn is_word(c: char) -> bool {
    c == '_' || is_letter(c) || is_digit(c)
}

/// Is it shown as itself in a quoted string?
pub(crate) fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // After another character, only what can't be printed is escaped.
    !format!("a{c}").escape_debug().to_string().contains("\\u{")
}

/// The one character that it is in upper case.
pub(crate) fn to_upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(upper), None) => upper,
        // Written out with an iota of its own; one character has the iota below.
        _ => match u32::from(c) {
            n @ (0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7) => char::from_u32(n + 8).unwrap_or(c),
            n @ (0x1fb3 | 0x1fc3 | 0x1ff3) => char::from_u32(n + 9).unwrap_or(c),
            _ => c,
        },
    }
}

/// The one character that it is in lower case.
pub(crate) fn to_lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// The one character that it is at the beginning of a title.
pub(crate) fn to_title(c: char) -> char {
    match u32::from(c) {
        0x1c4..=0x1c6 => '\u{1c5}',
        0x1c7..=0x1c9 => '\u{1c8}',
        0x1ca..=0x1cc => '\u{1cb}',
        0x1f1..=0x1f3 => '\u{1f2}',
        0x10d0..=0x10ff => c,
        _ => to_upper(c),
    }
}

/// The first character and its width; what isn't UTF-8 is U+FFFD of one byte.
pub(crate) fn first(bytes: &[u8]) -> Option<(char, usize)> {
    let head = &bytes[..bytes.len().min(4)];
    if head.is_empty() {
        return None;
    }
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    Some(
        valid
            .chars()
            .next()
            .map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8())),
    )
}

/// The characters with their bytes; what isn't UTF-8 is U+FFFD of one byte.
pub(crate) fn chars(mut bytes: &[u8]) -> impl Iterator<Item = (char, &[u8])> {
    std::iter::from_fn(move || {
        let (c, width) = first(bytes)?;
        let (head, tail) = bytes.split_at(width);
        bytes = tail;
        Some((c, head))
    })
}

/// Appends a character.
pub(crate) fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Every character replaced by what `map` makes of it.
pub(crate) fn mapped(bytes: &[u8], mut map: impl FnMut(char) -> char) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for (c, _) in chars(bytes) {
        push(&mut out, map(c));
    }
    out
}

/// Without white space at both ends.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes, char::is_whitespace), char::is_whitespace)
}

/// Without the characters at the beginning that `cut` takes.
pub(crate) fn trim_start(mut bytes: &[u8], cut: impl Fn(char) -> bool) -> &[u8] {
    while let Some((c, width)) = first(bytes).filter(|&(c, _)| cut(c)) {
        let _ = c;
        bytes = &bytes[width..];
    }
    bytes
}

/// Without the characters at the end that `cut` takes.
pub(crate) fn trim_end(bytes: &[u8], cut: impl Fn(char) -> bool) -> &[u8] {
    let mut end = 0;
    let mut kept = 0;
    for (c, part) in chars(bytes) {
        end += part.len();
        if !cut(c) {
            kept = end;
        }
    }
    &bytes[..kept]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_one_to_one() {
        assert_eq!(to_upper('ß'), 'ß');
        assert_eq!(to_upper('é'), 'É');
        assert_eq!(to_lower('İ'), 'i');
        assert_eq!(to_title('ǆ'), 'ǅ');
    }

    #[test]
    fn broken_utf8_is_one_replacement_a_byte() {
        let seen: String = chars(b"a\xe2\x82z").map(|(c, _)| c).collect();
        assert_eq!(seen, "a\u{fffd}\u{fffd}z");
    }

    #[test]
    fn categories_are_not_properties() {
        assert!(is_letter('é') && !is_letter('\u{345}'));
        assert!(is_punctuation('!') && !is_punctuation('$'));
        assert!(!is_print('\u{a0}') && is_print('é') && is_print('\u{301}'));
    }
}
