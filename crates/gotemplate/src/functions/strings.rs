//! Sprig's functions on strings. What cuts them counts bytes, as Go does.

use super::{Arguments, Function, Type, printed, string_value};
use crate::{
    error::{Fault, Outcome, RenderErrorKind},
    format::quote,
    run::Run,
    unicode::{self, chars, trim_end, trim_start},
    value::Value,
};

use Type::{Any, Int, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("trim", &[Text], |run, a| run.text(unicode::trim(a.text(0)))),
    Function::new("trimAll", &[Text, Text], trim_all),
    Function::new("trimall", &[Text, Text], trim_all),
    Function::new("trimPrefix", &[Text, Text], |run, a| {
        let (prefix, text) = (a.text(0), a.text(1));
        run.text(text.strip_prefix(prefix).unwrap_or(text))
    }),
    Function::new("trimSuffix", &[Text, Text], |run, a| {
        let (suffix, text) = (a.text(0), a.text(1));
        run.text(text.strip_suffix(suffix).unwrap_or(text))
    }),
    Function::new("repeat", &[Int, Text], |run, a| repeat(run, a.text(1), a.int(0))),
    Function::new("substr", &[Int, Int, Text], substr),
    Function::new("trunc", &[Int, Text], |run, a| {
        let (count, text) = (a.int(0), a.text(1));
        let length = text.len() as i64;
        match count {
            0.. if length > count => run.text(&text[..count as usize]),
            ..0 if length + count > 0 => run.text(&text[(length + count) as usize..]),
            _ => Ok(a.any(1).clone()),
        }
    }),
    Function::new("abbrev", &[Int, Text], |run, a| {
        let text = match a.int(0) {
            ..4 => a.text(1).to_vec(),
            width => abbreviated(a.text(1), 0, width as usize),
        };
        run.text(text)
    }),
    Function::new("abbrevboth", &[Int, Int, Text], |run, a| {
        let (left, right) = (a.int(0), a.int(1));
        let text = match right < 4 || left > 0 && right < 7 {
            true => a.text(2).to_vec(),
            false => abbreviated(a.text(2), left, right as usize),
        };
        run.text(text)
    }),
    Function::new("initials", &[Text], initials),
    Function::new("nospace", &[Text], nospace),
    Function::new("contains", &[Text, Text], |_, a| {
        Ok(Value::Bool(find(a.text(1), a.text(0)).is_some()))
    }),
    Function::new("hasPrefix", &[Text, Text], |_, a| {
        Ok(Value::Bool(a.text(1).starts_with(a.text(0))))
    }),
    Function::new("hasSuffix", &[Text, Text], |_, a| {
        Ok(Value::Bool(a.text(1).ends_with(a.text(0))))
    }),
    Function::new("quote", &[], |run, a| {
        joined(run, a, |run, value| Ok(quote(&string_value(run, value)?)))
    })
    .many(Any),
    Function::new("squote", &[], |run, a| {
        joined(run, a, |run, value| {
            Ok([b"'", &*string_value(run, value)?, b"'"].concat())
        })
    })
    .many(Any),
    Function::new("cat", &[], |run, a| {
        let all = joined(run, a, |run, value| Ok(string_value(run, value)?.to_vec()))?;
        Ok(all)
    })
    .many(Any),
    Function::new("indent", &[Int, Text], |run, a| indent(run, a, b"")),
    Function::new("nindent", &[Int, Text], |run, a| indent(run, a, b"\n")),
    Function::new("replace", &[Text, Text, Text], |run, a| {
        replace(run, a.text(2), a.text(0), a.text(1))
    }),
    Function::new("plural", &[Text, Text, Int], |_, a| {
        Ok(a.any(usize::from(a.int(2) != 1)).clone())
    }),
    Function::new("fail", &[Text], |_, a| {
        Err(Fault {
            kind: RenderErrorKind::Refused,
            ..Fault::new(String::from_utf8_lossy(a.text(0)))
        })
    }),
    Function::new("toString", &[Any], |run, a| {
        Ok(Value::Text(string_value(run, a.any(0))?))
    }),
];

fn trim_all(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let cut: Vec<char> = chars(a.text(0)).map(|(c, _)| c).collect();
    run.step(a.text(1).len() * cut.len() / 256)?;
    let cuts = |c: char| cut.contains(&c);
    run.text(trim_end(trim_start(a.text(1), cuts), cuts))
}

/// The text so many times.
fn repeat(run: &mut Run, text: &[u8], count: i64) -> Outcome<Value> {
    let Ok(count) = usize::try_from(count) else {
        return Err(Fault::new("the count is negative: give it 0 or more"));
    };
    let size = text.len().saturating_mul(count);
    run.make(size)?;
    Ok(Value::text(&text.repeat(if size == 0 { 0 } else { count })))
}

fn substr(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let (start, end, text) = (a.int(0), a.int(1), a.text(2));
    let length = text.len() as i64;
    let (start, end) = match (start, end) {
        (..0, end) => (0, end),
        (start, end) if end < 0 || end > length => (start, length),
        both => both,
    };
    let cut = usize::try_from(start)
        .ok()
        .zip(usize::try_from(end).ok())
        .and_then(|(start, end)| text.get(start..end));
    match cut {
        Some(cut) => run.text(cut),
        None => Err(Fault::new(
            "the range is outside of the string, or ends before it starts: mind its len",
        )),
    }
}

/// No longer than the width, with dots where something is missing; from about the offset on.
fn abbreviated(text: &[u8], offset: i64, width: usize) -> Vec<u8> {
    let length = text.len();
    if length <= width {
        return text.to_vec();
    }
    let mut offset = offset.min(length as i64);
    if (length as i64) - offset < width as i64 - 3 {
        offset = (length - (width - 3)) as i64;
    }
    let start = match usize::try_from(offset) {
        Ok(start) if start > 4 => start,
        _ => return [&text[..width - 3], b"..."].concat(),
    };
    if start + width - 3 < length {
        let rest = match width - 3 {
            // Too narrow to be abbreviated once more: nothing is left of it.
            ..4 => Vec::new(),
            width => abbreviated(&text[start..], 0, width),
        };
        return [b"...", &*rest].concat();
    }
    [b"...", &text[length - (width - 3)..]].concat()
}

/// A byte taken for a character, as the library below Sprig takes it.
fn latin(byte: u8) -> char {
    char::from(byte)
}

fn initials(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut out = Vec::new();
    let mut gap = true;
    for &byte in a.text(0) {
        let c = latin(byte);
        if c.is_whitespace() {
            gap = true;
        } else if std::mem::take(&mut gap) {
            unicode::push(&mut out, c);
        }
    }
    run.text(out)
}

fn nospace(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let text = a.text(0);
    if !text.iter().any(|&b| latin(b).is_whitespace()) {
        return Ok(a.any(0).clone());
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.iter().map(|&b| latin(b)).filter(|c| !c.is_whitespace()) {
        unicode::push(&mut out, c);
    }
    run.text(out)
}

/// What is made of each argument that isn't nil, with spaces between.
fn joined(
    run: &mut Run,
    a: Arguments<'_>,
    mut make: impl FnMut(&mut Run, &Value) -> Outcome<Vec<u8>>,
) -> Outcome<Value> {
    let mut parts = Vec::new();
    for value in a.from(0).iter().filter(|value| !value.is_nil()) {
        parts.push(make(run, value)?);
    }
    run.text(parts.join(&b' '))
}

fn indent(run: &mut Run, a: Arguments<'_>, before: &[u8]) -> Outcome<Value> {
    let Ok(spaces) = usize::try_from(a.int(0)) else {
        return Err(Fault::new("the count is negative: give it 0 or more"));
    };
    let text = a.text(1);
    let lines = 1 + text.iter().filter(|&&b| b == b'\n').count();
    run.make(text.len().saturating_add(spaces.saturating_mul(lines)))?;
    let pad = vec![b' '; spaces];
    let mut out = before.to_vec();
    for (i, line) in text.split(|&b| b == b'\n').enumerate() {
        if i > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(&pad);
        out.extend_from_slice(line);
    }
    Ok(Value::text(&out))
}

/// Where the part begins.
pub(super) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}

fn replace(run: &mut Run, text: &[u8], old: &[u8], new: &[u8]) -> Outcome<Value> {
    printed(run, |out| {
        if old.is_empty() {
            // Between all characters, and at both ends.
            out.push(new);
            for (_, bytes) in chars(text) {
                out.push(bytes);
                out.push(new);
            }
            return;
        }
        let mut rest = text;
        while let Some(at) = find(rest, old).filter(|_| !out.is_full()) {
            out.push(&rest[..at]);
            out.push(new);
            rest = &rest[at + old.len()..];
        }
        out.push(rest);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_keep_the_width() {
        assert_eq!(abbreviated(b"hello world", 0, 5), b"he...");
        assert_eq!(abbreviated(b"1234 5678 9123", 5, 10), b"...5678...");
        assert_eq!(abbreviated(b"short", 0, 10), b"short");
    }
}
