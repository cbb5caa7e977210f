//! A real API server, made by tools/devcluster and taken down at the end.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;

use crate::{contender::Api, fixtures, process::Process};

/// The rights that the agent has in any cluster.
const AGENT_RBAC: &str = "deploy/agent-rbac.yaml";
const NAME: &str = "bench";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) api: Api,
    pub(crate) version: String,
    /// Of somebody who may read there, for those who ask without the gateway.
    pub(crate) token: String,
    /// An address of this machine that the API server can dial.
    pub(crate) host_address: String,
    devcluster: PathBuf,
    kubeconfig: PathBuf,
    api_server: u32,
    _devcluster: Process,
}

/// What devcluster writes about itself.
#[derive(Deserialize)]
struct State {
    kubernetes_version: String,
    server: String,
    kubeconfig: PathBuf,
    host_address: String,
    files: Files,
    processes: Vec<Component>,
}

#[derive(Deserialize)]
struct Files {
    ca: PathBuf,
}

#[derive(Deserialize)]
struct Component {
    name: String,
    pid: u32,
}

impl Cluster {
    /// Starts one with an object to ask for, and a reader who may.
    pub(crate) async fn start(dir: &Path, devcluster: &Path) -> anyhow::Result<Self> {
        Self::start_with(dir, devcluster, &[]).await
    }

    /// The same, with more arguments for devcluster.
    pub(crate) async fn start_with(dir: &Path, devcluster: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let base = dir.join("clusters");
        std::fs::create_dir_all(&base)?;
        let path = base.to_str().context("the path is not UTF-8")?;
        // In the foreground, so that it ends with us.
        let arguments = [&["up", "--name", NAME, "--dir", path], more].concat();
        let mut process = Process::start("devcluster", devcluster, &arguments, dir.join("devcluster.log"))?;
        process.until_says("state.json\n", START_TIMEOUT).await?;
        let state =
            std::fs::read_to_string(base.join(NAME).join("state.json")).context("devcluster's state.json")?;
        let state: State = serde_json::from_str(&state).context("devcluster's state.json")?;
        let api_server = state
            .processes
            .iter()
            .find(|p| p.name == "kube-apiserver")
            .context("no kube-apiserver")?
            .pid;

        let kubectl = |arguments: &[&str], input: Option<&Path>| {
            kubectl(devcluster, &state.kubeconfig, arguments, input)
        };
        let rbac = workspace_file(AGENT_RBAC)?;
        kubectl(&["apply", "--server-side", "--filename", "-"], Some(&rbac))?;
        let objects = dir.join("objects.json");
        std::fs::write(&objects, objects_json())?;
        kubectl(&["apply", "--server-side", "--filename", "-"], Some(&objects))?;
        let token = |account: &str| {
            let arguments = [
                "--namespace",
                "mk8s-system",
                "create",
                "token",
                account,
                "--duration",
                "1h",
            ];
            kubectl(&arguments, None).map(|token| token.trim().to_owned())
        };
        let address = state
            .server
            .strip_prefix("https://")
            .context("the server's URL is not https")?;
        Ok(Self {
            api: Api {
                address: address.parse()?,
                authorities: std::fs::read(&state.files.ca)?,
                agent_token: token("mk8s-agent")?,
            },
            version: state.kubernetes_version,
            token: token("bench-reader")?,
            host_address: state.host_address,
            devcluster: devcluster.to_owned(),
            kubeconfig: state.kubeconfig,
            api_server,
            _devcluster: process,
        })
    }

    /// Of the administrator.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// kubectl as the administrator, with a file as its input.
    pub(crate) fn kubectl(&self, arguments: &[&str], input: Option<&Path>) -> anyhow::Result<String> {
        kubectl(&self.devcluster, &self.kubeconfig, arguments, input)
    }

    /// CPU time that the API server itself has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        crate::process::cpu(self.api_server)
    }
}

/// A ConfigMap like the one in [`fixtures`], and an account that reads as the role `viewer` does.
fn objects_json() -> String {
    let fixture: serde_json::Value = serde_json::from_str(&fixtures::small()).unwrap_or_default();
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}, "data": fixture["data"]},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bench-reader", "namespace": "mk8s-system"}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "bench-reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "bench-reader", "namespace": "mk8s-system"}],
        },
    ]})
    .to_string()
}

fn kubectl(
    devcluster: &Path,
    kubeconfig: &Path,
    arguments: &[&str],
    input: Option<&Path>,
) -> anyhow::Result<String> {
    let input = match input {
        Some(path) => Stdio::from(std::fs::File::open(path).with_context(|| format!("{}", path.display()))?),
        None => Stdio::null(),
    };
    let output = Command::new(devcluster)
        .arg("kubectl")
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stdin(input)
        .output()
        .with_context(|| format!("can't run {}", devcluster.display()))?;
    if !output.status.success() {
        bail!(
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A file of this repository, from its root or from below.
pub(crate) fn workspace_file(name: &str) -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("bench/ has no parent")?;
    Ok(root.join(name))
}
