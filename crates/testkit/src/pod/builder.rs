//! Making a pod.

use std::{fmt, path::Path};

use serde_json::{Value, json};

use super::{CONTAINER, InPod, client};
use crate::{Namespace, cluster::devcluster, workspace};

/// The image that every node of `tools/devcluster` has; its command rests until told to end.
const IMAGE: &str = "localhost/mk8s/busybox:dev";
/// Nobody.
const USER: u32 = 65534;

type Hook = Box<dyn FnOnce(Value) -> Value>;

/// A pod to be; [`InPod::named`] begins one.
pub struct Builder<'n> {
    namespace: &'n Namespace,
    name: String,
    account: Option<(String, Value)>,
    pod: Value,
    hooks: Vec<Hook>,
}

impl<'n> Builder<'n> {
    pub(super) fn new(namespace: &'n Namespace, name: &str) -> Self {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {}, "annotations": {}},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": CONTAINER,
                    "image": IMAGE,
                    "imagePullPolicy": "Never",
                    // Programs keep caches where they may write.
                    "env": [{"name": "HOME", "value": "/tmp"}],
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": USER,
                        "readOnlyRootFilesystem": true,
                        "allowPrivilegeEscalation": false,
                        "capabilities": {"drop": ["ALL"]},
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
        });
        Self {
            namespace,
            name: name.to_owned(),
            account: None,
            pod,
            hooks: Vec::new(),
        }
    }

    /// Runs as a service account that may do what these rules of a Role say. Both are made; pods may share an account if their
    /// rules are the same.
    #[must_use]
    pub fn service_account(mut self, name: &str, rules: &Value) -> Self {
        self.pod["spec"]["serviceAccountName"] = name.into();
        self.account = Some((name.to_owned(), rules.clone()));
        self
    }

    /// A label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.pod["metadata"]["labels"][name] = value.into();
        self
    }

    /// An annotation.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.pod["metadata"]["annotations"][name] = value.into();
        self
    }

    /// Another image.
    #[must_use]
    pub fn image(mut self, image: &str) -> Self {
        self.container()["image"] = image.into();
        self
    }

    /// What the container runs in place of resting. When that ends, so does the pod.
    #[must_use]
    pub fn command<A: Into<String>>(mut self, command: impl IntoIterator<Item = A>) -> Self {
        self.container()["command"] = command.into_iter().map(Into::into).collect();
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        push(
            &mut self.container()["env"],
            json!({"name": name, "value": value}),
        );
        self
    }

    /// A volume, `{"emptyDir": {}}` for instance, and where it is mounted.
    #[must_use]
    pub fn volume(mut self, name: &str, source: &Value, mount_path: &str, read_only: bool) -> Self {
        let mut volume = source.clone();
        volume["name"] = name.into();
        push(&mut self.pod["spec"]["volumes"], volume);
        push(
            &mut self.container()["volumeMounts"],
            json!({"name": name, "mountPath": mount_path, "readOnly": read_only}),
        );
        self
    }

    /// Brings the ordinary clients and kubectl: [`InPod::client`] and [`InPod::kubectl`] run them, or [`Builder::command`] with
    /// [`Client::command`](super::Client::command). They, Python and Node are the host's files.
    ///
    /// # Panics
    /// If the clients can't be built; the message says what is missing.
    #[must_use]
    pub fn with_clients(self) -> Self {
        let host = |path: &Path| json!({"hostPath": {"path": path, "type": "Directory"}});
        let devcluster = devcluster::program().parent().expect("a file is in a directory");
        // Its wrapper names devcluster by the path that it has on the host.
        let path = devcluster.to_str().expect("a path that is text");
        let mut builder = self
            .volume("clients", &host(&workspace::clients()), client::DIRECTORY, true)
            .volume("kubectl", &host(devcluster), path, true);
        let libraries = [
            ("usr", "/usr", "/usr"),
            ("lib", "/usr/lib", "/lib"),
            ("lib64", "/usr/lib64", "/lib64"),
        ];
        for (name, from, to) in libraries {
            // Not every architecture has them all.
            if Path::new(from).is_dir() {
                builder = builder.volume(name, &host(Path::new(from)), to, true);
            }
        }
        builder
    }

    /// Changes the pod's JSON just before it is made, after whatever else was said of it.
    #[must_use]
    pub fn changed_by(mut self, hook: impl FnOnce(Value) -> Value + 'static) -> Self {
        self.hooks.push(Box::new(hook));
        self
    }

    /// The pod as it will be made.
    pub fn into_json(self) -> Value {
        self.hooks.into_iter().fold(self.pod, |pod, hook| hook(pod))
    }

    /// Makes what it needs, and not the pod: for templates.
    ///
    /// # Panics
    /// If the API server doesn't accept it.
    #[track_caller]
    #[must_use]
    pub fn prepare(self) -> Self {
        if let Some((name, rules)) = &self.account {
            self.namespace.apply(&account(name, rules).to_string());
        }
        self
    }

    /// Makes it, and what it needs; doesn't wait.
    ///
    /// # Panics
    /// If the API server doesn't accept it.
    #[track_caller]
    pub fn start(self) -> InPod {
        let prepared = self.prepare();
        let in_pod = InPod::existing(prepared.namespace, &prepared.name);
        let pod = prepared.into_json().to_string();
        in_pod
            .kubectl
            .run_with(["create", "--filename", "-"], pod.as_bytes())
            .ok();
        in_pod
    }

    fn container(&mut self) -> &mut Value {
        &mut self.pod["spec"]["containers"][0]
    }
}

impl fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("account", &self.account)
            .field("pod", &self.pod)
            .finish_non_exhaustive()
    }
}

/// A service account that may do what these rules say.
fn account(name: &str, rules: &Value) -> Value {
    let metadata = json!({ "name": name });
    let group = "rbac.authorization.k8s.io";
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": format!("{group}/v1"),
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name}],
        },
    ]})
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().expect("a list").push(item);
}
