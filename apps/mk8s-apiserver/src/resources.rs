//! What can be listed across the namespaces that one has rights in, and what the API server says of it.

use mk8s_model::GroupResource;

/// What a resource is called here: `mypods`.
pub(crate) fn own_name(resource: &GroupResource) -> String {
    format!("my{}", resource.resource)
}

/// A resource as the API server serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) resource: GroupResource,
    /// The version that is asked for, which is the one that the API server prefers.
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
}

impl Served {
    /// The path of all of them.
    pub(crate) fn path(&self) -> String {
        self.resource.path(&self.version)
    }
}
