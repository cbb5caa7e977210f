//! What was seen, row by row.

use serde::Serialize;

use crate::{
    error::{Failure, Result},
    output::{self, Format, plain},
};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    /// It works, and won't for long; or it couldn't be told.
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    name: String,
    status: State,
    seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// All checks, in the order in which they were made.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    checks: Vec<Check>,
}

impl Report {
    /// It is as it should be.
    pub(super) fn ok(&mut self, name: &str, seen: impl AsRef<str>) {
        self.add(name, State::Ok, seen.as_ref(), None);
    }

    /// Somebody should know.
    pub(super) fn warn(&mut self, name: &str, seen: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.add(name, State::Warn, seen.as_ref(), Some(remedy.as_ref()));
    }

    /// Something is wrong.
    pub(super) fn fail(&mut self, name: &str, seen: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.add(name, State::Fail, seen.as_ref(), Some(remedy.as_ref()));
    }

    /// A row whose state was found out elsewhere; a remedy is only for what isn't fine.
    pub(super) fn add(&mut self, name: &str, status: State, seen: &str, remedy: Option<&str>) {
        self.checks.push(Check {
            name: plain(name),
            status,
            seen: plain(seen),
            remedy: remedy.filter(|_| status != State::Ok).map(str::to_owned),
        });
    }

    /// Prints it, and fails if a check did.
    pub(super) fn tell(&self, format: Format, colour: bool) -> Result<()> {
        output::answer(format, self, || self.table(colour))?;
        let failed = self
            .checks
            .iter()
            .filter(|check| check.status == State::Fail)
            .count();
        match failed {
            0 => Ok(()),
            _ => Err(Failure::new(format!(
                "{failed} of {} checks failed",
                self.checks.len()
            ))),
        }
    }

    fn table(&self, colour: bool) -> String {
        const STATUS: usize = "STATUS".len() + 3;
        let longest = self.checks.iter().map(|check| check.name.chars().count()).max();
        let width = longest.unwrap_or_default().max("CHECK".len()) + 3;
        let mut text = format!("{:<STATUS$}{:<width$}SEEN\n", "STATUS", "CHECK");
        for check in &self.checks {
            let (word, start) = match check.status {
                State::Ok => ("ok", "\x1b[32m"),
                State::Warn => ("warn", "\x1b[1;33m"),
                State::Fail => ("fail", "\x1b[1;31m"),
            };
            // Around the padded word: what isn't shown has no width.
            let (start, end) = if colour { (start, "\x1b[0m") } else { ("", "") };
            text += &format!(
                "{start}{word:<STATUS$}{end}{:<width$}{}\n",
                check.name, check.seen
            );
            if let Some(remedy) = &check.remedy {
                text += &format!("{:<STATUS$}{:<width$}remedy: {remedy}\n", "", "");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.ok("first", "fine\x1b[2J");
        report.warn("the second", "old", "renew it");
        report.add("third", State::Ok, "fine", Some("nothing"));
        report
    }

    #[test]
    fn remedies_stand_under_their_row_and_only_where_there_is_something_to_do() {
        let expected = "STATUS   CHECK        SEEN\n\
                        ok       first        fine [2J\n\
                        warn     the second   old\n                      remedy: renew it\n\
                        ok       third        fine\n";
        assert_eq!(report().table(false), expected);
        let coloured = report().table(true);
        assert!(
            coloured.contains("\x1b[1;33mwarn     \x1b[0mthe second"),
            "{coloured:?}"
        );
    }
}
