//! What is wrong with a policy, and where.

use std::fmt;

use crate::verbs;

/// A policy that can't be used: what is wrong, in which key, and in which line if it was text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PolicyError {
    /// The key, as in `roles[0].clusters[1].verbs[2]`; empty for the whole.
    pub key: String,
    /// The line, counted from 1; none if the policy didn't come from text.
    pub line: Option<u64>,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

/// What can be wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not YAML, an unknown or missing key, or a value of the wrong kind.
    #[error("{0}")]
    Syntax(String),
    /// Nothing where a name must be.
    #[error("the name is empty")]
    EmptyName,
    /// A name that can't be shown on one line.
    #[error("the name has a control character in it")]
    ControlCharacter,
    /// Two roles with one name.
    #[error("there is another role named {0:?}; names must be unique")]
    DuplicateRole(String),
    /// Two entries for one user.
    #[error("there is another entry for {0:?}; put all roles of a user in one")]
    DuplicateUser(String),
    /// A user is given a role that doesn't exist.
    #[error("there is no role {name:?}; {known}")]
    UnknownRole {
        /// The name.
        name: String,
        /// Which there are.
        known: String,
    },
    /// A verb that no request has.
    #[error("{0:?} is no verb; use {all} or \"*\"", all = verbs::known())]
    UnknownVerb(String),
    /// A verb that the API server decides on alone.
    #[error("{0:?} is decided by the cluster's own RBAC and has no effect here; leave it out")]
    ForeignVerb(String),
    /// A pattern that nothing can match.
    #[error("{pattern:?} can match no {what}: it has the character {character:?}")]
    NeverMatches {
        /// The pattern.
        pattern: String,
        /// What it should match.
        what: &'static str,
        /// The offending character.
        character: char,
    },
    /// A list that must not be empty is.
    #[error("the list is empty, so the rule allows nothing; {0}")]
    EmptyList(&'static str),
    /// A path without its slash.
    #[error("{0:?} is no path; it must begin with \"/\" (or be \"*\")")]
    NoPath(String),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.key.as_str()) {
            (Some(line), "") => write!(f, "line {line}: {}", self.problem),
            (Some(line), key) => write!(f, "line {line}, {key}: {}", self.problem),
            (None, "") => write!(f, "{}", self.problem),
            (None, key) => write!(f, "{key}: {}", self.problem),
        }
    }
}

impl PolicyError {
    pub(crate) fn at(key: impl Into<String>, problem: Problem) -> Self {
        Self {
            key: key.into(),
            line: None,
            problem,
        }
    }
}
