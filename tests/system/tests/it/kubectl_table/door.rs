//! A way to the API server, and what came of going there.

use std::ffi::OsStr;

use mk8s_testkit::{Cluster, Kubectl, Namespace, Ran};

use super::normal::normal;

/// A way to the API server, in a namespace that is new.
pub(super) struct Door {
    /// kubectl through this door, in the namespace.
    pub(super) kubectl: Kubectl,
    /// The namespace.
    pub(super) namespace: Namespace,
    said: Vec<String>,
}

/// What came of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Transcript(String);

impl Door {
    pub(super) fn open(cluster: &'static Cluster, kubectl: Kubectl) -> Self {
        let namespace = cluster.namespace();
        Self {
            kubectl: kubectl.in_namespace(namespace.name()),
            namespace,
            said: Vec::new(),
        }
    }

    /// Runs a command that must succeed, and takes it down.
    #[track_caller]
    pub(super) fn run<A: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = A>) -> Ran {
        let ran = self.kubectl.run(arguments).ok();
        self.record(&ran);
        ran
    }

    /// Runs a command line, words between spaces, that must succeed.
    #[track_caller]
    pub(super) fn line(&mut self, line: &str) -> Ran {
        self.run(line.split(' '))
    }

    /// Runs several, none of which is looked at more than that it succeeds and that both doors say the same.
    #[track_caller]
    pub(super) fn lines(&mut self, lines: &[&str]) {
        for line in lines {
            self.line(line);
        }
    }

    /// Runs a command line that must fail.
    #[track_caller]
    pub(super) fn refused(&mut self, line: &str) -> Ran {
        let ran = self.kubectl.run(line.split(' ')).failed();
        self.record(&ran);
        ran
    }

    /// Runs a command line that must succeed, with this on standard input.
    #[track_caller]
    pub(super) fn with_input(&mut self, line: &str, input: &str) -> Ran {
        let ran = self.kubectl.run_with(line.split(' '), input.as_bytes()).ok();
        self.record(&ran);
        ran
    }

    /// Takes down what a row found out in its own way.
    pub(super) fn note(&mut self, what: &str) {
        self.said.push(what.to_owned());
    }

    /// Takes down how a command ended and what it said.
    pub(super) fn record(&mut self, ran: &Ran) {
        let Ran {
            code, stdout, stderr, ..
        } = ran;
        // Where kubectl shows an object's address, client and gateway say which server they asked; that differs by design.
        self.said.push(format!(
            "exit code {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        ));
    }

    pub(super) fn close(self) -> Transcript {
        Transcript(normal(&self.said.join("\n"), self.namespace.name()))
    }
}

impl Transcript {
    /// The first lines that differ, with what led there.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let (ours, theirs): (Vec<_>, Vec<_>) = (self.0.lines().collect(), other.0.lines().collect());
        let at = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at))?;
        let around = |lines: &[&str]| {
            let from = at.saturating_sub(6).min(lines.len());
            lines[from..(at + 12).min(lines.len())].join("\n")
        };
        Some(format!(
            "line {}\n--- directly\n{}\n--- through the other door\n{}",
            at + 1,
            around(&ours),
            around(&theirs)
        ))
    }
}
