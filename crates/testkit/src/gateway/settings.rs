//! What can be different about a gateway.

use std::path::Path;

use super::Ports;

/// What is different about a gateway.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub(super) central_yaml: String,
    pub(super) variables: Vec<(String, String)>,
    pub(super) address: Option<String>,
}

impl Settings {
    /// With these lines more in central's configuration: whole top-level keys (`roles`, `auth`, `database`).
    #[must_use]
    pub fn with_yaml(mut self, yaml: &str) -> Self {
        self.central_yaml.push_str(yaml);
        self.central_yaml.push('\n');
        self
    }

    /// With a variable more in central's environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Reachable at this address too, as [`Cluster::host_address`](crate::Cluster::host_address): for agents in pods.
    #[must_use]
    pub fn reachable_at(mut self, address: &str) -> Self {
        self.address = Some(address.to_owned());
        self
    }

    pub(super) fn central_yaml(&self, ports: Ports, data_directory: &Path) -> String {
        let (bind, name) = match &self.address {
            None => ("127.0.0.1", String::new()),
            Some(address) => ("0.0.0.0", format!(", \"{address}\"")),
        };
        format!(
            "server:\n  bind: {bind}\n  http_port: {}\n  grpc_port: {}\n  names: [localhost, 127.0.0.1{name}]\ndata_dir: {}\n{}",
            ports.http,
            ports.grpc,
            data_directory.display(),
            self.central_yaml,
        )
    }
}
