//! The real kubectl.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::Duration,
};

use crate::{
    Ran,
    cluster::devcluster,
    command::{self, LIMIT},
};

/// A kubectl with a kubeconfig and, maybe, a namespace.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: Option<String>,
    variables: Vec<(String, String)>,
}

impl Kubectl {
    /// The kubectl of the cluster's own version.
    pub fn new(kubeconfig: &Path) -> Self {
        Self::with_program(current(), kubeconfig)
    }

    /// Another kubectl.
    pub fn with_program(program: &Path, kubeconfig: &Path) -> Self {
        Self {
            program: program.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            namespace: None,
            variables: Vec::new(),
        }
    }

    /// The same in a namespace, unless the arguments name another.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// The same with one more variable in its environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The namespace it works in.
    ///
    /// # Panics
    /// If it has none.
    #[track_caller]
    pub fn namespace(&self) -> &str {
        self.namespace
            .as_deref()
            .expect("a kubectl that is in a namespace")
    }

    /// The command, for those who run it in a way of their own.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", path_with_kubectl());
        // Its caches must not go from one cluster to another that has the same address.
        command.env("KUBECACHEDIR", self.kubeconfig.with_extension("cache"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        command.args(arguments);
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it takes too long.
    #[track_caller]
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        command::run(&mut self.command(arguments))
    }

    /// Runs it to its end with this on standard input.
    ///
    /// # Panics
    /// If it takes too long.
    #[track_caller]
    pub fn run_with<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, stdin: &[u8]) -> Ran {
        command::run_with(&mut self.command(arguments), stdin, LIMIT)
    }

    /// Runs it with a limit of its own.
    ///
    /// # Panics
    /// If it takes longer than `limit`.
    #[track_caller]
    pub fn run_within<A: AsRef<OsStr>>(
        &self,
        limit: Duration,
        arguments: impl IntoIterator<Item = A>,
    ) -> Ran {
        command::run_with(&mut self.command(arguments), b"", limit)
    }

    /// `kubectl apply --server-side` of these manifests.
    ///
    /// # Panics
    /// If they aren't accepted.
    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        let arguments = ["apply", "--server-side", "--force-conflicts", "--filename", "-"];
        self.run_with(arguments, yaml.as_bytes()).ok();
    }
}

/// The kubectl of the clusters' version: the one beside `KUBEBUILDER_ASSETS`' API server, else devcluster's.
pub fn current() -> &'static Path {
    static CURRENT: LazyLock<PathBuf> = LazyLock::new(|| {
        let assets = env::var_os("KUBEBUILDER_ASSETS").map(|assets| Path::new(&assets).join("kubectl"));
        match assets.filter(|kubectl| kubectl.is_file()) {
            Some(kubectl) => kubectl,
            None => wrapper(),
        }
    });
    &CURRENT
}

/// The kubectl that the machine's owner installed, if there is one: often older than the cluster.
pub fn installed() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join("kubectl"))
        .find(|kubectl| kubectl.is_file())
}

/// `PATH` with a kubectl on it, whether the machine has one or not.
pub fn path_with_kubectl() -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    if installed().is_some() {
        return path;
    }
    let directory = current().parent().expect("a file is in a directory").to_owned();
    let directories = env::split_paths(&path).chain([directory]);
    env::join_paths(directories).expect("directories of a PATH")
}

/// `devcluster kubectl` as a program that is called kubectl.
fn wrapper() -> PathBuf {
    let devcluster = devcluster::program();
    let directory = devcluster.parent().expect("a file is in a directory").join("bin");
    let path = directory.join("kubectl");
    let script = format!("#!/bin/sh\nexec '{}' kubectl \"$@\"\n", devcluster.display());
    if fs::read_to_string(&path).is_ok_and(|there| there == script) {
        return path;
    }
    // Several test processes may do this at once.
    fs::create_dir_all(&directory).expect("a directory for the wrapper");
    let next = directory.join(format!("kubectl.{}", std::process::id()));
    fs::write(&next, script).expect("a wrapper");
    fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).expect("a program");
    fs::rename(&next, &path).expect("a wrapper in its place");
    path
}
