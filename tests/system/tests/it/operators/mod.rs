//! Operators with client certificates, through `mk8s-front-proxy`, and the lists of `mk8s-apiserver` that show them their own.

mod bad_input;
mod central;
mod certificates;
mod installed;
mod lists;
mod live;
mod rotation;
mod streams;
mod tools;

use std::path::Path;

use mk8s_testkit::{Aggregated, Cluster, FrontProxy, Kubectl, Program};
use uuid::Uuid;

/// What pods are listed by, beside namespaces.
const REROUTES: &str = "reroutes:\n\
  - {resource: namespaces, verbs: [get, list, watch], to: /apis/custom.api.local/v1/mynamespace}\n\
  - {resource: pods, verbs: [list, watch], to: /apis/custom.api.local/v1/mypods}\n\
  - {resource: deployments.apps, verbs: [list, watch], to: /apis/custom.api.local/v1/mydeployments}\n";

/// A cluster with an aggregated API, a front proxy before it, and what one test has put into the cluster.
struct Operators {
    cluster: &'static Cluster,
    aggregated: Aggregated,
    proxy: FrontProxy,
    directory: tempfile::TempDir,
    /// Goes into all names that this test makes.
    mark: String,
    /// `kubectl delete` of these when the test ends.
    made: Vec<(&'static str, String)>,
}

impl Operators {
    fn start() -> Self {
        let cluster = Cluster::for_one_at_a_time();
        let directory = tempfile::tempdir().expect("a directory");
        let aggregated = Aggregated::start(cluster, "cache_seconds: 2");
        let account = FrontProxy::account(cluster, directory.path());
        Self {
            cluster,
            aggregated,
            proxy: FrontProxy::start(&account, REROUTES),
            directory,
            mark: Uuid::new_v4().simple().to_string()[..8].to_owned(),
            made: Vec::new(),
        }
    }

    fn admin(&self) -> Kubectl {
        self.cluster.kubectl()
    }

    /// A name that no other test has.
    fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.mark)
    }

    /// A namespace of a team.
    fn namespace(&mut self, what: &str, team: &str) -> String {
        let name = self.name(what);
        self.admin().apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{team: {team}, what: {what}}}}}\n"
        ));
        self.made.push(("namespace", name.clone()));
        name
    }

    /// A pod, which nobody runs: this cluster has no node.
    fn pod(&self, namespace: &str, name: &str) {
        self.admin().apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{automountServiceAccountToken: false, containers: [{{name: c, image: none}}]}}\n"
        ));
    }

    /// Binds a ClusterRole to somebody everywhere.
    fn bind(&mut self, role: &str, user: &str) -> String {
        let name = self.name(&format!("{role}-{user}"));
        let admin = self.admin();
        admin
            .run([
                "create",
                "clusterrolebinding",
                &name,
                "--clusterrole",
                role,
                "--user",
                user,
            ])
            .ok();
        self.made.push(("clusterrolebinding", name.clone()));
        name
    }

    /// kubectl as the administrator of everything, as a member of a team, as somebody without any right.
    fn olga(&mut self) -> Kubectl {
        let user = self.name("olga");
        self.bind("cluster-admin", &user);
        self.proxy.kubectl_as(&user, &["platform-admins"])
    }

    /// Runs `kubectl get … --watch`, whose lines are its log.
    fn watch(&self, kubectl: &Kubectl, arguments: &[&str]) -> Program {
        let all = [&["get"], arguments, &["--watch", "--output-watch-events"]].concat();
        let log = self.directory.path().join(Uuid::new_v4().to_string());
        Program::start("kubectl", &kubectl.command(all), &log)
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        for (kind, name) in &self.made {
            self.admin()
                .run(["delete", kind, name, "--wait=false", "--ignore-not-found"]);
        }
    }
}

/// The names in `kubectl get … -o name`, without their kind.
fn names(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = text
        .lines()
        .map(|line| line.rsplit('/').next().unwrap_or_default())
        .collect();
    names.sort_unstable();
    names
}

/// The lines of a watch that speak of this name: `ADDED …`.
fn events<'a>(log: &'a str, name: &str) -> Vec<&'a str> {
    log.lines()
        .filter(|line| {
            line.split_whitespace()
                .any(|word| word == name || word.ends_with(&format!("/{name}")))
        })
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

/// A kubeconfig of a front proxy whose API server is at an address.
fn kubeconfig_at(directory: &Path, server: &str, ca_pem: &str) -> std::path::PathBuf {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let file = directory.join("elsewhere.kubeconfig");
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": server, "certificate-authority-data": BASE64_STANDARD.encode(ca_pem)}}],
        "users": [{"name": "x", "user": {"token": "none"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    std::fs::write(&file, text.to_string()).expect("written");
    file
}
