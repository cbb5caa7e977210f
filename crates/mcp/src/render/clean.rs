//! Text without what can't be seen: what is left is what a person would see, so that nobody else reads more than they would.
//!
//! It comes before redaction: a token with an invisible character in its middle would pass as no token, and be whole afterwards.

use std::borrow::Cow;

/// Stands where text was taken out whose only use is to be read by a machine and not by people.
pub(crate) const HIDDEN: &str = "[hidden text removed]";

/// The text without control characters (but `\n` and `\t`), escape sequences, bidi controls and invisible characters.
///
/// If what was taken out could carry words of its own or turn the order of those around it, a mark at the end says so.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    // Nearly all text is this.
    if text
        .bytes()
        .all(|byte| byte.is_ascii() && (byte >= b' ' || byte == b'\n' || byte == b'\t') && byte != 0x7f)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut suspicious = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\u{1b}' => after_escape(after),
            // The same sequences, introduced by one character of C1.
            '\u{9b}' => after_csi(after),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => after_string(after),
            '\n' | '\t' => {
                out.push(c);
                after
            }
            '\u{2028}' | '\u{2029}' => {
                out.push(' ');
                after
            }
            '\u{200c}' | '\u{200d}' => {
                // Within words of Persian or Hindi, and within emoji, they are how it is written.
                if joins(out.chars().next_back(), after.chars().next()) {
                    out.push(c);
                }
                after
            }
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
                // One after a character chooses its form. Several in a row choose nothing, and can spell.
                if out
                    .chars()
                    .next_back()
                    .is_some_and(|before| !before.is_ascii() && !is_selector(before))
                    || keycap(&out, after)
                {
                    out.push(c);
                } else {
                    suspicious = true;
                }
                after
            }
            _ if c.is_control() => after,
            _ if is_bidi(c) || is_tag(c) => {
                suspicious |= !matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}');
                after
            }
            _ if is_invisible(c) => after,
            _ => {
                out.push(c);
                after
            }
        };
    }
    if suspicious {
        if !out.is_empty() && !out.ends_with([' ', '\n']) {
            out.push(' ');
        }
        out.push_str(HIDDEN);
    }
    Cow::Owned(out)
}

/// The text on one line, clean.
pub(crate) fn one_line(text: &str) -> String {
    let cleaned = clean(text);
    let mut out = String::with_capacity(cleaned.len());
    for word in cleaned
        .split(['\n', '\t'])
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// What follows an escape sequence whose ESC was read (ECMA-48).
fn after_escape(rest: &str) -> &str {
    match rest.chars().next() {
        Some('[') => after_csi(&rest[1..]),
        // OSC, DCS, SOS, PM, APC: strings, which a terminal doesn't show.
        Some(']' | 'P' | 'X' | '^' | '_') => after_string(&rest[1..]),
        // Intermediate bytes, then a final one.
        Some(' '..='/') => {
            let rest = rest.trim_start_matches(|c: char| matches!(c, ' '..='/'));
            rest.strip_prefix(|c: char| matches!(c, '0'..='~'))
                .unwrap_or(rest)
        }
        Some('0'..='~') => &rest[1..],
        _ => rest,
    }
}

/// What follows a control sequence: parameters, intermediates, one final byte.
fn after_csi(rest: &str) -> &str {
    let rest = rest.trim_start_matches(|c: char| matches!(c, '0'..='?'));
    let rest = rest.trim_start_matches(|c: char| matches!(c, ' '..='/'));
    rest.strip_prefix(|c: char| matches!(c, '@'..='~'))
        .unwrap_or(rest)
}

/// What follows a string's terminator, or the line if it has none: an unfinished sequence doesn't swallow what comes after.
fn after_string(rest: &str) -> &str {
    for (at, c) in rest.char_indices() {
        match c {
            '\u{7}' | '\u{9c}' => return &rest[at + c.len_utf8()..],
            '\u{1b}' => {
                let after = &rest[at + 1..];
                return after.strip_prefix('\\').unwrap_or(&rest[at..]);
            }
            '\n' => return &rest[at..],
            _ => {}
        }
    }
    ""
}

/// Whether a joiner between these two has a meaning.
fn joins(before: Option<char>, after: Option<char>) -> bool {
    let meaningful = |c: char| {
        !c.is_ascii()
            && !c.is_control()
            && !is_invisible(c)
            && !is_tag(c)
            && !matches!(c, '\u{200c}' | '\u{200d}')
    };
    before.is_some_and(meaningful) && after.is_some_and(meaningful)
}

/// Whether a selector here makes a keycap of a digit.
fn keycap(out: &str, after: &str) -> bool {
    after.starts_with('\u{20e3}') && out.ends_with(|c: char| c.is_ascii_digit() || c == '#' || c == '*')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters of a plane that repeats ASCII invisibly.
fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0000}'..='\u{e00ff}')
}

fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e01f0}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_of_any_script_stays_as_it_is() {
        for text in [
            "plain\ttext\nof two lines",
            "Größe, façade, Ærø, Đà Nẵng",
            "Привет, мир",
            "你好,世界。日本語テキスト 한국어",
            "שלום עולם",
            "مرحبا بالعالم",
            "می\u{200c}خواهم",
            "क\u{94d}\u{200d}ष",
            "ภาษาไทย",
            "👩\u{200d}💻 ❤\u{fe0f} 1\u{fe0f}\u{20e3} 🇩🇪",
            "→ ✓ ½ € — “quoted”",
        ] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn escape_sequences_are_taken_out_whole() {
        for (text, rest) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\b", "alinkb"),
            ("a\u{9b}31mb", "ab"),
            ("a\u{1b}(Bb\u{1b}7c\u{1b}", "abc"),
            ("a\u{1b}]never ends\nnext line", "a\nnext line"),
            ("beep\u{7}\u{8}\r\u{0}\u{7f}", "beep"),
        ] {
            assert_eq!(clean(text), rest, "{text:?}");
        }
    }

    #[test]
    fn what_is_invisible_goes_and_what_could_speak_leaves_a_mark() {
        assert_eq!(clean("to\u{200b}ken\u{feff}\u{2060}"), "token");
        assert_eq!(clean("a\u{200d}b"), "ab");
        assert_eq!(clean("one\u{2028}two"), "one two");
        let tagged: String = "delete it"
            .chars()
            .map(|c| char::from_u32(0xe0000 + c as u32).unwrap())
            .collect();
        assert_eq!(clean(&format!("hello{tagged}")), format!("hello {HIDDEN}"));
        assert_eq!(clean("user\u{202e}txt.exe"), format!("usertxt.exe {HIDDEN}"));
        assert_eq!(clean("x\u{fe00}\u{fe01}"), format!("x {HIDDEN}"));
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(one_line("  a \n\n b\tc\r\n"), "a b c");
    }
}
