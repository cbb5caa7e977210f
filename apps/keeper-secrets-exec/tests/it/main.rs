//! The program as it runs in a container: copied, beside its file.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

struct Place(tempfile::TempDir);

impl Place {
    fn new(environment: Option<&[u8]>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::copy(
            env!("CARGO_BIN_EXE_keeper-secrets-exec"),
            directory.path().join("exec"),
        )
        .expect("copied");
        if let Some(environment) = environment {
            fs::write(directory.path().join("environment"), environment).expect("written");
        }
        Self(directory)
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("exec")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(self.program())
            .args(arguments)
            .env("KEPT", "own")
            .env("REPLACED", "own")
            .output()
            .expect("it starts")
    }
}

#[test]
fn the_program_has_the_variables_its_arguments_and_its_own_exit_code() {
    let place = Place::new(Some(b"REPLACED=secret\0TWO=two\nlines $HOME `id`\0"));
    let script = r#"printf '%s|%s|%s|%s' "$KEPT" "$REPLACED" "$TWO" "$1"; exit 7"#;
    let output = place.run(&["--", "sh", "-c", script, "sh", "--an argument"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "own|secret|two\nlines $HOME `id`|--an argument"
    );
    assert_eq!(output.status.code(), Some(7));
    assert!(output.stderr.is_empty());
}

#[test]
fn signals_are_the_programs_own() {
    use std::os::unix::process::ExitStatusExt as _;
    let place = Place::new(Some(b""));
    // The shell is the same process: what it sends itself ends what we started.
    let output = place.run(&["--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(output.status.signal(), Some(15));
    // A broken pipe ends programs, unless they say otherwise; Rust's own don't.
    let output = place.run(&["--", "sh", "-c", "kill -PIPE $$; echo alive"]);
    assert_eq!(output.status.signal(), Some(13));
}

#[test]
fn what_is_missing_is_said_with_the_exit_codes_of_env() {
    let without = Place::new(None).run(&["--", "true"]);
    assert_eq!(without.status.code(), Some(125));
    let said = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(said.contains("keeper-secrets-init"), "{said}");
    let place = Place::new(Some(b"A=hidden"));
    let odd = place.run(&["--", "true"]);
    assert_eq!(odd.status.code(), Some(125));
    assert!(!String::from_utf8_lossy(&odd.stderr).contains("hidden"));
    let place = Place::new(Some(b"A=hidden\0"));
    assert_eq!(place.run(&["--", "no-such-program"]).status.code(), Some(127));
    let no_program = place.0.path().join("environment");
    let no_program = no_program.to_str().expect("a path in UTF-8");
    assert_eq!(place.run(&["--", no_program]).status.code(), Some(126));
    assert_eq!(place.run(&[]).status.code(), Some(125));
}
