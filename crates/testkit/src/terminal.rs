//! Programs on a terminal, as a person runs them.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::{command, wait};

/// A program on a terminal of its own. Dropping it kills the program.
#[derive(Debug)]
pub struct Terminal {
    line: String,
    child: Child,
    master: File,
    said: Arc<Mutex<String>>,
}

impl Terminal {
    /// Starts it on a terminal of this size.
    ///
    /// # Panics
    /// If there is no terminal to be had, or the program can't be started.
    #[track_caller]
    pub fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let (master, slave) = open().expect("a pseudo-terminal");
        tcsetwinsize(&slave, size(rows, columns)).expect("a terminal has a size");
        // A controlling terminal is what brings SIGWINCH and Ctrl-C.
        let mut on_terminal = Command::new("setsid");
        on_terminal
            .args(["--ctty", "--"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => on_terminal.env(name, value),
                None => on_terminal.env_remove(name),
            };
        }
        let handle = || slave.try_clone().expect("a second handle of an open file");
        on_terminal
            .env("TERM", "xterm")
            .stdin(handle())
            .stdout(handle())
            .stderr(handle());
        let line = command::line(command);
        let child = on_terminal
            .spawn()
            .unwrap_or_else(|error| panic!("can't run {line}: {error}"));
        drop((on_terminal, slave));
        let said = Arc::new(Mutex::new(String::new()));
        let mut reader = master.try_clone().expect("a second handle of an open file");
        let heard = said.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..read]);
                heard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&text);
            }
        });
        Self {
            line,
            child,
            master,
            said,
        }
    }

    /// Types this.
    ///
    /// # Panics
    /// If the terminal is gone.
    #[track_caller]
    pub fn type_in(&mut self, text: &str) {
        self.master
            .write_all(text.as_bytes())
            .expect("a terminal takes what is typed");
    }

    /// Changes its size, as dragging a window's corner does.
    ///
    /// # Panics
    /// If the terminal is gone.
    #[track_caller]
    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, size(rows, columns)).expect("a terminal has a size");
    }

    /// What was on it so far, what was typed included.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until something is on it.
    ///
    /// # Panics
    /// If it never is.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        let shown = wait::attempt(wait::PATIENCE, || self.said().contains(text).then_some(()));
        let line = &self.line;
        assert!(
            shown.is_some(),
            "waited in vain for {text:?} on the terminal of {line}:\n{}",
            self.said()
        );
    }

    /// Waits for the program's end.
    ///
    /// # Panics
    /// If it doesn't end in time.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let status = command::wait(&mut self.child, limit);
        status.unwrap_or_else(|| {
            panic!(
                "{} still runs after {limit:?}; it said:\n{}",
                self.line,
                self.said()
            )
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

fn open() -> rustix::io::Result<(File, File)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname(&master, Vec::new())?;
    let slave: OwnedFd = rustix::fs::open(
        path.as_c_str(),
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok((File::from(master), File::from(slave)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_a_terminal_and_learns_of_a_new_size() {
        // Without job control, so that the whole of it is in the foreground.
        let script = "trap 'stty size' WINCH; stty size; while :; do read -r line && exit \"$line\"; done";
        let mut shell = Command::new("sh");
        let mut terminal = Terminal::start(shell.args(["-c", script]), 24, 80);
        terminal.expect("24 80");
        terminal.resize(50, 132);
        terminal.expect("50 132");
        terminal.type_in("7\n");
        assert_eq!(terminal.wait(Duration::from_secs(10)).code(), Some(7));
    }
}
