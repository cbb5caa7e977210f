//! Where things are in this checkout, and the programs built from it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::Duration,
};

use crate::command;

/// Names the directory of built programs. Whoever sets it has built them (the test runner's set-up script does, once a run).
const PROGRAMS_VARIABLE: &str = "MK8S_TEST_PROGRAMS";
/// Names the directory of the ordinary clients. Whoever sets it has built them, as above.
const CLIENTS_VARIABLE: &str = "MK8S_TEST_CLIENTS";
/// Names the static `keeper-secrets-exec`. Whoever sets it has built it, as above.
const EXEC_VARIABLE: &str = "MK8S_TEST_EXEC";
/// The packages whose programs are tested.
const PACKAGES: [&str; 9] = [
    "mk8s-central",
    "mk8s-agent",
    "mk8s-front-proxy",
    "mk8s-apiserver",
    "mk8s-webhook",
    "mca-proxy",
    "keeper-secrets",
    "mk8s",
    "mk8s-mcp",
];

/// The checkout's root.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        crates
            .and_then(Path::parent)
            .expect("crates/testkit is two below the root")
            .to_owned()
    });
    &ROOT
}

/// A program of this workspace. Unless [`PROGRAMS_VARIABLE`] says where they are, the first call builds them all.
///
/// # Panics
/// If it doesn't build.
pub fn program(name: &str) -> PathBuf {
    static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os(PROGRAMS_VARIABLE) {
        Some(directory) => PathBuf::from(directory),
        None => build(),
    });
    let path = PROGRAMS.join(name);
    assert!(
        path.is_file(),
        "there is no {}; build it by: cargo build -p {name}",
        path.display()
    );
    path
}

/// The directory of the ordinary clients of `tests/clients`: `LANGUAGE/client`. Unless [`CLIENTS_VARIABLE`] says where it is, the first
/// call builds them.
///
/// # Panics
/// If they can't be built; the script's own line says why.
pub fn clients() -> PathBuf {
    static CLIENTS: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os(CLIENTS_VARIABLE) {
        Some(directory) => PathBuf::from(directory),
        None => {
            let mut script = Command::new(root().join("tools/test-clients.sh"));
            let ran = command::run_with(&mut script, b"", Duration::from_secs(1200)).ok();
            root().join(ran.text())
        }
    });
    CLIENTS.clone()
}

/// `keeper-secrets-exec` as images have it. Unless [`EXEC_VARIABLE`] says where it is, the first call builds it.
///
/// # Panics
/// If it can't be built; the script's own line says why.
pub fn exec_program() -> PathBuf {
    static EXEC: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = std::env::var_os(EXEC_VARIABLE).map_or_else(
            || {
                let mut script = Command::new(root().join("tools/build-exec.sh"));
                let ran = command::run_with(&mut script, b"", Duration::from_secs(600)).ok();
                PathBuf::from(ran.text())
            },
            PathBuf::from,
        );
        root().join(path)
    });
    EXEC.clone()
}

/// What the test runner's set-up script does, for those who run a test without it.
fn build() -> PathBuf {
    let profile = std::env::var("MK8S_TEST_PROFILE");
    let profile = profile.as_deref().unwrap_or("quick-release");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root())
        .args(["build", "--quiet", "--profile", profile]);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    let status = cargo.status().expect("cargo can be run");
    assert!(status.success(), "the programs under test don't build: {cargo:?}");
    target().join(if profile == "dev" { "debug" } else { profile })
}

/// `target`, found from `target/debug/deps/it-0123456789abcdef`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("this program's own path");
    test.ancestors()
        .nth(3)
        .expect("a test program is in target/PROFILE/deps")
        .to_owned()
}
