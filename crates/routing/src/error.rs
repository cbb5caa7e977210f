//! What is wrong with a set of clusters and routes, and where.

use std::fmt;

/// Everything that is wrong; there is at least one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingError(pub Vec<Fault>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, or the object.
    pub source: String,
    /// The line in it, from 1.
    pub line: Option<u64>,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

impl std::error::Error for RoutingError {}

impl fmt::Display for RoutingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}
