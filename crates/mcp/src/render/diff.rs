//! An object before and after a change, as lines that say what changes and nothing of what is hidden.
//!
//! Both are redacted first; then the originals say where something changes, and the redacted ones what is told of it. Where both would
//! be told alike, something hidden changes, and that is all that is said.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::block::{Block, Blocks, Body, Order, Part, Piece, one_line};
use super::format::health::Health;
use super::redact::REDACTED;
use crate::answer::{Diff, item_name, step};

/// A value on a line is no longer than this, in characters.
const LONGEST: usize = 240;
/// Lines of text that are told around those that change.
const AROUND: usize = 1;
/// Texts of more bytes than these aren't compared line by line.
const LARGE: usize = 64 << 10;

/// What every write changes, or only controllers do.
const NOISE: &[&str] = &[
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "selfLink",
];
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Blocks<'_> {
    pub(super) fn diff(&mut self, part: &Part<'_>, diff: Diff) -> Block {
        let Diff {
            mut before,
            mut after,
            set,
        } = diff;
        quieten(&mut before);
        quieten(&mut after);
        let (mut told_before, mut told_after) = (before.clone(), after.clone());
        self.redactor.object(&mut told_before);
        self.redactor.object(&mut told_after);
        let mut lines = Lines {
            set: &set,
            lines: Vec::new(),
        };
        lines.value("", Pair::of(&before, &told_before), Pair::of(&after, &told_after));
        let found = lines.lines;
        if found.is_empty() {
            let pieces = vec![Piece::new("(nothing changes)".to_owned(), Health::Fine, 1)];
            let block = Block::new(part, Body::Pieces(pieces), Order::Head, ("line", "lines"), "");
            return Block {
                fenced: false,
                ..block
            };
        }
        let pieces = found.into_iter().map(|line| Piece::new(line, Health::Fine, 1));
        let hint = "change less at once";
        Block::new(
            part,
            Body::Pieces(pieces.collect()),
            Order::Head,
            ("line", "lines"),
            hint,
        )
    }
}

fn quieten(object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    map.remove("status");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !NOISE.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
}

type Entries<'a> = BTreeMap<String, Pair<'a>>;

/// A value, and what may be told of it.
#[derive(Clone, Copy, PartialEq)]
struct Pair<'a> {
    real: &'a Value,
    told: &'a Value,
}

impl<'a> Pair<'a> {
    fn of(real: &'a Value, told: &'a Value) -> Option<Self> {
        (!real.is_null()).then_some(Self { real, told })
    }

    /// Its entries, if they are told.
    fn map(self) -> Option<Entries<'a>> {
        let (real, told) = (self.real.as_object()?, self.told.as_object()?);
        if !real.keys().eq(told.keys()) {
            return None;
        }
        let pair = |(key, real): (&String, &'a Value)| Some((step(key), Pair::of(real, told.get(key)?)?));
        Some(real.iter().filter_map(pair).collect())
    }

    /// Its items, if they are told, by their names where all have one of their own.
    fn list(self, by_name: bool) -> Option<Entries<'a>> {
        let (real, told) = (self.real.as_array()?, self.told.as_array()?);
        if real.len() != told.len() {
            return None;
        }
        let pair = |(at, (real, told)): (usize, (&'a Value, &'a Value))| {
            // What is told of the name.
            let called = if by_name {
                item_name(told, at)
            } else {
                format!("{at:04}")
            };
            Some((format!("[{called}]"), Pair::of(real, told)?))
        };
        Some(real.iter().zip(told).enumerate().filter_map(pair).collect())
    }

    fn has_names(self) -> bool {
        let names: Option<BTreeSet<&str>> = self.told.as_array().and_then(|items| {
            items
                .iter()
                .map(|item| item.get("name").and_then(Value::as_str))
                .collect()
        });
        names.is_some_and(|names| Some(names.len()) == self.real.as_array().map(Vec::len))
    }

    fn is_hidden(self) -> bool {
        self.real != self.told
    }
}

struct Lines<'a> {
    set: &'a BTreeSet<String>,
    lines: Vec<String>,
}

impl Lines<'_> {
    fn value(&mut self, path: &str, before: Option<Pair<'_>>, after: Option<Pair<'_>>) {
        if before == after && !before.is_some_and(Pair::is_hidden) {
            return;
        }
        let Some((olds, news)) = entries(before, after) else {
            return self.leaf(path, before, after);
        };
        let keys: BTreeSet<&String> = olds.keys().chain(news.keys()).collect();
        for key in keys {
            let old = olds.get(key).copied();
            let new = news.get(key).copied();
            self.value(&format!("{path}{}", plain(key)), old, new);
        }
    }

    fn leaf(&mut self, path: &str, before: Option<Pair<'_>>, after: Option<Pair<'_>>) {
        let shown = one_line(path.strip_prefix('.').unwrap_or(path));
        let is_hidden = [before, after].into_iter().flatten().any(Pair::is_hidden);
        let line = match (before, after) {
            (None, None) => return,
            (None, Some(after)) => format!("+ {shown}: {}", written(after.told)),
            (Some(before), None) => format!("- {shown}: {}", written(before.told)),
            (Some(before), Some(after)) if is_hidden && before.told == after.told => {
                let is_set = self.set.contains(path);
                if before.real == after.real && !is_set {
                    return;
                }
                let what = if is_set { "set" } else { "changed" };
                match after.told.as_str().filter(|text| text.contains('\n')) {
                    Some(_) => format!("~ {shown}: (hidden values {what})"),
                    None => format!("~ {shown}: {} ({what})", written(after.told)),
                }
            }
            (Some(before), Some(after)) if before.real == after.real => return,
            (Some(before), Some(after)) => match (before.told, after.told) {
                (Value::String(old), Value::String(new))
                    if old.contains('\n') && new.contains('\n') && old.len() + new.len() < LARGE =>
                {
                    return self.text(&shown, old, new, is_hidden);
                }
                (old, new) => format!("~ {shown}: {} -> {}", written(old), written(new)),
            },
        };
        self.lines.push(line);
    }

    /// Text of several lines.
    fn text(&mut self, shown: &str, old: &str, new: &str, is_hidden: bool) {
        let hidden = if is_hidden { " (with hidden values)" } else { "" };
        self.lines.push(format!("~ {shown}:{hidden}"));
        let diff = TextDiff::from_lines(old, new);
        for group in diff.grouped_ops(AROUND) {
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let sign = match change.tag() {
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                    ChangeTag::Equal => ' ',
                };
                let line = cut(change.value().trim_end_matches('\n'));
                self.lines.push(format!("  {sign} {line}"));
            }
        }
    }
}

/// What has entries on one side, and none or entries on the other.
fn entries<'v>(before: Option<Pair<'v>>, after: Option<Pair<'v>>) -> Option<(Entries<'v>, Entries<'v>)> {
    // A list whose items have no names is compared by their order.
    let by_name = [before, after].into_iter().flatten().all(Pair::has_names);
    let both = |of: &dyn Fn(Pair<'v>) -> Option<Entries<'v>>| {
        let side = |pair: Option<Pair<'v>>| pair.map_or(Some(Entries::new()), of);
        Some((side(before)?, side(after)?)).filter(|(olds, news)| !(olds.is_empty() && news.is_empty()))
    };
    both(&Pair::map).or_else(|| both(&|pair| pair.list(by_name)))
}

/// An item's number as people write it.
fn plain(key: &str) -> String {
    let number = key.strip_prefix("[0").and_then(|rest| rest.strip_suffix(']'));
    match number.and_then(|number| number.parse::<usize>().ok()) {
        Some(number) => format!("[{number}]"),
        None => key.to_owned(),
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) if text == REDACTED => text.clone(),
        // A text that could be taken for something else has its quotes.
        Value::String(text) if text.trim() == text && serde_json::from_str::<Value>(text).is_err() => {
            cut(text)
        }
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!(
            "{}… ({} more characters)",
            &line[..end],
            line.chars().count() - LONGEST
        ),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{
        answer::{Answer, Content, Rank, Section},
        render::{Nonce, Settings, render},
    };

    fn told(before: Value, after: Value, set: &Value) -> String {
        let mut paths = BTreeSet::new();
        Diff::paths(set, "", &mut paths);
        let diff = Diff {
            before,
            after,
            set: paths,
        };
        let answer = Answer::new("a plan").with(Section::new(Rank::Essential, Content::Diff(Box::new(diff))));
        render(answer, &Settings::new(Timestamp::UNIX_EPOCH), Nonce(7)).text
    }

    fn deployment(replicas: u32, image: &str, password: &str) -> Value {
        json!({"kind": "Deployment", "metadata": {"name": "web", "resourceVersion": image, "managedFields": [{"x": image}]},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [
                {"name": "main", "image": image, "args": ["a", image], "env": [{"name": "PASSWORD", "value": password}]},
                {"name": "side", "image": "s"}]}}},
            "status": {"replicas": replicas}})
    }

    #[test]
    fn what_changes_is_told_by_its_path_and_nothing_else() {
        let text = told(
            deployment(2, "web:1", "x"),
            deployment(5, "web:2", "x"),
            &json!({}),
        );
        for line in [
            "~ spec.replicas: 2 -> 5",
            "~ spec.template.spec.containers[main].image: web:1 -> web:2",
            "~ spec.template.spec.containers[main].args[1]: web:1 -> web:2",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        for noise in ["resourceVersion", "managedFields", "status", "PASSWORD", "side"] {
            assert!(!text.contains(noise), "{noise}: {text}");
        }
        let text = told(
            deployment(2, "web:1", "x"),
            deployment(2, "web:1", "x"),
            &json!({}),
        );
        assert!(text.contains("(nothing changes)"), "{text}");
        let text = told(
            json!({"spec": {"a": "5"}}),
            json!({"spec": {"b": {"c": 5}}}),
            &json!({}),
        );
        assert!(
            text.contains("- spec.a: \"5\"") && text.contains("+ spec.b.c: 5"),
            "{text}"
        );
    }

    #[test]
    fn hidden_values_are_told_to_change_and_no_more() {
        let text = told(
            deployment(2, "web:1", "first-Value-9"),
            deployment(2, "web:1", "other-Value-8"),
            &json!({}),
        );
        assert!(
            text.contains("env[PASSWORD].value: <redacted> (changed)"),
            "{text}"
        );
        let secret = |value: &str| json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"p": value, "q": "Zm9v"}});
        let text = told(secret("YWFhYWFh"), secret("YmJiYmJi"), &json!({}));
        assert!(text.contains("~ data.p: <redacted> (changed)"), "{text}");
        assert!(
            !text.contains("YWFh") && !text.contains("YmJi") && !text.contains("data.q"),
            "{text}"
        );
        // Who guesses isn't told whether they were right.
        let set = json!({"data": {"p": "YWFhYWFh"}});
        let right = told(secret("YWFhYWFh"), secret("YWFhYWFh"), &set);
        let wrong = told(secret("YmJiYmJi"), secret("YWFhYWFh"), &set);
        assert_eq!(right, wrong);
        assert!(right.contains("~ data.p: <redacted> (set)"), "{right}");
    }

    #[test]
    fn texts_are_compared_by_their_lines() {
        let map = |text: &str| json!({"kind": "ConfigMap", "data": {"app.conf": text}});
        let text = told(map("a\nb\nc\nd\n"), map("a\nb\nX\nd\n"), &json!({}));
        assert!(text.contains("~ data[\"app.conf\"]:"), "{text}");
        assert!(
            text.contains("- c") && text.contains("+ X") && !text.contains("  a"),
            "{text}"
        );
    }
}
