//! What logs put in front of their lines: timestamps, levels, streams, names of pods and containers.

use std::sync::LazyLock;

use regex::Regex;

static PREFIX: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?-u:(?:",
        // RFC 3339 and its relatives, in brackets or not.
        r"\[?[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?(?:Z| ?[+-][0-9]{2}:?[0-9]{2})?)?\]?",
        // Times alone, and syslog's dates.
        r"|\[?[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?\]?",
        r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}",
        // klog.
        r"|[IWEF][0-9]{4} [0-9:.]{8,15} +[0-9]+ [A-Za-z0-9_./-]{1,64}:[0-9]+\]",
        // CRI's files.
        r"|(?:stdout|stderr) [FP]",
        // Seconds since something.
        r"|\[ *[0-9]{1,10}\.[0-9]{3,9}\]|[0-9]{9,10}\.[0-9]{3,9}|[0-9]{10,13}",
        // kubectl --prefix, stern, compose.
        r"|\[pod/[A-Za-z0-9_./-]{1,200}\]|[A-Za-z0-9_./-]{1,64} +\||\|",
        // Levels.
        r"|\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|trace|debug|info|notice|warn|warning|error|fatal)\]?:?",
        r")[ \t])+",
    ))
    .expect("a valid pattern")
});

/// How many bytes of a line aren't what was logged. One space or tab after the last part is among them, more are indentation.
pub(crate) fn length(line: &str) -> usize {
    let starts = line
        .as_bytes()
        .first()
        .is_some_and(|byte| !byte.is_ascii_whitespace());
    if !starts {
        return 0;
    }
    PREFIX.find(line).map_or(0, |found| found.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_logs_put_in_front_is_told_from_what_was_logged() {
        for (line, body) in [
            ("2026-11-22T02:46:00.123456789Z hello", "hello"),
            ("2026-11-22 02:46:00,123 INFO hello there", "hello there"),
            ("[2026/11/22 02:46:00] [info] hello", "hello"),
            ("I1122 02:46:00.123456       1 server.go:12] hello", "hello"),
            ("2026-11-22T02:46:00Z stdout F   indented", "  indented"),
            ("[pod/web-1/app] 12:00:00 hello", "hello"),
            ("web-1  | hello", "hello"),
            ("Nov 22 02:46:00 host app: hello", "host app: hello"),
            ("hello world", "hello world"),
            ("  2026-11-22 x", "  2026-11-22 x"),
        ] {
            assert_eq!(&line[length(line)..], body, "{line}");
        }
    }
}
