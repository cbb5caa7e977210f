//! What can go wrong, and where in the template it did.

use thiserror::Error;

/// Why a source isn't a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("template {template}:{line}:{column}: {problem}")]
pub struct ParseError {
    /// The name that the template was parsed under.
    pub template: String,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Why a template gave no text for some data. It never holds what the data's values are; their keys it may name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("template {template}:{line}:{column}: {problem}")]
pub struct RenderError {
    /// The name that the template was parsed under.
    pub template: String,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What sort of error it is.
    pub kind: RenderErrorKind,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// The sorts of errors of rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenderErrorKind {
    /// The data hasn't this key.
    MissingKey(String),
    /// One of the [`Limits`](crate::Limits) was reached.
    Limit,
    /// The template called `fail`.
    Refused,
    /// Anything else: a wrong type, an index out of range, a bad regular expression.
    Failed,
}

/// An error on its way to the place where its position is known.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: RenderErrorKind,
    pub(crate) problem: String,
    /// The byte of the source, once known.
    pub(crate) at: Option<usize>,
}

pub(crate) type Outcome<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self {
            kind: RenderErrorKind::Failed,
            problem: problem.into(),
            at: None,
        }
    }

    pub(crate) fn limit(problem: impl Into<String>) -> Self {
        Self {
            kind: RenderErrorKind::Limit,
            ..Self::new(problem)
        }
    }

    /// Notes where it happened, unless something nearer has.
    pub(crate) fn at(mut self, at: usize) -> Self {
        self.at.get_or_insert(at);
        self
    }

    /// Says what was called, unless the problem is a limit or the author's own words.
    pub(crate) fn calling(mut self, function: &str) -> Self {
        if self.kind == RenderErrorKind::Failed && self.at.is_none() {
            self.problem = format!("{function}: {}", self.problem);
        }
        self
    }
}

/// The line and the column of a byte, both from 1.
pub(crate) fn position(source: &str, at: usize) -> (usize, usize) {
    let before = &source.as_bytes()[..at.min(source.len())];
    let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
    let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
    (
        line,
        1 + String::from_utf8_lossy(&before[start..]).chars().count(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        assert_eq!(position("abc", 0), (1, 1));
        assert_eq!(position("a\nbé{{", 5), (2, 3));
        assert_eq!(position("a", 99), (1, 2));
    }
}
