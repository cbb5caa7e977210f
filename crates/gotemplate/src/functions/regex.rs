//! Regular expressions, as Go's `regexp` has them.

use std::rc::Rc;

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::{Arguments, Function, Type, expressions::translate, printed};
use crate::{
    error::{Fault, Outcome},
    run::Run,
    unicode::{first, is_word},
    value::{Element, Value},
};

use Type::{Int, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("regexMatch", &[Text, Text], |run, a| {
        // What isn't an expression matches nothing.
        match expression(run, a) {
            Err(fault) if fault.kind == crate::RenderErrorKind::Failed => Ok(Value::Bool(false)),
            Err(fault) => Err(fault),
            Ok(regex) => matches(run, &regex, a),
        }
    }),
    Function::new("mustRegexMatch", &[Text, Text], |run, a| {
        let regex = expression(run, a)?;
        matches(run, &regex, a)
    }),
    Function::new("regexFind", &[Text, Text], find),
    Function::new("mustRegexFind", &[Text, Text], find),
    Function::new("regexFindAll", &[Text, Text, Int], find_all),
    Function::new("mustRegexFindAll", &[Text, Text, Int], find_all),
    Function::new("regexReplaceAll", &[Text, Text, Text], |run, a| {
        replace(run, a, false)
    }),
    Function::new("mustRegexReplaceAll", &[Text, Text, Text], |run, a| {
        replace(run, a, false)
    }),
    Function::new("regexReplaceAllLiteral", &[Text, Text, Text], |run, a| {
        replace(run, a, true)
    }),
    Function::new("mustRegexReplaceAllLiteral", &[Text, Text, Text], |run, a| {
        replace(run, a, true)
    }),
    Function::new("regexSplit", &[Text, Text, Int], split),
    Function::new("mustRegexSplit", &[Text, Text, Int], split),
    Function::new("regexQuoteMeta", &[Text], |run, a| {
        let mut out = Vec::new();
        for &byte in a.text(0) {
            if br"\.+*?()|[]{}^$".contains(&byte) {
                out.push(b'\\');
            }
            out.push(byte);
        }
        run.text(out)
    }),
];

/// How much an expression may take up once it's compiled, in bytes.
const COMPILED_BYTES: usize = 1 << 20;
/// What compiling one counts for.
const COMPILING_STEPS: usize = 1000;
/// So many bytes that are searched are one step. Of text that was perhaps only looked at, it takes more.
const SEARCHED_BYTES: usize = 256;
const SEEN_BYTES: usize = 1024;

fn expression(run: &mut Run, a: Arguments<'_>) -> Outcome<Rc<Regex>> {
    let written = a.shared(0);
    if let Some(known) = run.expressions.get(&written) {
        return Ok(known.clone());
    }
    run.step(COMPILING_STEPS + written.len())?;
    let bad = || Fault::new("this isn't a regular expression of Go's: check its syntax");
    let text = std::str::from_utf8(&written).map_err(|_| bad())?;
    let translated = translate(text).map_err(Fault::new)?;
    let regex = RegexBuilder::new(&translated)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .nest_limit(100)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                Fault::limit("the regular expression is too large: repeat less in it")
            }
            _ => bad(),
        })?;
    let regex = Rc::new(regex);
    run.expressions.insert(written, regex.clone());
    Ok(regex)
}

fn searching(run: &mut Run, text: &[u8]) -> Outcome<()> {
    run.step(1 + text.len() / SEARCHED_BYTES)
}

fn matches(run: &mut Run, regex: &Regex, a: Arguments<'_>) -> Outcome<Value> {
    searching(run, a.text(1))?;
    Ok(Value::Bool(regex.is_match(a.text(1))))
}

fn find(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let regex = expression(run, a)?;
    match spans(run, &regex, a.text(1), 1)?.first() {
        Some(&(start, end)) => run.text(&a.text(1)[start..end]),
        None => run.text(b""),
    }
}

/// Calls for each match that doesn't overlap the one before it, until told to stop.
fn each<'t>(
    run: &mut Run,
    regex: &Regex,
    text: &'t [u8],
    mut found: impl FnMut(&mut Run, Captures<'t>) -> Outcome<bool>,
) -> Outcome<()> {
    let mut at = 0;
    let mut last_end = None;
    while at <= text.len() {
        run.step(1 + (text.len() - at) / SEEN_BYTES)?;
        let Some(captures) = regex.captures_at(text, at) else {
            break;
        };
        let Some((start, end)) = captures.get(0).map(|m| (m.start(), m.end())) else {
            break;
        };
        if end == start && matches!(text.get(start), Some(0x80..=0xbf)) {
            // Within a character, where Go doesn't look.
            at = start + 1;
            continue;
        }
        // An empty match right after another one doesn't count.
        let counts = !(end == start && last_end == Some(start));
        at = match end > at {
            true => end,
            false => at + first(&text[at..]).map_or(1, |(_, width)| width),
        };
        last_end = Some(end);
        run.step((end - start) / SEARCHED_BYTES)?;
        if counts && !found(run, captures)? {
            break;
        }
    }
    Ok(())
}

/// Up to so many matches; below 0, all.
fn spans(run: &mut Run, regex: &Regex, text: &[u8], most: i64) -> Outcome<Vec<(usize, usize)>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut spans = Vec::new();
    if most == 0 {
        return Ok(spans);
    }
    each(run, regex, text, |run, captures| {
        run.make(16)?;
        spans.extend(captures.get(0).map(|m| (m.start(), m.end())));
        Ok(spans.len() < most)
    })?;
    Ok(spans)
}

fn find_all(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let regex = expression(run, a)?;
    let text = a.text(1);
    let found = spans(run, &regex, text, a.int(2))?;
    match found.is_empty() {
        true => Ok(Run::nil_list(Element::Text)),
        false => run.texts(found.into_iter().map(|(start, end)| &text[start..end])),
    }
}

fn split(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let regex = expression(run, a)?;
    let (text, most) = (a.text(1), a.int(2));
    if most == 0 {
        return Ok(Run::nil_list(Element::Text));
    }
    if !a.text(0).is_empty() && text.is_empty() {
        return run.texts([b""]);
    }
    let mut parts = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for (start, stop) in spans(run, &regex, text, most)? {
        if most > 0 && parts.len() as i64 == most - 1 {
            break;
        }
        end = start;
        if stop != 0 {
            parts.push(&text[begin..end]);
        }
        begin = stop;
    }
    if end != text.len() {
        parts.push(&text[begin..]);
    }
    run.texts(parts)
}

fn replace(run: &mut Run, a: Arguments<'_>, literal: bool) -> Outcome<Value> {
    let regex = expression(run, a)?;
    let (text, template) = (a.text(1), a.text(2));
    let mut done = 0;
    let mut out = Vec::new();
    each(run, &regex, text, |run, captures| {
        let before = out.len();
        if let Some(found) = captures.get(0) {
            out.extend_from_slice(&text[done..found.start()]);
            done = found.end();
        }
        match literal {
            true => out.extend_from_slice(template),
            false => expand(template, &captures, &mut out),
        }
        run.make(out.len() - before)?;
        Ok(true)
    })?;
    printed(run, |all| {
        all.push(&out);
        all.push(&text[done..]);
    })
}

/// A replacement with `$1`, `${1}`, `$name` and `$$` filled in.
fn expand(template: &[u8], captures: &Captures<'_>, out: &mut Vec<u8>) {
    let mut rest = template;
    while let Some(at) = rest.iter().position(|&b| b == b'$') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(b"$") {
            out.push(b'$');
            rest = after;
            continue;
        }
        let (inside, braces) = match rest.strip_prefix(b"{") {
            Some(inside) => (inside, 1),
            None => (rest, 0),
        };
        let length: usize = crate::unicode::chars(inside)
            .take_while(|&(c, _)| is_word(c))
            .map(|(_, bytes)| bytes.len())
            .sum();
        let closed = braces == 0 || inside.get(length) == Some(&b'}');
        if length == 0 || !closed {
            out.push(b'$');
            continue;
        }
        let name = std::str::from_utf8(&inside[..length]).unwrap_or_default();
        let number = name.bytes().all(|b| b.is_ascii_digit());
        let found = match number {
            true => name.parse().ok().and_then(|i| captures.get(i)),
            false => captures.name(name),
        };
        out.extend_from_slice(found.map(|m| m.as_bytes()).unwrap_or_default());
        rest = &rest[length + 2 * braces..];
    }
    out.extend_from_slice(rest);
}
