//! Real Kubernetes clusters.

mod audit_log;
pub(crate) mod devcluster;
mod image;
mod namespace;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

pub use audit_log::{AuditEvent, AuditLog};
pub use namespace::Namespace;

use crate::{Kubectl, Ran};

/// The name of the cluster that a test run shares.
const NAME_VARIABLE: &str = "MK8S_TEST_CLUSTER";
const NAME: &str = "mk8s-test";

/// A cluster that runs. It outlives the test process: clusters are shared, and ended by whoever began the test run
/// (`make test`), or by hand: `devcluster down --name NAME`.
#[derive(Debug)]
pub struct Cluster {
    state: devcluster::State,
    is_own: bool,
}

impl Cluster {
    /// The cluster of this test run, with a node. The first test process starts it, the others find it.
    ///
    /// # Panics
    /// If it can't be started; the message says what is missing.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Cluster> = LazyLock::new(|| Cluster {
            state: devcluster::up(&shared_name(), &["--node"]),
            is_own: false,
        });
        &SHARED
    }

    /// Another cluster, shared too, without a node.
    ///
    /// # Panics
    /// If it can't be started; the message says what is missing.
    pub fn second() -> &'static Self {
        static SECOND: LazyLock<Cluster> = LazyLock::new(|| Cluster {
            state: devcluster::up(&format!("{}-2", shared_name()), &[]),
            is_own: false,
        });
        &SECOND
    }

    /// A third, shared too, without a node: for what changes a cluster for all who use it, one test after the other.
    ///
    /// # Panics
    /// If it can't be started; the message says what is missing.
    pub fn for_one_at_a_time() -> &'static Self {
        static THIRD: LazyLock<Cluster> = LazyLock::new(|| Cluster {
            state: devcluster::up(&format!("{}-3", shared_name()), &[]),
            is_own: false,
        });
        &THIRD
    }

    /// A cluster for one test alone: API servers with flags of their own, or clusters that are to be broken. `arguments` are those
    /// of `devcluster up`. It ends with the test.
    ///
    /// # Panics
    /// If it can't be started; the message says what is missing.
    pub fn own(suffix: &str, arguments: &[&str]) -> Self {
        let name = format!("{}-{suffix}", shared_name());
        devcluster::down(&name);
        Self {
            state: devcluster::up(&name, arguments),
            is_own: true,
        }
    }

    /// devcluster's name for it.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Its version: `v1.36.3`.
    pub fn kubernetes_version(&self) -> &str {
        &self.state.kubernetes_version
    }

    /// The API server's URL.
    pub fn server(&self) -> &str {
        &self.state.server
    }

    /// An address of this machine that the API server and pods can dial.
    pub fn host_address(&self) -> &str {
        &self.state.host_address
    }

    /// The administrator's kubeconfig (`system:masters`).
    pub fn kubeconfig(&self) -> &Path {
        &self.state.kubeconfig
    }

    /// The API server's certificate authority, PEM.
    ///
    /// # Panics
    /// If it can't be read.
    pub fn ca_pem(&self) -> String {
        read(&self.state.files.ca)
    }

    /// The certificate authority's files: certificate and key. The API server believes client certificates that it signs.
    pub fn client_ca(&self) -> (&Path, &Path) {
        (&self.state.files.ca, &self.state.files.ca_key)
    }

    /// The request-header authority's files: certificate and key. Whoever has a certificate of it may say who asks.
    pub fn front_proxy_ca(&self) -> (&Path, &Path) {
        (
            &self.state.files.front_proxy_ca,
            &self.state.files.front_proxy_ca_key,
        )
    }

    /// The process id of a component now: `kube-apiserver`, `etcd`, `kubelet`, …
    ///
    /// # Panics
    /// If the cluster has no such component.
    #[track_caller]
    pub fn process(&self, component: &str) -> u32 {
        let directory = self.state.kubeconfig.parent().expect("a file is in a directory");
        let state = devcluster::read(&directory.join("state.json"));
        let process = state.processes.iter().find(|process| process.name == component);
        process
            .unwrap_or_else(|| panic!("{} has no {component}", self.state.name))
            .pid
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.state.kubeconfig)
    }

    /// kubectl straight to the API server in somebody's name. Impersonation is how a gateway says who asks, too, so this user has the
    /// same rights here and there, to the letter.
    ///
    /// # Panics
    /// If the kubeconfig can't be written to `directory`.
    pub fn kubectl_as(&self, directory: &Path, user: &str, groups: &[&str]) -> Kubectl {
        let file = directory.join(format!("{}.direct.kubeconfig", user.replace(['@', '/'], "-")));
        let groups: Vec<_> = groups.iter().map(|group| serde_json::json!(group)).collect();
        let config = kubeconfig(
            self.server(),
            &self.state.files.ca,
            &serde_json::json!({
                "client-certificate": self.state.files.admin_cert,
                "client-key": self.state.files.admin_key,
                "as": user,
                "as-groups": groups,
            }),
        );
        fs::write(&file, config).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Kubectl::new(&file)
    }

    /// A kubeconfig with the token of a service account, good for an hour.
    ///
    /// # Panics
    /// If there is no such service account, or the file can't be written.
    #[track_caller]
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str, file: &Path) {
        let config = kubeconfig(
            self.server(),
            &self.state.files.ca,
            &serde_json::json!({ "token": self.service_account_token(namespace, name) }),
        );
        fs::write(file, config).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// A token of a service account, good for an hour.
    ///
    /// # Panics
    /// If there is no such service account.
    #[track_caller]
    pub fn service_account_token(&self, namespace: &str, name: &str) -> String {
        let kubectl = self.kubectl().in_namespace(namespace);
        let token = kubectl.run(["create", "token", name, "--duration", "1h"]).ok();
        token.text().to_owned()
    }

    /// A namespace for one test.
    pub fn namespace(&'static self) -> Namespace {
        Namespace::create(self)
    }

    /// The API server's own audit log, from now on.
    pub fn audit_log(&self) -> AuditLog {
        AuditLog::from_now(&self.state.audit_log)
    }

    /// Waits until the API server answers (again).
    ///
    /// # Panics
    /// If it never does.
    #[track_caller]
    pub fn ready(&self) -> Ran {
        crate::eventually("the API server to be ready", || {
            let ran = self.kubectl().run(["get", "--raw", "/readyz"]);
            (ran.code == Some(0)).then_some(ran)
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.is_own {
            devcluster::down(&self.state.name);
        }
    }
}

fn shared_name() -> String {
    env::var(NAME_VARIABLE).unwrap_or_else(|_| NAME.to_owned())
}

/// A kubeconfig with one context, as JSON, which is YAML too.
fn kubeconfig(server: &str, ca: &PathBuf, user: &serde_json::Value) -> String {
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    });
    config.to_string()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
