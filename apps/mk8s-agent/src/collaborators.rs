//! What the one path asks for, in an agent: one cluster. Central has decided already, and writes the events down.

use mk8s_model::ClusterName;
use mk8s_proxy::{Clusters, Unroutable, Upstream};

/// The one cluster there is.
pub(crate) struct OnlyCluster(pub(crate) Upstream);

impl Clusters for OnlyCluster {
    fn upstream(&self, _: &ClusterName) -> Result<Upstream, Unroutable> {
        Ok(self.0.clone())
    }
}
