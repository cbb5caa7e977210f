//! Why a command ended without doing what was asked.

use std::process::ExitCode;

/// What went wrong, in one line, and what to do about it, in another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    kind: Kind,
}

/// What every command gives back.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// What callers may want to know of a failure beyond its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It was asked well and couldn't be done: exit 1.
    Operation,
    /// It was asked wrongly: exit 2, as clap does.
    Usage,
    /// The reader of our output went away (`mk8s clusters list | head -1`): nothing to say.
    OutputClosed,
}

impl Failure {
    /// A failure of the operation; `message` is one line, without a full stop.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            kind: Kind::Operation,
        }
    }

    /// The request itself makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Usage,
            ..Self::new(message)
        }
    }

    /// Our standard output couldn't be written.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        let kind = if error.kind() == std::io::ErrorKind::BrokenPipe {
            Kind::OutputClosed
        } else {
            Kind::Operation
        };
        Self {
            kind,
            ..Self::new(format!("can't write the output: {error}"))
        }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds to what went wrong how things stand now.
    pub(crate) fn and(mut self, state: &str) -> Self {
        self.message = format!("{}; {state}", self.message);
        self
    }

    /// What went wrong and what to do, unless there is nobody left to read it.
    pub(crate) fn lines(&self) -> Option<(&str, Option<&str>)> {
        (self.kind != Kind::OutputClosed).then_some((self.message.as_str(), self.hint.as_deref()))
    }

    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::Operation => ExitCode::from(1),
            Kind::Usage => ExitCode::from(2),
            // What a shell reports for a program ended by SIGPIPE.
            Kind::OutputClosed => ExitCode::from(141),
        }
    }
}
