//! How many tokens a text has, for whoever reads it: estimated, upwards, in one pass and without a vocabulary.
//!
//! Models' vocabularies differ and are megabytes. They agree on how text is taken apart, though: words with the blank before them,
//! up to three digits, runs of punctuation, runs of blanks. Each such part is one token if it is common and several if not; here it
//! costs what rare ones do. Against `o200k_base` that is a tenth to a third too many for tables, YAML, logs, prose and base64, up to
//! twice as many for JSON and other scripts, and never too few in what tests compare.

/// The tokens of a text, rather too many than too few. Lines add up: a text's tokens are no more than those of its lines, and one
/// for each line's end.
pub fn estimate(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut tokens, mut at) = (0, 0);
    while at < bytes.len() {
        let start = at;
        let class = class(bytes[at]);
        if class == Class::Other {
            tokens += wide(text, &mut at);
            continue;
        }
        if class.is_word() {
            while at < bytes.len() && self::class(bytes[at]).is_word() {
                at += 1;
            }
            tokens += word(&bytes[start..at]);
            continue;
        }
        while at < bytes.len() && self::class(bytes[at]) == class {
            at += 1;
        }
        let run = &bytes[start..at];
        tokens += match class {
            // One blank belongs to the word after it.
            Class::Blank if run == b" " && at < bytes.len() && bytes[at] != b'\n' => 0,
            Class::Blank => 1 + run.len() / 64,
            Class::Newline => run.len(),
            _ => sign(run),
        };
    }
    tokens
}

/// Letters and digits without anything between them.
fn word(bytes: &[u8]) -> usize {
    let changes = bytes
        .windows(2)
        .filter(|pair| class(pair[0]) != class(pair[1]))
        .count();
    // Randomness has no parts that anybody would have a token for.
    if bytes.len() >= 12 && changes * 4 >= bytes.len() {
        return (bytes.len() * 3).div_ceil(4);
    }
    let (mut tokens, mut at) = (0, 0);
    while at < bytes.len() {
        let start = at;
        let class = class(bytes[at]);
        while at < bytes.len() && self::class(bytes[at]) == class {
            at += 1;
        }
        let run = &bytes[start..at];
        tokens += match class {
            Class::Lower => lower(run),
            Class::Digit => run.len().div_ceil(3),
            // The last begins the word that follows, unless nothing does.
            _ => {
                ((run.len() - usize::from(bytes.get(at).is_some_and(u8::is_ascii_lowercase))) * 3).div_ceil(5)
            }
        };
    }
    tokens
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Blank,
    Newline,
    Sign,
    Other,
}

impl Class {
    fn is_word(self) -> bool {
        matches!(self, Self::Lower | Self::Upper | Self::Digit)
    }
}

fn class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' => Class::Lower,
        b'A'..=b'Z' => Class::Upper,
        b'0'..=b'9' => Class::Digit,
        b' ' | b'\t' => Class::Blank,
        b'\n' => Class::Newline,
        0x80.. => Class::Other,
        _ => Class::Sign,
    }
}

/// Words: those that can be spoken are common enough for tokens of their own.
fn lower(run: &[u8]) -> usize {
    let (mut silent, mut longest) = (0, 0);
    for byte in run {
        silent = if b"aeiouy".contains(byte) { 0 } else { silent + 1 };
        longest = longest.max(silent);
    }
    if longest >= 4 || run.len() > 24 {
        (run.len() * 3).div_ceil(5)
    } else {
        run.len().div_ceil(5)
    }
}

/// Signs: the same again and again is one token for many, a mixture one each at worst, and pairs are common.
fn sign(run: &[u8]) -> usize {
    if run.len() > 2 && run.iter().all(|byte| *byte == run[0]) {
        1 + run.len() / 4
    } else {
        run.len()
    }
}

/// Characters that aren't ASCII: letters of alphabets one each, ideographs up to two, whatever is rarer its bytes.
fn wide(text: &str, at: &mut usize) -> usize {
    let Some(c) = text[*at..].chars().next() else {
        *at = text.len();
        return 0;
    };
    *at += c.len_utf8();
    // Alphabets with words of their own in every vocabulary: two letters a token is still too many.
    let cyrillic = |c: char| matches!(c, '\u{400}'..='\u{4ff}' | '\u{620}'..='\u{64a}');
    if cyrillic(c) {
        let rest = &text[*at..];
        let more = rest.len() - rest.trim_start_matches(cyrillic).len();
        *at += more;
        return (more / 2 + 1).div_ceil(2);
    }
    match c {
        '\u{80}'..='\u{7ff}' => 1,
        '\u{900}'..='\u{fff}'
        | '\u{3040}'..='\u{30ff}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{4e00}'..='\u{9fff}' => 2,
        _ => c.len_utf8(),
    }
}

/// The beginning of a text that has no more tokens than this, at a character's boundary.
pub(crate) fn head(text: &str, tokens: usize) -> &str {
    if estimate_within(text, tokens) {
        return text;
    }
    // A text's tokens grow with its length, so the longest that fits is between what surely does and what surely doesn't.
    let (mut fits, mut over) = (0, text.len().min(tokens.saturating_mul(64).saturating_add(64)));
    while over - fits > 1 {
        let middle = floor(text, (fits + over) / 2);
        if middle <= fits {
            break;
        }
        if estimate(&text[..middle]) <= tokens {
            fits = middle;
        } else {
            over = middle;
        }
    }
    &text[..floor(text, fits)]
}

/// The end of a text that has no more tokens than this.
pub(crate) fn tail(text: &str, tokens: usize) -> &str {
    let (mut fits, mut over) = (0, text.len().min(tokens.saturating_mul(64).saturating_add(64)));
    while over - fits > 1 {
        let middle = usize::midpoint(fits, over);
        let start = ceiling(text, text.len() - middle);
        if estimate(&text[start..]) <= tokens {
            fits = middle;
        } else {
            over = middle;
        }
    }
    &text[ceiling(text, text.len() - fits)..]
}

/// Whether a text has no more tokens than this, without reading a text that is much too long.
pub(crate) fn estimate_within(text: &str, tokens: usize) -> bool {
    text.len() <= tokens.saturating_mul(64).saturating_add(64) && estimate(text) <= tokens
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceiling(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}
