//! What `mk8s-central` can be told to do.

pub(crate) mod agent_token;
pub(crate) mod ca;
pub(crate) mod init;
pub(crate) mod serve;

use std::io::Write as _;

/// Prints to standard output. A closed pipe is the reader's choice.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
