//! What `mk8s doctor` prints, read.

use serde::Deserialize;

use crate::sandbox::Run;

/// A check.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) seen: String,
    #[serde(default)]
    pub(crate) remedy: String,
}

/// The rows of an answer in JSON. The exit code must fit them, and so must the line on standard error.
#[track_caller]
pub(crate) fn rows(run: Run) -> Vec<Row> {
    #[derive(Deserialize)]
    struct Report {
        checks: Vec<Row>,
    }
    let report: Report = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("JSON: {run:?}"));
    let failed = report.checks.iter().filter(|row| row.status == "fail").count();
    let expected = match failed {
        0 => (Some(0), String::new()),
        _ => (
            Some(1),
            format!("error: {failed} of {} checks failed\n", report.checks.len()),
        ),
    };
    assert_eq!((run.code, run.stderr), expected, "{}", run.stdout);
    for row in &report.checks {
        assert_eq!(row.remedy.is_empty(), row.status == "ok", "{row:?}");
        assert!(!row.seen.is_empty(), "{row:?}");
    }
    report.checks
}
