//! Programs that are run to their end.

use std::{
    ffi::OsStr,
    fmt,
    io::{Read, Write as _},
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a command may take unless something else is said.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// As it could be typed.
    pub line: String,
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// Itself, if it succeeded.
    ///
    /// # Panics
    /// If it didn't, with all that it said.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.code == Some(0), "{self}");
        self
    }

    /// Itself, if it failed by itself.
    ///
    /// # Panics
    /// If it succeeded or was killed, with all that it said.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(
            self.code.is_some_and(|code| code != 0),
            "this should have failed: {self}"
        );
        self
    }

    /// What it printed, without white space around it.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// What it printed, as JSON.
    ///
    /// # Panics
    /// If it isn't.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("this should have printed JSON ({error}): {self}"),
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "$ {}\nexit code {:?} after {:.1?}",
            self.line, self.code, self.took
        )?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "\n--- {name}\n{}", shortened(text))?;
            }
        }
        Ok(())
    }
}

/// Runs it with nothing on standard input.
///
/// # Panics
/// If it can't be started, or takes longer than [`LIMIT`].
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    run_with(command, b"", LIMIT)
}

/// Runs it with this on standard input.
///
/// # Panics
/// If it can't be started, or takes longer than `limit`.
#[track_caller]
pub fn run_with(command: &mut Command, stdin: &[u8], limit: Duration) -> Ran {
    let line = line(command);
    let started = Instant::now();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("can't run {line}: {error}"),
    };
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let input = child.stdin.take().map(|mut pipe| {
        let stdin = stdin.to_vec();
        // It may end without having read it all.
        thread::spawn(move || drop(pipe.write_all(&stdin)))
    });
    let status = wait(&mut child, limit);
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    drop(input);
    let ran = Ran {
        line,
        code: status.and_then(|status| status.code()),
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
        took: started.elapsed(),
    };
    assert!(
        status.is_some(),
        "this took longer than {limit:?} and was killed: {ran}"
    );
    ran
}

/// Waits for a child, but not longer than `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(pause),
            _ => return None,
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The command as it could be typed, without its environment.
pub(crate) fn line(command: &Command) -> String {
    let word = |word: &OsStr| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@%=:".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("{word:?}")
        }
    };
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(word).collect::<Vec<_>>().join(" ")
}

/// The beginning and the end of a long text.
pub(crate) fn shortened(text: &str) -> String {
    const EACH: usize = 4000;
    if text.len() <= 2 * EACH {
        return text.to_owned();
    }
    let (head, tail) = (
        text.floor_char_boundary(EACH),
        text.ceil_char_boundary(text.len() - EACH),
    );
    format!("{}\n… {} bytes …\n{}", &text[..head], tail - head, &text[tail..])
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn all_that_a_command_says_is_kept() {
        let ran = run_with(&mut shell("cat; echo no >&2; exit 3"), b"yes", LIMIT);
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (Some(3), "yes", "no\n")
        );
        assert_eq!(ran.line, r#"sh -c "cat; echo no >&2; exit 3""#);
    }

    #[test]
    #[should_panic(expected = "took longer than")]
    fn a_command_that_hangs_is_killed() {
        run_with(&mut shell("exec sleep 60"), b"", Duration::from_millis(100));
    }

    #[test]
    fn a_long_text_keeps_both_ends() {
        let text = shortened(&format!("begin{}end", "ä".repeat(10_000)));
        assert!(text.starts_with("begin") && text.ends_with("end") && text.len() < 9000);
    }
}
