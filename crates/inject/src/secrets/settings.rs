//! What an operator sets for the secrets of all pods.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use super::contract;
use crate::{
    quantity::Quantity,
    settings::{GroupId, Image, ImagePullPolicy, Resources, UserId},
};

/// How secrets are brought into pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretsSettings {
    /// The image of `keeper-secrets`.
    pub image: Image,
    /// When it is pulled; Kubernetes decides by the tag if this is unset.
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// The user that writes; `null` leaves it to the cluster, as OpenShift wants.
    pub uid: Option<UserId>,
    /// The group that may read, which every container of the pod is given.
    pub readers: GroupId,
    /// The containers' resources.
    pub resources: Resources,
    /// How large all files of a directory may be together.
    pub size_limit: Quantity,
    /// The hosts that may be asked for secrets. What a pod's configuration names beyond them is refused, so that nobody can
    /// have requests sent where they want.
    pub hosts: Vec<String>,
    /// The log filter.
    pub log: Option<String>,
    /// Where the sidecar serves `/metrics`; nowhere if this is unset.
    pub metrics_port: Option<NonZeroU16>,
}

impl Default for SecretsSettings {
    fn default() -> Self {
        let constant = |id: u32| GroupId::try_from(id).expect("a constant GID");
        Self {
            image: contract::DEFAULT_IMAGE.parse().expect("a constant image"),
            image_pull_policy: None,
            uid: Some(UserId::try_from(contract::DEFAULT_WRITER).expect("a constant UID")),
            readers: constant(contract::DEFAULT_READERS),
            resources: Resources::default(),
            size_limit: "16Mi".parse().expect("a constant quantity"),
            hosts: [
                "keepersecurity.com",
                "keepersecurity.eu",
                "keepersecurity.com.au",
                "keepersecurity.ca",
                "keepersecurity.jp",
                "govcloud.keepersecurity.us",
            ]
            .map(str::to_owned)
            .into(),
            log: None,
            metrics_port: None,
        }
    }
}
