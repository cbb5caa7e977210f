//! Lines that say the same again.
//!
//! Only as many are kept as could be shown; the rest is counted.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::LazyLock;

use regex::Regex;

use super::prefix;
use crate::answer::Keep;

/// Time within a line of JSON or logfmt.
static STAMP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?-u:"(?:ts|time|timestamp|@timestamp|t)" ?: ?(?:"[0-9TZ:.+ -]{8,40}"|[0-9.eE+]{8,25})"#,
        r#"|\b(?:ts|time|t)="?[0-9TZ:.+-]{8,40}"?)"#
    ))
    .expect("a valid pattern")
});

/// A line, and how often it stood there one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) text: String,
    pub(crate) times: usize,
}

/// Takes lines one by one, and keeps those at the end that matters.
#[derive(Debug)]
pub(crate) struct Folder {
    keep: Keep,
    most: usize,
    lines: VecDeque<Folded>,
    key: String,
    /// Lines that are not kept.
    pub(crate) dropped: usize,
}

impl Folder {
    pub(crate) fn new(keep: Keep, most: usize) -> Self {
        Self {
            keep,
            most: most.max(1),
            lines: VecDeque::new(),
            key: String::new(),
            dropped: 0,
        }
    }

    pub(crate) fn push(&mut self, line: &str) {
        let key = key(line);
        let last_was_kept = self.keep == Keep::Tail || self.dropped == 0;
        if let Some(last) = self.lines.back_mut()
            && last_was_kept
            && *key == self.key
        {
            last.times += 1;
            if self.keep == Keep::Tail {
                // The latest time is the one that matters.
                line.clone_into(&mut last.text);
            }
            return;
        }
        if self.lines.len() >= self.most {
            match self.keep {
                Keep::Head => {
                    self.dropped += 1;
                    return;
                }
                Keep::Tail => self.dropped += self.lines.pop_front().map_or(0, |line| line.times),
            }
        }
        self.key = key.into_owned();
        self.lines.push_back(Folded {
            text: line.to_owned(),
            times: 1,
        });
    }

    pub(crate) fn into_lines(self) -> Vec<Folded> {
        self.lines.into()
    }
}

/// What of a line makes it the same as another: all but times and counters before what it says.
fn key(line: &str) -> Cow<'_, str> {
    let body = &line[prefix::length(line)..];
    let body = body.trim_start_matches(|c: char| c.is_ascii_digit() || "[]()#:. \t".contains(c));
    // Nothing but numbers: then they are what it says.
    if body.is_empty() {
        Cow::Borrowed(line)
    } else {
        STAMP.replace_all(body, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(lines: &[&str], keep: Keep, most: usize) -> (Vec<(String, usize)>, usize) {
        let mut folder = Folder::new(keep, most);
        lines.iter().for_each(|line| folder.push(line));
        let dropped = folder.dropped;
        (
            folder
                .into_lines()
                .into_iter()
                .map(|line| (line.text, line.times))
                .collect(),
            dropped,
        )
    }

    #[test]
    fn lines_that_differ_in_time_alone_are_one() {
        let lines = [
            "2026-11-22T02:46:00Z connection refused",
            "2026-11-22T02:46:01Z connection refused",
            "2026-11-22T02:46:02Z connected",
            r#"{"ts":1763779560.1,"msg":"x"}"#,
            r#"{"ts":1763779561.2,"msg":"x"}"#,
            "1",
            "2",
        ];
        let (folded, dropped) = folded(&lines, Keep::Tail, 100);
        assert_eq!(dropped, 0);
        assert_eq!(
            folded.iter().map(|(_, times)| *times).collect::<Vec<_>>(),
            [2, 1, 2, 1, 1]
        );
        assert_eq!(folded[0].0, lines[1]);
    }

    #[test]
    fn only_the_end_that_matters_is_kept_and_the_rest_is_counted() {
        let lines = ["a", "a", "b", "c", "c"];
        assert_eq!(
            folded(&lines, Keep::Tail, 2),
            (vec![("b".into(), 1), ("c".into(), 2)], 2)
        );
        assert_eq!(
            folded(&lines, Keep::Head, 2),
            (vec![("a".into(), 2), ("b".into(), 1)], 2)
        );
    }
}
