//! Secrets that go over lines: blocks of PEM, YAML and base64, and words that a line's end cut in two.
//!
//! Lines come in one by one, clean and without their ends, and go out one line later: only the next line tells whether the last
//! word was half a token.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::line::{self, Next};
use super::object::Redactor;
use super::{REDACTED, hide, names, words};
use crate::render::{EnvPolicy, prefix};

/// Longer words than this aren't tokens that were wrapped.
const LONGEST_WORD: usize = 8192;
/// Narrower than this no terminal wraps.
const WIDE: usize = 60;
/// A private key has no more lines than this.
const KEY_LINES: u32 = 1200;

pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

static BEGIN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i-u:-{2,} ?BEGIN [A-Z0-9 ]{0,40}(?:PRIVATE KEY|STATIC KEY)[A-Z0-9 ]{0,20}-{2,}|PuTTY-User-Key-File)",
    )
});
static END: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i-u:-{2,} ?END [A-Z0-9 ]{0,40}(?:PRIVATE KEY|STATIC KEY)[A-Z0-9 ]{0,20}-{2,}|Private-MAC:)")
});
static PUBLIC: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?-u:-----BEGIN (?:TRUSTED |X509 )?(?:CERTIFICATE(?: REQUEST)?|CRL|PUBLIC KEY)-----[ \t]*$)")
});
static KIND: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i-u:(?:^|[\n,{ \t])["']?kind["']?[ \t]*:[ \t]*["']?(Secret|Config)["']?[ \t]*(?:#|[,}\r\n]|$))"#,
    )
});

/// The state between lines.
#[derive(Debug)]
pub(super) struct Scrub {
    env: EnvPolicy,
    /// How many encodings were opened to come here.
    depth: u8,
    /// Whether the beginning may be missing, as a log's tail has none: then lines are suspected without it.
    orphans: bool,
    pub(super) state: State,
    carry: Carry,
    /// How many lines the value of a pair may be away from its telling name.
    pub(super) named: u8,
    held: Option<Held>,
    hits: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Plain,
    /// Within a private key.
    Key {
        lines: u32,
        foreign: u32,
    },
    /// Within a certificate, which everybody may see.
    Public,
    /// Within a block of YAML that is a secret, deeper than this.
    Block(usize),
    /// Within a Secret's values, deeper than this; all of them, or those that are base64.
    Data {
        indent: usize,
        all: bool,
    },
    /// After a line of nothing but randomness.
    Random,
    /// Within a Secret's values on one endless line.
    Braces {
        all: bool,
    },
}

/// What the first word of the next line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carry {
    Nothing,
    /// The rest of a secret that went to the line's end.
    Rest,
    /// The value of the name that stood at the line's end.
    Value,
}

#[derive(Debug)]
struct Held {
    tag: usize,
    text: Option<String>,
    /// The last word as it was, and where it begins in the text.
    tail: Option<(String, usize)>,
}

/// What goes out: whose it is, and the line, if there is something left of it.
pub(super) type Out = Vec<(usize, Option<String>)>;

/// The text without secrets, and how many there were.
pub(super) fn text(text: &str, env: EnvPolicy, depth: u8) -> (Option<String>, u32) {
    if words::wrapped_secret(text, depth) {
        return (Some(REDACTED.to_owned()), 1);
    }
    if let Some(documents) = documents(text, env, depth) {
        return documents;
    }
    lines(text, env, depth)
}

/// Whether there is a secret in the text.
pub(super) fn holds_secret(text: &str, depth: u8) -> bool {
    self::text(text, EnvPolicy::Shown, depth).1 > 0 || super::object::json_holds_secret(text, depth)
}

fn lines(text: &str, env: EnvPolicy, depth: u8) -> (Option<String>, u32) {
    let mut scrub = Scrub::new(env, false, depth);
    let mut out = Out::new();
    for line in text.split('\n') {
        scrub.line(line, 0, &mut out);
    }
    scrub.finish(&mut out);
    if scrub.hits == 0 {
        return (None, 0);
    }
    let kept: Vec<String> = out.into_iter().filter_map(|(_, line)| line).collect();
    (Some(kept.join("\n")), scrub.hits)
}

/// The text with whole documents replaced, if there are kubeconfigs or Secrets among them.
fn documents(text: &str, env: EnvPolicy, depth: u8) -> Option<(Option<String>, u32)> {
    let mark = |document: &str| {
        if ["client-key-data", "client-certificate-data"]
            .iter()
            .any(|word| document.contains(word))
        {
            return Some("<redacted: a kubeconfig>");
        }
        KIND.captures_iter(document).find_map(|kind| {
            if kind[1].eq_ignore_ascii_case("secret") {
                let values = document.contains("data") || document.contains("stringData");
                return values.then_some("<redacted: a Secret's manifest>");
            }
            let parts = ["users", "clusters", "contexts"]
                .iter()
                .any(|word| document.contains(word));
            parts.then_some("<redacted: a kubeconfig>")
        })
    };
    mark(text)?;
    let (mut out, mut hits) = (Vec::new(), 0);
    for document in split_documents(text) {
        match mark(document) {
            Some(mark) => {
                out.push(mark.to_owned());
                hits += 1;
            }
            None => {
                let (changed, more) = lines(document, env, depth);
                out.push(changed.unwrap_or_else(|| document.to_owned()));
                hits += more;
            }
        }
    }
    Some((Some(out.join("\n---\n")), hits))
}

/// The documents of YAML's stream, without what is between them.
fn split_documents(text: &str) -> Vec<&str> {
    let (mut documents, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if line.starts_with("---") {
            documents.push(text[start..at].trim_end_matches('\n'));
            start = at + line.len();
        }
        at += line.len();
    }
    documents.push(&text[start..]);
    documents.retain(|document| !document.trim().is_empty());
    documents
}

impl Scrub {
    /// Before the first line.
    pub(super) fn new(env: EnvPolicy, orphans: bool, depth: u8) -> Self {
        Self {
            env,
            depth,
            orphans,
            state: State::Plain,
            carry: Carry::Nothing,
            named: 0,
            held: None,
            hits: 0,
        }
    }

    /// How many secrets were hidden until now.
    pub(super) fn hits(&self) -> u32 {
        self.hits
    }

    /// Takes a line, gives back the one before.
    pub(super) fn line(&mut self, line: &str, tag: usize, out: &mut Out) {
        let mut line = line;
        let mut body = prefix::length(line);
        if let Some(rest) = self.within_key(&line[body..]) {
            match rest {
                Some(after) => {
                    line = after;
                    body = 0;
                }
                None => {
                    return self.hold(
                        Held {
                            tag,
                            text: None,
                            tail: None,
                        },
                        out,
                    );
                }
            }
        }
        let indent = body_indent(&line[body..]);
        if let State::Block(block) = self.state {
            if line[body..].trim().is_empty() || indent > block {
                return self.hold(
                    Held {
                        tag,
                        text: None,
                        tail: None,
                    },
                    out,
                );
            }
            self.state = State::Plain;
        }
        let mut found = Vec::new();
        if self.is_public(&line[body..]) && !words::has_known(line) {
            return self.hold(
                Held {
                    tag,
                    text: Some(line.to_owned()),
                    tail: None,
                },
                out,
            );
        }
        if self.is_random(&line[body..]) {
            let first = self.state != State::Random;
            self.state = State::Random;
            self.hide_held_randomness();
            self.hits += u32::from(first);
            let text = first.then(|| format!("{}{REDACTED}", &line[..body]));
            self.hold(
                Held {
                    tag,
                    text,
                    tail: None,
                },
                out,
            );
            self.carry = Carry::Rest;
            return;
        }
        if self.orphans && line.contains("--") && END.is_match(line) {
            self.hide_held_word();
        }
        let parsed = self.json(line);
        let line = parsed.as_deref().unwrap_or(line);
        self.join(line, body, &mut found);
        self.data(line, body, indent, &mut found);
        self.pair(line, body, &mut found);
        self.key_begins(line, &mut found);
        words::find(line, self.depth, &mut found);
        let by_form = found.len();
        let next = line::find(line, body, &mut found);
        if self.orphans {
            random_words(line, body, &mut found);
        }
        let end = line.trim_end().len();
        let last = |range: &Range<usize>| range.end >= end && range.end > range.start;
        let touches = found.iter().any(last);
        // A password at the end of a short line ends there; a token may have been cut anywhere.
        let goes_on = found[..by_form].iter().any(last) || (touches && line.len() >= WIDE);
        let (text, hits) = hide(line, found, REDACTED);
        self.hits += hits;
        self.carry = match next {
            Next::Value => Carry::Value,
            Next::Block => {
                self.state = State::Block(indent);
                Carry::Nothing
            }
            Next::Anything if goes_on && hits > 0 => Carry::Rest,
            Next::Anything => Carry::Nothing,
        };
        let tail = if touches || line.ends_with(char::is_whitespace) {
            None
        } else {
            tail(line, &text, body)
        };
        self.hold(
            Held {
                tag,
                text: Some(text),
                tail,
            },
            out,
        );
    }

    /// Gives back the last line.
    pub(super) fn finish(&mut self, out: &mut Out) {
        if let Some(held) = self.held.take() {
            out.push((held.tag, held.text));
        }
    }

    fn hold(&mut self, held: Held, out: &mut Out) {
        if held.text.is_none() {
            self.carry = Carry::Nothing;
        }
        if let Some(before) = self.held.replace(held) {
            out.push((before.tag, before.text));
        }
    }

    /// Within a key: nothing of this line, or what comes after the key's end.
    fn within_key<'a>(&mut self, body: &'a str) -> Option<Option<&'a str>> {
        let State::Key { lines, foreign } = self.state else {
            return None;
        };
        if let Some(end) = END.find(body) {
            self.state = State::Plain;
            let after = &body[end.end()..];
            return Some((!after.trim().is_empty()).then_some(after));
        }
        let trimmed = body.trim();
        let last = trimmed.rsplit(char::is_whitespace).next().unwrap_or_default();
        let is_key = last
            .trim_matches(['"', '\'', ',', '\\'])
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        // Headers of encrypted keys, and whatever else somebody wrote in between.
        let foreign = if is_key && (trimmed == last || last.len() >= 16) {
            0
        } else {
            foreign + 1
        };
        if foreign > 4 || lines > KEY_LINES {
            self.state = State::Plain;
            return None;
        }
        self.state = State::Key {
            lines: lines + 1,
            foreign,
        };
        Some(None)
    }

    /// Hides keys that begin on this line.
    fn key_begins(&mut self, line: &str, found: &mut Vec<Range<usize>>) {
        if !line.contains("--") && !line.contains("PuTTY") {
            return;
        }
        let mut from = 0;
        while let Some(begin) = BEGIN.find_at(line, from) {
            match END.find_at(line, begin.end()) {
                Some(end) => {
                    found.push(begin.start()..end.end());
                    from = end.end();
                }
                None => {
                    found.push(begin.start()..line.len());
                    self.state = State::Key { lines: 0, foreign: 0 };
                    return;
                }
            }
        }
    }

    /// Whether this line belongs to a certificate.
    fn is_public(&mut self, body: &str) -> bool {
        let trimmed = body.trim();
        if self.state == State::Public {
            let part = trimmed.len() <= 80
                && trimmed
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
            if !part {
                self.state = State::Plain;
            }
            return part || trimmed.starts_with("-----END ") && !END.is_match(trimmed);
        }
        if trimmed.starts_with("-----") && PUBLIC.is_match(trimmed) {
            self.state = State::Public;
            return true;
        }
        false
    }

    /// Whether this line is nothing but a key's bytes, or what is left of them.
    fn is_random(&mut self, body: &str) -> bool {
        if !self.orphans {
            return false;
        }
        let trimmed = body.trim();
        if words::random_looking(trimmed, 40) {
            return true;
        }
        let rest = self.state == State::Random
            && !trimmed.is_empty()
            && trimmed
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        if self.state == State::Random && !rest {
            self.state = State::Plain;
        }
        rest
    }

    /// The end of a key that began where nobody saw it.
    fn hide_held_word(&mut self) {
        let Some(held) = &mut self.held else { return };
        let Some(text) = &held.text else { return };
        let body = prefix::length(text);
        let word = text[body..].trim();
        if word.len() >= 2
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        {
            held.text = Some(format!("{}{REDACTED}", &text[..body]));
            held.tail = None;
            self.hits += 1;
        }
    }

    /// Nothing of the line before stays if it was of the same randomness, though less random by chance.
    fn hide_held_randomness(&mut self) {
        let long = |held: &Held| {
            held.tail
                .as_ref()
                .is_some_and(|(tail, _)| tail.len() >= 16 && words::disorderly(tail))
        };
        if self.held.as_ref().is_some_and(long) {
            self.hide_held_word();
        }
    }

    /// The line with what was hidden within its JSON, if there was something.
    fn json(&mut self, line: &str) -> Option<String> {
        if self.depth > 2 {
            return None;
        }
        let start = line.find(['{', '['])?;
        // The object of a line, whatever stands before it; an array's bracket may be a timestamp's.
        let start = if line[start..].starts_with('[') && !line[start..].starts_with("[{") {
            line.find('{')?
        } else {
            start
        };
        if !line[start..].contains('"') {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(&line[start..]).into_iter::<Value>();
        let mut value = values.next()?.ok()?;
        let end = start + values.byte_offset();
        let mut redactor = Redactor::nested(self.env, self.depth + 1);
        redactor.object(&mut value);
        if redactor.hits() == 0 {
            return None;
        }
        self.hits += redactor.hits();
        Some(format!("{}{value}{}", &line[..start], &line[end..]))
    }

    /// Hides what the end of the last line and the beginning of this one are together.
    fn join(&mut self, line: &str, body: usize, found: &mut Vec<Range<usize>>) {
        let start = body + body_indent(&line[body..]);
        let first = line[start..]
            .split(char::is_whitespace)
            .next()
            .unwrap_or_default();
        let (first, start) = match first.strip_prefix(['"', '\'', '-']) {
            Some(inner) if self.carry == Carry::Value => (inner, start + 1),
            _ => (first, start),
        };
        if first.is_empty() || first.len() > LONGEST_WORD {
            return;
        }
        let alone = line[start..].trim().trim_end_matches(['"', '\'', ',']).len() <= first.len();
        let word = first.trim_end_matches(['"', '\'', ',', ';', '\\']);
        let tokenish = word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=_.~-".contains(&byte));
        let hides = match self.carry {
            Carry::Value => {
                alone && !word.ends_with(':') && !word.contains(": ") && !names::harmless(word, false)
            }
            Carry::Rest => {
                tokenish
                    && (!word.starts_with('-') || words::disorderly(word))
                    && !word.trim_end_matches('=').contains('=')
                    && (alone || words::disorderly(word))
            }
            Carry::Nothing => false,
        };
        if hides && !word.starts_with("<redacted") {
            found.push(start..start + word.len());
            return;
        }
        let Some(held) = &mut self.held else { return };
        let Some((tail, at)) = &held.tail else { return };
        if tail.len() + first.len() < 12 {
            return;
        }
        // What is a secret without the word before it doesn't make that one.
        let mut own = Vec::new();
        words::find(first, self.depth, &mut own);
        if own.iter().any(|range| range.start == 0) && !words::disorderly(tail) {
            return;
        }
        let joined = format!("{tail}{first}");
        let mut crossing = Vec::new();
        words::find(&joined, self.depth, &mut crossing);
        crossing.retain(|range| range.start < tail.len() && range.end > tail.len());
        let Some(range) = crossing.into_iter().min_by_key(|range| range.start) else {
            return;
        };
        if let Some(text) = &mut held.text {
            text.truncate(at + range.start);
            text.push_str(REDACTED);
            self.hits += 1;
        }
        found.push(start..start + (range.end - tail.len()));
        held.tail = None;
    }
}

/// How far the text is indented, in bytes.
pub(super) fn body_indent(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// The line's last word as it was, if it could go on in the next line.
fn tail(line: &str, text: &str, body: usize) -> Option<(String, usize)> {
    let start = line[body..]
        .rfind(char::is_whitespace)
        .map_or(body, |at| body + at + 1);
    let word = line.get(start..)?;
    let unchanged = text.ends_with(word) && word.len() <= LONGEST_WORD && word.len() >= 2;
    unchanged.then(|| (word.to_owned(), text.len() - word.len()))
}

/// Hides long words without any order, whatever stands before them.
fn random_words(line: &str, body: usize, found: &mut Vec<Range<usize>>) {
    let mut at = body;
    for word in line[body..].split(char::is_whitespace) {
        if words::random_looking(word, 60) {
            found.push(at..at + word.len());
        }
        at += word.len();
        at += line[at..].chars().next().map_or(0, char::len_utf8);
    }
}
