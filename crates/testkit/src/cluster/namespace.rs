//! A namespace for one test.

use std::{
    process::{self, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{Cluster, Kubectl};

/// A namespace that nobody else uses. It is deleted on drop; what is in it goes a little later.
#[derive(Debug)]
pub struct Namespace {
    cluster: &'static Cluster,
    name: String,
}

impl Namespace {
    /// Makes it, and waits until pods can be made in it.
    pub(super) fn create(cluster: &'static Cluster) -> Self {
        let name = unique();
        cluster.kubectl().run(["create", "namespace", &name]).ok();
        let namespace = Self { cluster, name };
        // The controller-manager makes the service account that pods have by default.
        crate::eventually("the default service account", || {
            let ran = namespace.kubectl().run(["get", "serviceaccount", "default"]);
            (ran.code == Some(0)).then_some(())
        });
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// kubectl as the administrator, in this namespace.
    pub fn kubectl(&self) -> Kubectl {
        self.cluster.kubectl().in_namespace(&self.name)
    }

    /// Applies manifests as the administrator.
    ///
    /// # Panics
    /// If they aren't accepted.
    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        self.kubectl().apply(yaml);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let arguments = ["delete", "namespace", &self.name, "--wait=false"];
        let mut command = self.cluster.kubectl().command(arguments);
        let _ = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// Different in each test of each process of each run.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() % 10_000_000);
    format!("t-{}-{now}-{count}", process::id())
}
