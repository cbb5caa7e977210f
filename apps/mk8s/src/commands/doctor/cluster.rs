//! The cluster, asked with kubectl.

use mk8s_model::ClusterName;
use serde_json::Value;

use crate::{
    commands::kubectl,
    context::Context,
    error::{Failure, Result},
    home,
    output::plain,
};

/// Which cluster is asked.
pub(super) struct Cluster<'a> {
    context: &'a Context<'a>,
    cluster: Option<&'a ClusterName>,
    kube_context: Option<&'a str>,
}

/// What kubectl gave, or its complaint in one line.
pub(super) type Said<T> = std::result::Result<T, String>;

impl<'a> Cluster<'a> {
    /// The one behind central, or of this context of the user's own kubeconfig, or its current one.
    pub(super) fn new(
        context: &'a Context<'a>,
        cluster: Option<&'a ClusterName>,
        kube_context: Option<&'a str>,
    ) -> Self {
        Self {
            context,
            cluster,
            kube_context,
        }
    }

    /// What kubectl writes for these arguments. A [`Failure`] is that there is no kubectl to ask.
    pub(super) fn text(&self, arguments: &[&str], input: Option<&str>) -> Result<Said<String>> {
        let output = self.run(arguments, input)?;
        Ok(if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(kubectl::complaint(&output))
        })
    }

    /// The same, read as JSON; `-o json` is added.
    pub(super) fn json(&self, arguments: &[&str], input: Option<&str>) -> Result<Said<Value>> {
        let said = self.text(&[arguments, &["-o", "json"]].concat(), input)?;
        Ok(said.and_then(|text| {
            serde_json::from_str(&text).map_err(|error| format!("kubectl's answer can't be read: {error}"))
        }))
    }

    /// What `kubectl auth can-i` says: yes or no.
    pub(super) fn can(&self, arguments: &[&str]) -> Result<Said<bool>> {
        let output = self.run(&[&["auth", "can-i"], arguments].concat(), None)?;
        let said = String::from_utf8_lossy(&output.stdout);
        // "no" may have a reason behind it, and is an exit code, too.
        Ok(match said.split_whitespace().next() {
            Some("yes") => Ok(true),
            Some("no") => Ok(false),
            _ => Err(kubectl::complaint(&output)),
        })
    }

    fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<std::process::Output> {
        let mut command = kubectl::tool(self.context, self.cluster)?;
        if let Some(context) = self.kube_context {
            command.arg(format!("--context={context}"));
        }
        command.args(arguments);
        kubectl::finish(command, input).map_err(|error| {
            let what = arguments.first().copied().unwrap_or_default();
            Failure::new(format!(
                "can't run kubectl {}: {}",
                plain(what),
                home::reason(&error)
            ))
        })
    }
}

/// The text at a place in a document; empty if there is none.
pub(super) fn text_at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a place in a document; empty if there is none.
pub(super) fn list_at<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
