//! An agent beside a cluster, with no more rights there than it is given in production.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::Gateway;
use crate::{Cluster, Program, workspace};

/// An agent of one cluster. It can be killed and started again: its identity is on disk.
#[derive(Debug)]
pub struct Agent {
    pub(super) cluster: String,
    pub(super) program: Program,
    directory: PathBuf,
    variables: Vec<(String, String)>,
}

impl Agent {
    /// Installs the agent's service account in the cluster, and starts an agent that has its token and nothing else.
    #[track_caller]
    pub(super) fn start(gateway: &Gateway, name: &str, cluster: &Cluster, join_token: &str) -> Self {
        let directory = gateway.directory().join(format!("agent-{name}"));
        prepare(&directory, gateway, name, cluster, join_token);
        let program = start(&directory, name, &[]);
        Self {
            cluster: name.to_owned(),
            program,
            directory,
            variables: Vec::new(),
        }
    }

    /// The process.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Ends it without asking.
    #[track_caller]
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again.
    ///
    /// # Panics
    /// If it can't be started.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.program.kill();
        let variables: Vec<_> = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.program = start(&self.directory, &self.cluster, &variables);
    }

    /// A variable more in its environment, from the next start on.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }
}

/// An agent that isn't expected to get anywhere: it is started with this token, and what becomes of it is for the test to see.
///
/// # Panics
/// If it can't be started.
#[track_caller]
pub fn hopeless(
    gateway: &Gateway,
    directory: &str,
    name: &str,
    cluster: &Cluster,
    join_token: &str,
) -> Program {
    let directory = gateway.directory().join(directory);
    prepare(&directory, gateway, name, cluster, join_token);
    start(&directory, name, &[])
}

#[track_caller]
fn prepare(directory: &Path, gateway: &Gateway, name: &str, cluster: &Cluster, join_token: &str) {
    fs::create_dir_all(directory).expect("a directory for the agent");
    let rbac =
        fs::read_to_string(workspace::root().join("deploy/agent-rbac.yaml")).expect("deploy/agent-rbac.yaml");
    cluster.kubectl().apply(&rbac);
    let kubeconfig = directory.join("kubeconfig");
    cluster.service_account_kubeconfig("mk8s-system", "mk8s-agent", &kubeconfig);
    let config = format!(
        "central:\n  url: https://127.0.0.1:{}\n  token: ${{AGENT_TOKEN}}\n  connections: 2\ncluster:\n  name: {name}\n\
         tls:\n  ca_file: {}\nstate_dir: {}\nkubernetes:\n  kubeconfig: {}\n",
        gateway.ports().grpc,
        gateway.ca_file().display(),
        directory.join("state").display(),
        kubeconfig.display(),
    );
    fs::write(directory.join("agent.yaml"), config).expect("a file for the configuration");
    fs::write(directory.join("token"), join_token).expect("a file for the token");
}

#[track_caller]
fn start(directory: &Path, name: &str, variables: &[(&str, &str)]) -> Program {
    let mut command = Command::new(workspace::program("mk8s-agent"));
    command.arg("--config").arg(directory.join("agent.yaml"));
    command.env(
        "AGENT_TOKEN",
        fs::read_to_string(directory.join("token")).expect("the token's file"),
    );
    command.env("PATH", crate::kubectl::path_with_kubectl());
    // What the developer's own shell says is about another cluster.
    for variable in [
        "KUBECONFIG",
        "CENTRAL_URL",
        "CENTRAL_CA_FILE",
        "CLUSTER_NAME",
        "MK8S_AGENT_STATE",
        "MK8S_AGENT_STATE_SECRET",
    ] {
        command.env_remove(variable);
    }
    command.envs(variables.iter().copied());
    Program::start(
        &format!("mk8s-agent of {name}"),
        &command,
        &directory.join("agent.log"),
    )
}
