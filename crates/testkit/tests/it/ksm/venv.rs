//! A Python environment with the official SDK in it, made once and kept.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mk8s_testkit::command;

/// The SDK's version. A newer one is a new environment.
const VERSION: &str = "17.3.0";
const LIMIT: Duration = Duration::from_secs(300);

/// Its `python`.
///
/// # Panics
/// If it can't be made, with what to install.
pub(super) fn python() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keeper-sdk-{VERSION}"));
    let python = directory.join("bin/python");
    let whole = directory.join("whole");
    // Tests are processes of their own: one makes it, the others wait.
    let lock = File::create(directory.with_extension("lock")).expect("a file below target");
    lock.lock().expect("a lock");
    if !whole.exists() {
        // What an earlier run has left half made.
        if directory.exists() {
            fs::remove_dir_all(&directory).expect("an old environment can be removed");
        }
        make(&directory, &python);
        fs::write(&whole, "").expect("a file below target");
    }
    python
}

fn make(directory: &Path, python: &Path) {
    let version = Command::new("python3").arg("--version").output();
    assert!(
        version.is_ok(),
        "python3 is missing; install it by: apt-get install python3 python3-venv"
    );
    let ran = command::run_with(
        Command::new("python3").args(["-m", "venv"]).arg(directory),
        b"",
        LIMIT,
    );
    assert!(
        ran.code == Some(0),
        "can't make a Python environment; if venv is missing, install it by: apt-get install python3-venv\n{ran}"
    );
    let package = format!("keeper-secrets-manager-core=={VERSION}");
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .arg(package);
    let ran = command::run_with(&mut pip, b"", LIMIT);
    assert!(
        ran.code == Some(0),
        "can't install the official SDK; pip must reach PyPI or a mirror of it\n{ran}"
    );
}
