//! One object as text: YAML as people write it, on as few lines and with as few signs as can be.

use serde_json::{Map, Value};

use crate::render::tokens;

/// How much of long values is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detail {
    /// Bytes of one string.
    string: usize,
    /// Items of one list, or entries of one map.
    entries: usize,
}

/// From everything to the outline.
const DETAILS: [Detail; 4] = [
    Detail {
        string: usize::MAX,
        entries: usize::MAX,
    },
    Detail {
        string: 2000,
        entries: 40,
    },
    Detail {
        string: 300,
        entries: 10,
    },
    Detail {
        string: 80,
        entries: 4,
    },
];

/// What is read first, whatever the alphabet says.
const ORDER: &[&str] = &[
    "apiVersion",
    "kind",
    "type",
    "name",
    "namespace",
    "metadata",
    "status",
    "spec",
];

/// Short maps and lists are written on one line of no more than this.
const INLINE: usize = 72;

/// The lines of a value in as much detail as has room in these tokens, and whether something is missing.
///
/// What doesn't fit in the least detail is cut at the end by whoever shows it.
pub(crate) fn fit(value: &Value, room: usize) -> (Vec<String>, bool) {
    let mut last = Vec::new();
    for detail in DETAILS {
        let mut writer = Writer {
            lines: Vec::new(),
            tokens: 0,
            room,
            detail,
            cut: false,
        };
        writer.value(value, 0, "");
        let fits = writer.tokens <= room;
        let cut = writer.cut;
        last = writer.lines;
        if fits {
            return (last, cut);
        }
    }
    (last, true)
}

struct Writer {
    lines: Vec<String>,
    tokens: usize,
    /// Beyond this nothing is written.
    room: usize,
    detail: Detail,
    cut: bool,
}

impl Writer {
    fn line(&mut self, indent: usize, text: &str) {
        let line = format!("{:indent$}{text}", "");
        self.tokens += tokens::estimate(&line) + 1;
        self.lines.push(line);
    }

    /// Writes a value below what was said before it (`key:` or `-`), or beside it.
    fn value(&mut self, value: &Value, indent: usize, before: &str) {
        if self.tokens > self.room {
            return;
        }
        if let Some(short) = inline(value, INLINE) {
            let line = if before.is_empty() {
                short
            } else {
                format!("{before} {short}")
            };
            return self.line(indent, &line);
        }
        // What stands after a dash stands beside it, and so does the rest of it.
        let dash = before.ends_with('-');
        let inner = match before {
            "" => indent,
            _ => indent + 2,
        };
        match value {
            Value::Object(map) if dash => {
                let start = self.lines.len();
                self.map(map, inner);
                if let Some(first) = self.lines.get_mut(start) {
                    first.replace_range(..inner, &format!("{:indent$}- ", ""));
                }
            }
            Value::Object(map) => {
                if !before.is_empty() {
                    self.line(indent, before);
                }
                self.map(map, inner);
            }
            Value::Array(items) => {
                if !before.is_empty() {
                    self.line(indent, before);
                }
                self.list(items, inner);
            }
            Value::String(text) => self.string(text, indent, inner, before),
            other => self.line(indent, &format!("{before} {other}")),
        }
    }

    fn map(&mut self, map: &Map<String, Value>, indent: usize) {
        let mut entries: Vec<(&String, &Value)> = map.iter().collect();
        entries.sort_by_key(|(key, _)| ORDER.iter().position(|first| first == key).unwrap_or(ORDER.len()));
        for (key, value) in entries.iter().take(self.detail.entries.max(8)) {
            if self.tokens > self.room {
                self.cut = true;
                return;
            }
            let key = key_text(key);
            self.value(value, indent, &format!("{key}:"));
        }
        self.rest(entries.len(), self.detail.entries.max(8), indent);
    }

    fn list(&mut self, items: &[Value], indent: usize) {
        for item in items.iter().take(self.detail.entries) {
            if self.tokens > self.room {
                self.cut = true;
                return;
            }
            self.value(item, indent, "-");
        }
        self.rest(items.len(), self.detail.entries, indent);
    }

    fn rest(&mut self, all: usize, shown: usize, indent: usize) {
        if all > shown {
            self.cut = true;
            self.line(indent, &format!("(… {} more of {all})", all - shown));
        }
    }

    fn string(&mut self, text: &str, indent: usize, inner: usize, before: &str) {
        let (text, missing) = shorten(text, self.detail.string);
        self.cut |= missing > 0;
        let note = if missing > 0 {
            format!(" (… {missing} more characters)")
        } else {
            String::new()
        };
        if !text.contains('\n') {
            let line = format!("{before} {}{note}", scalar(text));
            return self.line(indent, line.trim_start());
        }
        if !before.is_empty() {
            self.line(indent, &format!("{before} |"));
        }
        for line in text.trim_end_matches('\n').split('\n') {
            if self.tokens > self.room {
                self.cut = true;
                return;
            }
            self.line(inner, line);
        }
        if missing > 0 {
            self.line(inner, note.trim_start());
        }
    }
}

/// The beginning of a text, and how many characters are missing.
fn shorten(text: &str, bytes: usize) -> (&str, usize) {
    if text.len() <= bytes {
        return (text, 0);
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (&text[..end], text[end..].chars().count())
}

/// A value on one line, if it is a scalar, or short and not nested.
fn inline(value: &Value, room: usize) -> Option<String> {
    let simple = |value: &Value| match value {
        Value::String(text) => {
            (text.len() <= room && !text.contains(['\n', ',', '{', '}', '[', ']'])).then(|| scalar(text))
        }
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    };
    let joined = |parts: Option<Vec<String>>, open: &str, close: &str| {
        let text = format!("{open}{}{close}", parts?.join(", "));
        (text.len() <= room).then_some(text)
    };
    match value {
        Value::String(_) => None,
        Value::Array(items) if items.len() <= room => joined(items.iter().map(simple).collect(), "[", "]"),
        Value::Object(map) if map.len() <= 4 => joined(
            map.iter()
                .map(|(key, value)| Some(format!("{}: {}", key_text(key), simple(value)?)))
                .collect(),
            "{",
            "}",
        ),
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

/// A string as it is, or quoted if it would be read as something else.
pub(crate) fn scalar(text: &str) -> String {
    let other = text.is_empty()
        || text.parse::<f64>().is_ok()
        || matches!(text, "true" | "false" | "null" | "~" | "|" | ">")
        || text.starts_with(char::is_whitespace)
        || text.ends_with(char::is_whitespace);
    if other {
        format!("\"{text}\"")
    } else {
        text.to_owned()
    }
}

/// A key on one line.
fn key_text(key: &str) -> String {
    if key.contains('\n') {
        key.replace('\n', "\u{23ce}")
    } else {
        key.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(value: &Value, room: usize) -> String {
        fit(value, room).0.join("\n")
    }

    #[test]
    fn objects_are_written_as_people_would() {
        let object = json!({
            "spec": {
                "args": ["a", "b"],
                "containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}],
                "script": "one\ntwo\n",
            },
            "kind": "Pod",
        });
        let expected = "kind: Pod\nspec:\n  args: [a, b]\n  containers:\n    - name: web\n      env:\n        - {name: A, value: \"1\"}\n      image: nginx\n      ports:\n        - {containerPort: 80}\n  script: |\n    one\n    two";
        assert_eq!(written(&object, 10_000), expected);
    }

    #[test]
    fn what_is_long_is_cut_before_what_is_short() {
        let object = json!({"a": "x ".repeat(10_000), "b": (0..1000).map(|n| format!("item-{n}-with-a-long-name")).collect::<Vec<_>>(), "z": "here"});
        let (lines, cut) = fit(&object, 400);
        assert!(
            cut && lines.last().is_some_and(|line| line == "z: here"),
            "{lines:?}"
        );
        assert!(lines.iter().any(|line| line.contains("more of 1000")));
    }
}
