//! Secrets and pairs of names and values, as YAML and JSON print them over lines.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::names;
use super::scrub::{Scrub, State, body_indent, pattern};

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?i-u:^[ \t-]*\\*["']?(?:name|key)\\*["']?[ \t]*[:=][ \t]*\\*["']?([A-Za-z0-9_./-]+))"#)
});
static VALUE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?i-u:^[ \t-]*\\*["']?value\\*["']?[ \t]*[:=][ \t]*)"#));
static DATA: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?-u:^[ \t]*\\*["']?(data|stringData)\\*["']?[ \t]*:[ \t]*\{?[ \t]*$)"#));
static INLINE_DATA: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?-u:["'{, \t](data|stringData)\\*["']?[ \t]*:[ \t]*\{|\bData:map\[)"#));

impl Scrub {
    /// Hides a Secret's values, as YAML and JSON print them.
    pub(super) fn data(&mut self, line: &str, body: usize, indent: usize, found: &mut Vec<Range<usize>>) {
        if let State::Data { indent: outer, all } = self.state {
            if line[body..].trim().is_empty() {
                return;
            }
            if indent > outer {
                let entry = body + indent;
                let value = line[entry..]
                    .find(": ")
                    .or_else(|| line[entry..].find("\":").map(|at| at + 1))
                    .map_or(entry, |colon| entry + colon + 1);
                hide_value(line, value, all, found);
                return;
            }
            self.state = State::Plain;
        }
        let trimmed = line.trim_end();
        if (trimmed.ends_with([':', '{']) && trimmed.contains("ata"))
            && let Some(header) = DATA.captures(&line[body..])
        {
            self.state = State::Data {
                indent,
                all: &header[1] == "stringData",
            };
            return;
        }
        let mut from = 0;
        if let State::Braces { all } = self.state {
            self.state = State::Plain;
            from = self.braces(line, 0, all, found);
        }
        if !line.contains("ata") {
            return;
        }
        while let Some(hit) = INLINE_DATA.captures_at(line, from) {
            let whole = hit.get(0).map_or(from..line.len(), |whole| whole.range());
            match hit.get(1) {
                Some(key) => from = self.braces(line, whole.end, key.as_str() == "stringData", found),
                None => {
                    found.push(whole.end..line.len());
                    return;
                }
            }
        }
    }

    /// Hides values until the brace closes; tells where.
    fn braces(&mut self, line: &str, start: usize, all: bool, found: &mut Vec<Range<usize>>) -> usize {
        let end = line[start..]
            .find('}')
            .map_or(line.len(), |length| start + length);
        if end == line.len() {
            self.state = State::Braces { all };
        }
        let mut from = start;
        for entry in line[start..end].split(',') {
            let value = from + entry.find(':').map_or(0, |colon| colon + 1);
            let before = found.len();
            hide_value(&line[..from + entry.len()], value, all, found);
            debug_assert!(found.len() <= before + 1);
            from += entry.len() + 1;
        }
        end
    }

    /// Hides the value of a pair whose name was the line before.
    pub(super) fn pair(&mut self, line: &str, body: usize, found: &mut Vec<Range<usize>>) {
        let text = &line[body..];
        let start = text.trim_start_matches([' ', '\t', '-', '\\', '"', '\'']);
        let named = start.starts_with(['n', 'N', 'k', 'K']);
        if let Some(name) = NAME.captures(if named { text } else { "" }) {
            self.named = if names::sensitive(&name[1]) { 2 } else { 0 };
            return;
        }
        if self.named == 0 {
            return;
        }
        self.named -= 1;
        if let Some(value) = VALUE.find(text) {
            let start = body + value.end();
            let rest = line[start..].trim().trim_matches(['"', '\'', ',']);
            if rest.starts_with(['|', '>']) {
                self.state = State::Block(body_indent(text));
            } else if !names::harmless(rest, true) {
                found.push(start..line.trim_end().len());
            }
        }
    }
}

/// Hides what is from here to the line's end, without quotes and commas, if it is (or may be) a Secret's value.
fn hide_value(line: &str, from: usize, all: bool, found: &mut Vec<Range<usize>>) {
    let Some(rest) = line.get(from..) else { return };
    let quotes: &[char] = &[' ', '\t', '"', '\'', ',', '\\', '}', '{'];
    let start = from + (rest.len() - rest.trim_start_matches(quotes).len());
    let value = line[start..].trim_end_matches(quotes);
    if value.is_empty()
        || names::harmless(value, all)
        || matches!(value, "|" | ">" | "|-" | ">-" | "|+" | ">+")
    {
        return;
    }
    let base64 = value.len() >= 4
        && value.len().is_multiple_of(4)
        && value
            .trim_end_matches('=')
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte));
    let wrapped = value.len() >= 16
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    if all || base64 || wrapped {
        found.push(start..start + value.len());
    }
}
