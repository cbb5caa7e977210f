//! What is wrong with annotations, and where.

use std::fmt;

/// Everything that is wrong; there is at least one finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractError(pub Vec<Finding>);

/// One thing that is wrong, or that the pod's author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The annotation's name.
    pub annotation: String,
    /// Where in its value.
    pub position: Option<Position>,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

/// A place in an annotation's value; all numbers from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// An entry of a list by comma.
    Entry(usize),
    /// A character.
    Character(usize),
    /// A place in YAML.
    Line {
        /// The line.
        line: u64,
        /// The character in it.
        column: u64,
    },
}

impl std::error::Error for ContractError {}

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Place(&self.annotation, self.position), self.problem)
    }
}

/// An annotation and a position: `keeper.security/config:3:5`, `keeper.security/secrets[2]`.
pub(crate) struct Place<'a>(pub(crate) &'a str, pub(crate) Option<Position>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            None => write!(f, "{}", self.0),
            Some(Position::Entry(entry)) => write!(f, "{}[{entry}]", self.0),
            Some(Position::Character(character)) => write!(f, "{}:{character}", self.0),
            Some(Position::Line { line, column }) => write!(f, "{}:{line}:{column}", self.0),
        }
    }
}

/// Collects what is found while reading.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
}

impl Findings {
    pub(crate) fn error(&mut self, at: Place<'_>, problem: impl Into<String>) {
        self.errors.push(at.finding(problem));
    }

    pub(crate) fn warn(&mut self, at: Place<'_>, problem: impl Into<String>) {
        self.warnings.push(at.finding(problem));
    }

    /// The value, or an error noted.
    pub(crate) fn ok<T>(&mut self, at: Place<'_>, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.error(at, problem);
                None
            }
        }
    }
}

impl Place<'_> {
    fn finding(&self, problem: impl Into<String>) -> Finding {
        Finding {
            annotation: self.0.to_owned(),
            position: self.1,
            problem: problem.into(),
        }
    }
}

/// The start of a value, quoted so that it stays one line.
pub(crate) fn quote(value: &str) -> String {
    const LONGEST: usize = 100;
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}
