//! What was decided, and because of which rule.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The answer to "may they?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They may, because of this rule.
    Allow(Grant),
    /// They may not, for this reason.
    Deny(Denial),
}

/// The rule that allowed a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The rule, as a person finds it: `developer/clusters[0]`, or `discovery` for what everyone may read.
    pub rule: Arc<str>,
    /// The version of the policy that decided, so that an audit row can be explained later.
    pub policy_version: u64,
}

/// Why a request was refused, in words for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What is missing and on what: `no role of yours (viewer) allows the verb "delete" on "pods" …`.
    pub reason: String,
    /// The version of the policy that decided.
    pub policy_version: u64,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
