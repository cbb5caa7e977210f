//! Programs that run beside a test, and end with it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{LazyLock, mpsc},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::command;

/// A running program. What it says goes to a file, which is shown if the test fails. Dropping it kills it; so does the death of
/// the test's process, even by SIGKILL.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    log_from: u64,
}

impl Program {
    /// Starts it. Both its outputs are appended to `log`.
    ///
    /// # Panics
    /// If it can't be started.
    #[track_caller]
    pub fn start(name: &str, command: &Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let log_from = file.metadata().map_or(0, |metadata| metadata.len());
        let mut tied = tied_to_us(command);
        let errors = file.try_clone().expect("a second handle of an open file");
        tied.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = match spawn_on_lasting_thread(tied) {
            Ok(child) => child,
            Err(error) => panic!("can't run {}: {error}", command::line(command)),
        };
        Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            log_from,
        }
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said since it was started.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_from)
            .unwrap_or_default()
            .min(bytes.len());
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end.
    ///
    /// # Panics
    /// If there is no such process any more.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it without asking.
    ///
    /// # Panics
    /// If it can't be waited for.
    #[track_caller]
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("the killed program can be waited for");
    }

    /// Stops it from doing anything until [`Self::resume`].
    ///
    /// # Panics
    /// If there is no such process any more.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// If there is no such process any more.
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it still runs after `limit`.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let status = command::wait(&mut self.child, limit);
        status.unwrap_or_else(|| {
            panic!(
                "{} still runs after {limit:?}; it said:\n{}",
                self.name,
                self.log()
            )
        })
    }

    /// Its memory now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.status_kib("VmRSS:") * 1024
    }

    /// The most memory it had since it started or [`Self::forget_peak`], in bytes.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.status_kib("VmHWM:") * 1024
    }

    /// From now on [`Self::peak_resident_bytes`] counts anew.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn forget_peak(&self) {
        let file = format!("/proc/{}/clear_refs", self.pid());
        fs::write(&file, "5").unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    fn status_kib(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let value = status.lines().find_map(|line| line.strip_prefix(key));
        value
            .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or_default()
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id");
        kill_process(pid, signal)
            .unwrap_or_else(|error| panic!("{}: {error}; it said:\n{}", self.name, self.log()));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let ended = self.child.try_wait().ok().flatten();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let how = ended.map_or("was running".to_owned(), |status| format!("had ended: {status}"));
            eprintln!(
                "=== {} ({how}) said:\n{}",
                self.name,
                command::shortened(&self.log())
            );
        }
    }
}

/// The same command, killed by the kernel when the thread that starts it ends.
fn tied_to_us(command: &Command) -> Command {
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        tied.current_dir(directory);
    }
    tied
}

/// A parent-death signal is about the parent's *thread*, and a test's thread may end before the program should.
fn spawn_on_lasting_thread(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, spawned) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts programs is gone");
    SPAWNER
        .send((command, answer))
        .map_err(|_| io::Error::other("no thread to start programs"))?;
    spawned.recv().map_err(gone)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(directory: &Path) -> Program {
        let mut command = Command::new("sh");
        command.args(["-c", "echo started; exec sleep 60"]);
        Program::start("sleeper", &command, &directory.join("log"))
    }

    #[test]
    fn a_program_is_killed_with_its_guard_and_not_with_the_thread_that_started_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_owned();
        let mut program = thread::spawn(move || sleeper(&path)).join().expect("started");
        crate::eventually("its first words", || (program.log() == "started\n").then_some(()));
        assert!(program.is_running());
        assert!(program.resident_bytes() > 0 && program.peak_resident_bytes() >= program.resident_bytes());
        let process = PathBuf::from(format!("/proc/{}", program.pid()));
        drop(program);
        assert!(!process.exists());
    }

    #[test]
    fn a_program_can_be_asked_to_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut program = sleeper(directory.path());
        crate::eventually("its first words", || (!program.log().is_empty()).then_some(()));
        program.terminate();
        assert!(!program.wait(Duration::from_secs(10)).success());
    }
}
