//! A user on a fresh machine: a home directory, a clean environment, a stub of kubectl.

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::fake_central::{EMAIL, FakeCentral, PASSWORD};

/// The program under test.
pub(crate) const MK8S: &str = env!("CARGO_BIN_EXE_mk8s");

/// Notes its arguments, kubeconfig and environment beside itself, then does what the test's `act` says.
const STUB: &str = r#"#!/bin/sh
here=$(dirname "$0")
for argument; do printf '%s\n' "$argument"; done >"$here/arguments"
cp "$KUBECONFIG" "$here/kubeconfig" 2>/dev/null
printf '%s' "$KUBECONFIG" >"$here/kubeconfig-path"
env >"$here/environment"
echo $$ >"$here/pid"
"#;

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        self
    }

    /// As `fails`, and other lines may stand before the error.
    #[track_caller]
    pub(crate) fn fails_with_notes(self, code: i32) -> Self {
        assert!(
            self.stderr.lines().any(|line| line.starts_with("error: ")),
            "{self:?}"
        );
        self.fails(code)
    }

    /// One `error:` line, with this in it, and at most a `hint:` line.
    #[track_caller]
    pub(crate) fn says(self, expected: &str) -> Self {
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(
            lines.len() <= 2 && lines.first().is_some_and(|line| line.starts_with("error: ")),
            "{self:?}"
        );
        assert!(
            lines.get(1).is_none_or(|line| line.starts_with("hint: ")),
            "{self:?}"
        );
        assert!(self.stderr.contains(expected), "{expected:?} isn't in {self:?}");
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

/// The user's machine.
pub(crate) struct Sandbox {
    directory: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let sandbox = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        fs::create_dir(sandbox.bin()).expect("made");
        sandbox
    }

    /// A user who has logged in.
    pub(crate) fn logged_in(central: &FakeCentral) -> Self {
        let sandbox = Self::new();
        sandbox.login(central).succeeds();
        sandbox
    }

    /// A user who has logged in and chosen a cluster.
    pub(crate) fn using(central: &FakeCentral, cluster: &str) -> Self {
        let sandbox = Self::logged_in(central);
        sandbox.run(&["clusters", "use", cluster]).succeeds();
        sandbox
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn dot(&self) -> PathBuf {
        self.root().join(".mk8s")
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.root().join("bin")
    }

    pub(crate) fn config(&self) -> String {
        fs::read_to_string(self.dot().join("config.yaml")).expect("a configuration")
    }

    pub(crate) fn write_config(&self, text: &str) {
        fs::create_dir_all(self.dot()).expect("made");
        fs::set_permissions(self.dot(), Permissions::from_mode(0o700)).expect("changed");
        fs::write(self.dot().join("config.yaml"), text).expect("written");
    }

    pub(crate) fn credentials(&self) -> String {
        fs::read_to_string(self.dot().join("credentials.json")).expect("credentials")
    }

    /// Makes the session as old as if this many seconds had gone by since its tokens came.
    pub(crate) fn age_session(&self, seconds: u64) {
        let mut stored: serde_json::Value = serde_json::from_str(&self.credentials()).expect("JSON");
        for session in stored["sessions"].as_object_mut().expect("sessions").values_mut() {
            let received = &mut session["received"]["unix_seconds"];
            *received = (received.as_u64().expect("a time") - seconds).into();
        }
        fs::write(self.dot().join("credentials.json"), stored.to_string()).expect("written");
    }

    /// A command of ours with nothing in its environment that the test doesn't put there, and no terminal.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(MK8S);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.root())
            .env("PATH", format!("{}:/usr/bin:/bin", self.bin().display()))
            .current_dir(self.root())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().expect("it runs").into()
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Run {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        // A program that fails early doesn't read its input.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends").into()
    }

    /// Logs in as a script does.
    pub(crate) fn login(&self, central: &FakeCentral) -> Run {
        let (url, fingerprint) = (central.url(), central.fingerprint().to_string());
        let arguments = [
            "login",
            "--central",
            &url,
            "--email",
            EMAIL,
            "--password-stdin",
            "--ca-fingerprint",
            &fingerprint,
        ];
        self.run_with_input(&arguments, &format!("{PASSWORD}\n"))
    }

    /// Runs on a terminal (that of script(1)) and types `input`; gives what the terminal showed and the exit code.
    pub(crate) fn on_a_terminal(&self, command_line: &str, input: &str) -> (String, i32) {
        let mut child = Command::new("script")
            .args([
                "--quiet",
                "--return",
                "--command",
                &format!("{MK8S} {command_line}"),
                "/dev/null",
            ])
            .env_clear()
            .env("HOME", self.root())
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "dumb")
            .current_dir(self.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1), of the package bsdutils");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("typed");
        let shown = child.wait_with_output().expect("it ends");
        drop(stdin);
        (
            String::from_utf8_lossy(&shown.stdout).into_owned(),
            shown.status.code().expect("a code"),
        )
    }

    /// Puts a kubectl on the PATH that notes how it was called and then runs `act`, a piece of shell.
    pub(crate) fn stub_kubectl(&self, act: &str) {
        self.stub("kubectl", act);
    }

    pub(crate) fn stub(&self, name: &str, act: &str) {
        let path = self.bin().join(name);
        fs::write(&path, format!("{STUB}{act}\n")).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("changed");
    }

    /// What the stub noted: `arguments`, `kubeconfig`, `kubeconfig-path`, `environment`, `pid`.
    pub(crate) fn noted(&self, what: &str) -> String {
        fs::read_to_string(self.bin().join(what)).unwrap_or_default()
    }
}
