//! What reaches the terminal: tables, JSON, YAML, errors. Nothing here is a secret, and nothing that came from the network
//! is written without [`plain`], so that no answer can move the cursor or write into the window's title.

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use crate::error::{Failure, Result};

/// Between two columns, as kubectl does.
const GAP: usize = 3;

/// The most of a foreign text that is shown.
const LONGEST_TEXT: usize = 600;

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

/// Rows under upper-case headings, columns aligned by spaces.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()],
        }
    }

    /// Adds a row; its cells may be foreign text.
    pub(crate) fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        self.rows.push(cells.into_iter().map(plain).collect());
    }

    /// The lines, without trailing spaces.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column) + GAP).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut rendered = String::new();
            for (cell, &width) in row.iter().zip(&widths) {
                rendered += &format!("{cell:<width$}");
            }
            text += rendered.trim_end();
            text.push('\n');
        }
        text
    }
}

/// Prints an answer as asked for: `table` makes the text for people.
pub(crate) fn answer<T: Serialize>(format: Format, value: &T, table: impl FnOnce() -> String) -> Result<()> {
    let text = match format {
        Format::Table => table(),
        Format::Json => {
            let json = serde_json::to_string_pretty(value);
            json.map_err(|error| Failure::new(format!("can't print this as JSON: {error}")))? + "\n"
        }
        Format::Yaml => yaml(value)?,
    };
    print(&text)
}

/// YAML without folded lines, so that a long value can be copied.
pub(crate) fn yaml<T: Serialize>(value: &T) -> Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let yaml = serde_saphyr::to_string_with_options(value, options);
    yaml.map_err(|error| Failure::new(format!("can't write this as YAML: {error}")))
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(|error| Failure::output(&error))
}

/// Writes one line to standard error; that it can't be written changes nothing.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes what went wrong and what to do to standard error.
pub(crate) fn report(failure: &Failure, colour: bool) {
    let Some((message, hint)) = failure.lines() else {
        return;
    };
    let (red, cyan, reset) = if colour {
        ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    note(&format!("{red}error:{reset} {message}"));
    if let Some(hint) = hint {
        note(&format!("{cyan}hint:{reset} {hint}"));
    }
}

/// Foreign text as one harmless line: control characters become spaces, runs of spaces one, and the end is cut off.
pub(crate) fn plain(text: &str) -> String {
    let harmless = |c: char| {
        // Bidirectional controls reorder what is around them.
        let reorders =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || reorders { ' ' } else { c }
    };
    let line: String = text.chars().take(LONGEST_TEXT).map(harmless).collect();
    let mut words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().nth(LONGEST_TEXT).is_some() {
        words.push('…');
    }
    words
}

/// A length of time for people: the two largest units.
pub(crate) fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, 0) => format!("{hours}h"),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, 0, _) => format!("{days}d"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_spaces() {
        let mut table = Table::new(&["NAME", "STATUS"]);
        table.row(["production-us-east", "connected"]);
        table.row(["dev", ""]);
        assert_eq!(
            table.render(),
            "NAME                 STATUS\nproduction-us-east   connected\ndev\n"
        );
    }

    #[test]
    fn foreign_text_is_one_harmless_line() {
        assert_eq!(plain("a\r\n\x1b]0;title\x07b\u{202e}c"), "a ]0;title b c");
        assert_eq!(plain(&"x".repeat(2_000)).chars().count(), LONGEST_TEXT + 1);
    }

    #[test]
    fn durations_for_people() {
        for (seconds, text) in [
            (5, "5s"),
            (65, "1m"),
            (3_600, "1h"),
            (5_400, "1h30m"),
            (86_400, "1d"),
            (100_000, "1d3h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
