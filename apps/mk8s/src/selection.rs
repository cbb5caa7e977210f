//! Which cluster a command is for.

use mk8s_model::ClusterName;

use crate::{
    central_url::CentralUrl,
    context::Context,
    error::{Failure, Result},
};

/// A cluster behind a central.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) central: CentralUrl,
    pub(crate) cluster: ClusterName,
    /// kubectl's default namespace there.
    pub(crate) namespace: Option<String>,
}

impl Selection {
    /// `--cluster`, else `MK8S_CLUSTER`, else the chosen one.
    pub(crate) fn resolve(context: &Context<'_>, flag: Option<&ClusterName>) -> Result<Self> {
        Self::find(context, flag)?.ok_or_else(|| {
            Failure::new("no cluster is chosen")
                .hint("mk8s clusters list shows them, mk8s clusters use NAME chooses one")
        })
    }

    /// As [`Self::resolve`], `None` if no cluster is chosen.
    pub(crate) fn find(context: &Context<'_>, flag: Option<&ClusterName>) -> Result<Option<Self>> {
        let central = context.central()?;
        let config = &context.config;
        // The chosen cluster is the configured central's: under another central its name may be anything.
        let chosen = match context.configured_central()? {
            Some(configured) if configured == central => config.current_cluster.as_ref(),
            _ => None,
        };
        let named = match flag {
            Some(flag) => Some(flag.clone()),
            None => context.cluster_from_environment()?,
        };
        let Some(cluster) = named.or_else(|| chosen.cloned()) else {
            return Ok(None);
        };
        let namespace = if chosen == Some(&cluster) {
            config.namespace.clone()
        } else {
            None
        };
        Ok(Some(Self {
            central,
            cluster,
            namespace,
        }))
    }
}
