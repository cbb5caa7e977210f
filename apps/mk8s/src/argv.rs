//! The command line, cut in two: what is for `mk8s` and what is for kubectl.
//!
//! Everything after the word `kubectl` (or `k`) belongs to kubectl byte for byte: `--help`, `--`, `-n`, a cluster flag. A
//! parser of flags would eat the first `--`, so the cut is made before one runs.

use std::ffi::{OsStr, OsString};

/// Our own options that take a value in the next argument, and so may stand between `mk8s` and the command.
const OPTIONS_WITH_VALUE: [&str; 1] = ["--cluster"];

/// The two halves of the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Argv {
    /// The program's name, our options and the command, `kubectl` included.
    pub(crate) own: Vec<OsString>,
    /// What follows the word `kubectl`; empty for every other command.
    pub(crate) kubectl: Vec<OsString>,
}

impl Argv {
    /// Cuts after the command, if the command is kubectl.
    pub(crate) fn split(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let mut own: Vec<OsString> = arguments.into_iter().collect();
        let kubectl = match command_position(&own) {
            Some(at) if is_kubectl(&own[at]) => own.split_off(at + 1),
            _ => Vec::new(),
        };
        Self { own, kubectl }
    }
}

/// Whether this word of ours hands the rest to kubectl.
pub(crate) fn is_kubectl(word: &OsStr) -> bool {
    word == "kubectl" || word == "k"
}

/// The index of the first argument that is neither an option nor an option's value.
fn command_position(arguments: &[OsString]) -> Option<usize> {
    let mut index = 1;
    while let Some(argument) = arguments.get(index) {
        if OPTIONS_WITH_VALUE.iter().any(|option| argument == option) {
            index += 2;
        } else if argument.as_encoded_bytes().starts_with(b"-") {
            index += 1;
        } else {
            return Some(index);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> (String, String) {
        let argv = Argv::split(line.split(' ').map(OsString::from));
        let join = |words: Vec<OsString>| words.join(OsStr::new(" ")).into_string().expect("UTF-8");
        (join(argv.own), join(argv.kubectl))
    }

    #[test]
    fn what_follows_kubectl_is_untouched() {
        for (line, own, kubectl) in [
            ("mk8s kubectl get pods -n x", "mk8s kubectl", "get pods -n x"),
            ("mk8s k -- --help", "mk8s k", "-- --help"),
            ("mk8s kubectl --help", "mk8s kubectl", "--help"),
            (
                "mk8s --cluster a kubectl exec p -- k",
                "mk8s --cluster a kubectl",
                "exec p -- k",
            ),
            (
                "mk8s --cluster=a k --cluster b",
                "mk8s --cluster=a k",
                "--cluster b",
            ),
            ("mk8s --cluster kubectl k get", "mk8s --cluster kubectl k", "get"),
            ("mk8s clusters use kubectl", "mk8s clusters use kubectl", ""),
            ("mk8s help kubectl", "mk8s help kubectl", ""),
            ("mk8s", "mk8s", ""),
            ("mk8s --cluster", "mk8s --cluster", ""),
        ] {
            assert_eq!(split(line), (own.to_owned(), kubectl.to_owned()), "{line}");
        }
    }
}
