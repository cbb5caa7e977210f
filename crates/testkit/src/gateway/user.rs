//! Somebody who is logged in.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Kubectl, Ran, command, kubectl, workspace};

/// Somebody who is logged in, with a `~/.mk8s` of their own.
#[derive(Clone, Debug)]
pub struct User {
    email: String,
    central: String,
    home: PathBuf,
}

impl User {
    #[track_caller]
    pub(super) fn log_in(email: &str, password: &str, central: &str, ca_file: &Path, home: PathBuf) -> Self {
        let user = Self {
            email: email.to_owned(),
            central: central.to_owned(),
            home,
        };
        let mut login = user.command([
            "login",
            "--central",
            central,
            "--email",
            email,
            "--password-stdin",
            "--ca-file",
        ]);
        command::run_with(
            login.arg(ca_file),
            format!("{password}\n").as_bytes(),
            command::LIMIT,
        )
        .ok();
        user
    }

    /// Who.
    pub fn email(&self) -> &str {
        &self.email
    }

    /// Their `MK8S_HOME`.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A command of `mk8s` as this user, for those who run it in a way of their own.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(workspace::program("mk8s"));
        command
            .env("MK8S_HOME", &self.home)
            .env("PATH", kubectl::path_with_kubectl());
        for variable in ["KUBECONFIG", "MK8S_CENTRAL", "MK8S_CLUSTER"] {
            command.env_remove(variable);
        }
        command.args(arguments);
        command
    }

    /// Runs `mk8s` as this user.
    #[track_caller]
    pub fn mk8s<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        command::run(&mut self.command(arguments))
    }

    /// The token that kubectl would send.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn token(&self) -> String {
        let credential = self.mk8s(["credential", "--central", &self.central]).ok().json();
        credential["status"]["token"]
            .as_str()
            .expect("a token in the credential")
            .to_owned()
    }

    /// Plain kubectl through the gateway to a cluster, with a kubeconfig that `mk8s` wrote.
    ///
    /// # Panics
    /// If it can't be written.
    #[track_caller]
    pub fn kubectl(&self, cluster: &str) -> Kubectl {
        Kubectl::new(&self.kubeconfig(cluster))
    }

    /// The same with another kubectl.
    ///
    /// # Panics
    /// If the kubeconfig can't be written.
    #[track_caller]
    pub fn kubectl_with(&self, program: &Path, cluster: &str) -> Kubectl {
        Kubectl::with_program(program, &self.kubeconfig(cluster))
    }

    /// A kubeconfig that leads through the gateway.
    ///
    /// # Panics
    /// If it can't be written.
    #[track_caller]
    pub fn kubeconfig(&self, cluster: &str) -> PathBuf {
        let directory = self.home.join("kubeconfigs");
        fs::create_dir_all(&directory).expect("a directory for kubeconfigs");
        let file = directory.join(format!("{cluster}.kubeconfig"));
        let mut write = self.command(["kubeconfig", "--cluster", cluster, "--output"]);
        command::run(write.arg(&file)).ok();
        file
    }
}
