//! `tools/devcluster`: built if need be, and run.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use serde::Deserialize;

use crate::workspace;

/// Names a devcluster that somebody has built.
const PROGRAM_VARIABLE: &str = "MK8S_DEVCLUSTER";

/// What devcluster writes into `state.json`, as far as tests want to know.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) kubernetes_version: String,
    pub(super) audit_log: PathBuf,
    pub(super) kubeconfig: PathBuf,
    pub(super) server: String,
    pub(super) host_address: String,
    pub(super) files: Files,
    pub(super) processes: Vec<Process>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Files {
    pub(super) ca: PathBuf,
    pub(super) ca_key: PathBuf,
    pub(super) admin_cert: PathBuf,
    pub(super) admin_key: PathBuf,
    pub(super) front_proxy_ca: PathBuf,
    pub(super) front_proxy_ca_key: PathBuf,
}

#[derive(Debug, Deserialize)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) pid: u32,
}

/// The program. The first call builds it, which takes minutes on a machine that never did and no time later.
///
/// # Panics
/// If it can't be built; its own line says why.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| match env::var_os(PROGRAM_VARIABLE) {
        Some(program) => PathBuf::from(program),
        None => last_line(Command::new(workspace::root().join("tools/devcluster/build.sh"))).into(),
    });
    &PROGRAM
}

/// Starts a cluster, or finds it running.
///
/// # Panics
/// If it doesn't come up; its own line says why.
pub(super) fn up(name: &str, arguments: &[&str]) -> State {
    let mut command = Command::new(program());
    command.args(["up", "--name", name, "--detach"]).args(arguments);
    read(Path::new(&last_line(command)))
}

/// Reads the state anew: process ids change when a component is started again.
pub(super) fn read(path: &Path) -> State {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Ends a cluster.
pub(super) fn down(name: &str) {
    let _ = Command::new(program())
        .args(["down", "--name", name])
        .stderr(Stdio::null())
        .status();
}

/// The last line that a command prints; what it reports on the way, the user sees.
fn last_line(mut command: Command) -> String {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("can't run {command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", complaint.trim());
    eprint!("{complaint}");
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines()
        .last()
        .unwrap_or_else(|| panic!("{command:?} printed nothing"))
        .to_owned()
}
