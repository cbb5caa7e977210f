//! What a person is asked for, on the terminal or by standard input.

use std::io::{self, BufRead as _, Read as _, Write as _};

use crate::{
    error::{Failure, Result},
    home,
};

/// No password is longer; standard input may be anything.
const LONGEST_LINE: u64 = 4096;

/// The first line of standard input.
pub(crate) fn first_line() -> Result<String> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(LONGEST_LINE)
        .read_line(&mut line)
        .map_err(|error| Failure::new(format!("can't read standard input: {}", home::reason(&error))))?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// Asks on the terminal; call it only if there is one.
pub(crate) fn ask(prompt: &str) -> Result<String> {
    let mut terminal = io::stderr().lock();
    let _ = write!(terminal, "{prompt}").and_then(|()| terminal.flush());
    Ok(first_line()?.trim().to_owned())
}
