//! A pod in a test's namespace, with the ordinary clients of `tests/clients` in it if need be.
//!
//! ```no_run
//! # use mk8s_testkit::{Cluster, pod::{Client, InPod}};
//! let namespace = Cluster::shared().namespace();
//! let rules = serde_json::json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]);
//! let pod = InPod::named(&namespace, "app")
//!     .service_account("app", &rules)
//!     .with_clients()
//!     .changed_by(|pod| pod) // what is done to pods before they are made
//!     .start()
//!     .ready();
//! pod.client(Client::Go, &["crud"]).ok();
//! ```

mod builder;
mod client;

use std::{ffi::OsStr, fmt::Write as _, time::Duration};

pub use builder::Builder;
pub use client::{Client, Event, Outcome};
use serde_json::Value;

use crate::{
    Kubectl, Namespace, Ran,
    command::LIMIT,
    kubectl,
    wait::{self, PATIENCE},
};

/// The container that tests are about.
pub const CONTAINER: &str = "app";

/// A pod that was made. It goes with its namespace.
#[derive(Clone, Debug)]
pub struct InPod {
    kubectl: Kubectl,
    name: String,
}

impl InPod {
    /// A pod to be, of one container ([`CONTAINER`]) that rests, as nobody in particular and without any right on the node: what
    /// "restricted" asks of pods.
    pub fn named<'n>(namespace: &'n Namespace, name: &str) -> Builder<'n> {
        Builder::new(namespace, name)
    }

    /// Another pod by its name: one that a controller made, say.
    pub fn existing(namespace: &Namespace, name: &str) -> Self {
        Self {
            kubectl: namespace.kubectl(),
            name: name.to_owned(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the API server has of it now.
    ///
    /// # Panics
    /// If it is gone.
    #[track_caller]
    pub fn json(&self) -> Value {
        self.kubectl
            .run(["get", "pod", &self.name, "--output", "json"])
            .ok()
            .json()
    }

    /// Its phase now: `Pending`, `Running`, `Succeeded`, `Failed`.
    ///
    /// # Panics
    /// If it is gone.
    #[track_caller]
    pub fn phase(&self) -> String {
        phase(&self.json()).to_owned()
    }

    /// Waits until all its containers are ready.
    ///
    /// # Panics
    /// If they aren't in time, or it has ended.
    #[track_caller]
    #[must_use]
    pub fn ready(self) -> Self {
        self.wait(PATIENCE, "to be ready", |pod| match phase(pod) {
            ended @ ("Succeeded" | "Failed") => Err(ended.to_owned()),
            _ => Ok(has_condition(pod, "Ready")),
        });
        self
    }

    /// Waits until it has come to a phase, `Succeeded` for instance.
    ///
    /// # Panics
    /// If it doesn't within `limit`, or ends otherwise.
    #[track_caller]
    pub fn reach(&self, wanted: &str, limit: Duration) {
        self.wait(limit, wanted, |pod| match phase(pod) {
            found if found == wanted => Ok(true),
            ended @ ("Succeeded" | "Failed") => Err(ended.to_owned()),
            _ => Ok(false),
        });
    }

    /// What [`CONTAINER`] has printed so far, both outputs.
    pub fn log(&self) -> String {
        self.log_of(CONTAINER)
    }

    /// What a container has printed so far, both outputs; nothing before it is started.
    pub fn log_of(&self, container: &str) -> String {
        self.kubectl
            .run(["logs", &self.name, "--container", container])
            .stdout
    }

    /// Runs a command in [`CONTAINER`].
    ///
    /// # Panics
    /// If it takes too long.
    #[track_caller]
    pub fn exec<A: AsRef<OsStr>>(&self, command: impl IntoIterator<Item = A>) -> Ran {
        self.exec_within(LIMIT, CONTAINER, command)
    }

    /// Runs a command in a container, with a limit of its own.
    ///
    /// # Panics
    /// If it takes longer than `limit`.
    #[track_caller]
    pub fn exec_within<A: AsRef<OsStr>>(
        &self,
        limit: Duration,
        container: &str,
        command: impl IntoIterator<Item = A>,
    ) -> Ran {
        let exec = ["exec", &self.name, "--container", container, "--"].map(OsStr::new);
        let command: Vec<A> = command.into_iter().collect();
        let command = command.iter().map(AsRef::as_ref);
        self.kubectl.run_within(limit, exec.into_iter().chain(command))
    }

    /// Runs one of the ordinary clients in [`CONTAINER`], to its end: [`Builder::with_clients`] must have brought them.
    ///
    /// # Panics
    /// If it takes too long, or says nothing.
    #[track_caller]
    pub fn client(&self, client: Client, arguments: &[&str]) -> Outcome {
        Outcome::of_run(self.exec(client.command(arguments)))
    }

    /// What the client that is [`CONTAINER`]'s own command has said so far.
    pub fn client_log(&self) -> Outcome {
        Outcome::of_log(&self.log())
    }

    /// Runs the cluster's kubectl in [`CONTAINER`], with nothing but what the pod gives it: [`Builder::with_clients`] must have
    /// brought it.
    ///
    /// # Panics
    /// If it takes too long.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> Ran {
        let program = kubectl::current().as_os_str();
        self.exec([program].into_iter().chain(arguments.iter().map(OsStr::new)))
    }

    /// Deletes it, and waits until it is gone.
    ///
    /// # Panics
    /// If it can't be deleted.
    #[track_caller]
    pub fn delete(&self) {
        self.kubectl.run(["delete", "pod", &self.name]).ok();
    }

    /// Asks until the answer is yes; an error ends it early.
    #[track_caller]
    fn wait(&self, limit: Duration, what: &str, question: impl Fn(&Value) -> Result<bool, String>) {
        let answer = wait::attempt(limit, || match question(&self.json()) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(found) => Some(Err(found)),
        });
        match answer {
            Some(Ok(())) => {}
            Some(Err(found)) => panic!(
                "waited for {} {what}, but it is {found}:\n{}",
                self.name,
                self.story()
            ),
            None => panic!(
                "waited {limit:?} in vain for {} {what}:\n{}",
                self.name,
                self.story()
            ),
        }
    }

    /// All there is to say of it.
    fn story(&self) -> String {
        let mut story = self.kubectl.run(["describe", "pod", &self.name]).stdout;
        let log = ["logs", &self.name, "--all-containers", "--prefix"];
        let _ = write!(story, "\n--- logs\n{}", self.kubectl.run(log).stdout);
        story
    }
}

fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().unwrap_or_default()
}

fn has_condition(pod: &Value, kind: &str) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition["type"] == kind && condition["status"] == "True")
    })
}
