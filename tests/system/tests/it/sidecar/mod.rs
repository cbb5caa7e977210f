//! The sidecar on a real API server: as a process beside the tests, and, where that matters, in pods.

mod cache;
pub(crate) mod custom_resources;
mod identity;
mod lifecycle;
mod pods;
mod routes;
mod traces;
mod traffic;

use std::fs;

use mk8s_testkit::{Cluster, Namespace, Sidecar, eventually};

/// A sidecar of a service account that may do this in a namespace of its own.
fn sidecar_with(rules: &str) -> (Namespace, Sidecar) {
    let (namespace, sidecar) = prepared_with(rules);
    let mut sidecar = sidecar;
    sidecar.start_again();
    (namespace, sidecar)
}

/// The same, not running yet.
fn prepared_with(rules: &str) -> (Namespace, Sidecar) {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace();
    account(&namespace, rules);
    let sidecar = Sidecar::prepare(cluster, namespace.name(), "app");
    (namespace, sidecar)
}

/// The service account `app`, which may do this.
fn account(namespace: &Namespace, rules: &str) {
    namespace.apply(&format!(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: app}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: app}}
rules: {rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: app}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: app}}
subjects: [{{kind: ServiceAccount, name: app, namespace: {name}}}]
",
        name = namespace.name()
    ));
}

/// Everything about the objects of a namespace.
const ALL: &str = "[{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]";

/// The process of a pod's sidecar on this machine, by the pod's UID.
pub(crate) fn process_of(uid: &str) -> u32 {
    // Cgroups spell it either way.
    let spellings = [uid.to_owned(), uid.replace('-', "_")];
    eventually("the sidecar's process", || {
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        ids.into_iter().find(|id| {
            let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
            read("comm").trim() == "mca-proxy" && {
                let cgroup = read("cgroup");
                spellings.iter().any(|uid| cgroup.contains(uid))
            }
        })
    })
}
