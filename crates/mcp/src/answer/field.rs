//! Which part of an object is wanted.
//!
//! What RFC 9535 allows can cost more than an object is worth: a selector twice in a bracket doubles the result, again and again,
//! and a descent within a descent squares it. So a path has limits, which no path that somebody means comes near.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use serde_json_path::JsonPath;

/// Characters of a path, at most.
const LONGEST: usize = 512;
/// How deep brackets and parentheses go into each other; the parser descends with them.
const DEEPEST: usize = 12;
/// Commas between selectors: each may double the result.
const COMMAS: usize = 6;

/// A JSONPath (RFC 9535), or one of kubectl's forms of it: `.spec.x`, `{.spec.x}`, `spec.x`.
#[derive(Debug, Clone)]
pub struct FieldPath {
    written: String,
    path: JsonPath,
}

/// Why a path can't be one: a line that says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Nothing in it.
    #[error("a field is empty: write a JSONPath, e.g. .status.phase")]
    Empty,
    /// Longer, deeper or with more branches than anybody needs.
    #[error("the field {written} has {what}: write several simpler fields")]
    Costly {
        /// The path.
        written: String,
        /// What it has too much of.
        what: &'static str,
    },
    /// kubectl's templates, of which only the path is taken.
    #[error(
        "the field {written} is a template: write one path a field, without range, end or text around it"
    )]
    Template {
        /// The path.
        written: String,
    },
    /// No JSONPath.
    #[error("the field {written} is no JSONPath: {reason} at character {at}")]
    Syntax {
        /// The path.
        written: String,
        /// What the parser didn't like.
        reason: String,
        /// Where, counted from 1.
        at: usize,
    },
}

impl FieldPath {
    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The values that it selects. The object must have been redacted: a filter would tell hidden values by what it selects.
    pub(crate) fn select<'a>(&self, object: &'a Value) -> Vec<&'a Value> {
        self.path.query(object).all()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for FieldPath {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let shown = || {
            text.chars()
                .take(80)
                .filter(|c| !c.is_control())
                .collect::<String>()
        };
        if text.is_empty() || text == "{}" {
            return Err(FieldError::Empty);
        }
        if text.len() > LONGEST {
            return Err(FieldError::Costly {
                written: shown(),
                what: "more than 512 characters",
            });
        }
        let inner = match text.strip_prefix('{') {
            Some(rest) => match rest.strip_suffix('}') {
                Some(inner) if !braced(inner) => inner.trim(),
                _ => return Err(FieldError::Template { written: shown() }),
            },
            None => text,
        };
        let standard = standard(inner);
        if let Some(what) = excess(&standard) {
            return Err(FieldError::Costly {
                written: shown(),
                what,
            });
        }
        let path = JsonPath::parse(&standard).map_err(|error| {
            // What was put in front isn't counted.
            let added = standard.len().saturating_sub(inner.len());
            FieldError::Syntax {
                written: shown(),
                reason: error.message().lines().next().unwrap_or_default().to_owned(),
                at: error.position().saturating_sub(added).max(1),
            }
        })?;
        Ok(Self {
            written: text.to_owned(),
            path,
        })
    }
}

/// Whether there is a brace outside of quotes.
fn braced(text: &str) -> bool {
    unquoted(text).any(|(_, c)| c == '{' || c == '}')
}

/// The path as RFC 9535 wants it: from `$` on, and names in brackets that it wouldn't take after a dot: kubectl writes
/// `.metadata.labels.app\.kubernetes\.io/name`.
fn standard(path: &str) -> String {
    let rooted = match path.chars().next() {
        Some('$') => path.to_owned(),
        Some('.' | '[') => format!("${path}"),
        _ => format!("$.{path}"),
    };
    if !rooted.contains(['\\', '-', '/']) {
        return rooted;
    }
    let (mut out, mut rest) = (String::new(), rooted.as_str());
    let mut depth = 0_usize;
    while let Some(c) = rest.chars().next() {
        // Names within brackets are the standard's own.
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '.' if depth == 0 && !rest.starts_with("..") => {
                let (name, length) = name_at(&rest[1..]);
                if name.contains(['.', '-', '/']) && !name.contains('\'') {
                    out.push_str(&format!("['{name}']"));
                    rest = &rest[1 + length..];
                    continue;
                }
            }
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// The name that begins here, without its backslashes, and how long it is with them.
fn name_at(text: &str) -> (String, usize) {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => return (name, at),
            _ => {
                name.push(c);
                escaped = false;
            }
        }
    }
    (name, text.len())
}

/// What of a path costs too much.
fn excess(path: &str) -> Option<&'static str> {
    let (mut depth, mut commas, mut descents, mut roots, mut filters) = (0_usize, 0, 0, 0, 0);
    let mut before = ' ';
    for (_, c) in unquoted(path) {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            ',' => commas += 1,
            '?' => filters += 1,
            '.' if before == '.' => descents += 1,
            '$' => roots += 1,
            _ => {}
        }
        if depth > DEEPEST {
            return Some("brackets too deep in each other");
        }
        before = c;
    }
    if commas > COMMAS {
        return Some("more than 6 commas");
    }
    if descents > 1 {
        return Some("more than one `..`");
    }
    if roots > 1 {
        return Some("a `$` within a filter");
    }
    if filters > 3 {
        return Some("more than 3 filters");
    }
    // A pattern is compiled for each value, and a counted repetition makes a small one big.
    if (path.contains("match") || path.contains("search")) && path.contains('{') {
        return Some("a counted repetition in a pattern");
    }
    None
}

/// The characters that aren't within quotes.
fn unquoted(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut escaped = false;
    text.char_indices().filter(move |&(_, c)| match quote {
        Some(_) if escaped => {
            escaped = false;
            false
        }
        Some(_) if c == '\\' => {
            escaped = true;
            false
        }
        Some(open) => {
            if c == open {
                quote = None;
            }
            false
        }
        None if c == '\'' || c == '"' => {
            quote = Some(c);
            false
        }
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selected(path: &str) -> Vec<Value> {
        let object = json!({
            "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "shop"}},
            "spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]},
        });
        path.parse::<FieldPath>()
            .unwrap()
            .select(&object)
            .into_iter()
            .cloned()
            .collect()
    }

    #[test]
    fn kubectls_forms_and_the_standard_one_select_the_same() {
        for path in [
            "$.metadata.name",
            ".metadata.name",
            "{.metadata.name}",
            "metadata.name",
            " { .metadata.name } ",
        ] {
            assert_eq!(selected(path), [json!("web")], "{path}");
        }
        assert_eq!(selected(".spec.containers[*].image"), [json!("x"), json!("y")]);
        assert_eq!(selected(".spec.containers[?(@.name=='b')].image"), [json!("y")]);
        assert_eq!(selected("..image"), [json!("x"), json!("y")]);
        assert_eq!(
            selected("metadata.labels['app.kubernetes.io/name']"),
            [json!("shop")]
        );
        assert_eq!(
            selected(r"{.metadata.labels.app\.kubernetes\.io/name}"),
            [json!("shop")]
        );
    }

    #[test]
    fn what_is_no_path_is_refused_in_one_line() {
        for path in [
            "",
            "{}",
            "$.",
            "spec[",
            "{range .items[*]}{.x}{end}",
            "a b",
            "$$",
            "spec.{x}",
            "..",
            "[?(",
        ] {
            let error = path.parse::<FieldPath>().unwrap_err().to_string();
            assert!(!error.contains('\n') && error.len() < 250, "{path}: {error}");
        }
    }

    #[test]
    fn what_costs_too_much_is_refused() {
        let doubling = "[*,*]".repeat(20);
        let deep = "[?(".repeat(60);
        for path in [
            doubling.as_str(),
            &deep,
            "$..a..b",
            "$.a[?$.b]",
            "$.a[?search(@,'(a{999}){999}')]",
            &"a".repeat(600),
        ] {
            assert!(
                matches!(path.parse::<FieldPath>(), Err(FieldError::Costly { .. })),
                "{path}"
            );
        }
    }
}
