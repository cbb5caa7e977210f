//! What an operator sets for all pods: the values of the webhook's chart, the flags of `mk8s inject`.

use std::{collections::BTreeMap, num::NonZeroU16, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{contract, options::Options, quantity::Quantity};

/// How sidecars are made, unless a pod's annotations say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The sidecar's image.
    pub image: Image,
    /// When the image is pulled; Kubernetes decides by the tag if this is unset.
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// The sidecar's UID. `null` leaves it to the cluster, as OpenShift wants.
    pub uid: Option<UserId>,
    /// The sidecar's GID. `null` leaves it to the cluster.
    pub gid: Option<GroupId>,
    /// The sidecar's resources.
    pub resources: Resources,
    /// The sidecar's log filter.
    pub log: Option<String>,
    /// Where the sidecar serves `/metrics`; nowhere if this is unset.
    pub metrics_port: Option<NonZeroU16>,
    /// Where the sidecar stands among the init containers.
    pub order: Order,
    /// What else the sidecar does.
    pub options: Options,
    /// Audiences of tokens that the cluster's API server accepts besides those projected without an audience. A token of
    /// one of these leads past the sidecar, so that a pod which projects one gets a warning.
    pub api_audiences: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: Image(contract::DEFAULT_IMAGE.to_owned()),
            image_pull_policy: None,
            uid: Some(UserId(contract::DEFAULT_ID)),
            gid: Some(GroupId(contract::DEFAULT_ID)),
            resources: Resources::default(),
            log: None,
            metrics_port: None,
            order: Order::First,
            options: Options::default(),
            api_audiences: vec![
                "https://kubernetes.default.svc".to_owned(),
                "https://kubernetes.default.svc.cluster.local".to_owned(),
            ],
        }
    }
}

/// Resources, as in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// What the scheduler sets aside.
    pub requests: BTreeMap<Resource, Quantity>,
    /// What the kubelet enforces.
    pub limits: BTreeMap<Resource, Quantity>,
}

impl Default for Resources {
    fn default() -> Self {
        let quantity = |text: &str| text.parse().expect("a constant quantity");
        Self {
            requests: [
                (Resource::Cpu, quantity("10m")),
                (Resource::Memory, quantity("16Mi")),
            ]
            .into(),
            limits: [(Resource::Memory, quantity("128Mi"))].into(),
        }
    }
}

impl Resources {
    /// As they stand in a container.
    pub(crate) fn to_json(&self) -> Value {
        let mut value = json!({});
        for (key, quantities) in [("requests", &self.requests), ("limits", &self.limits)] {
            for (resource, quantity) in quantities {
                value[key][resource.as_str()] = quantity.as_str().into();
            }
        }
        value
    }
}

/// What can be requested and limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Processor time, in cores.
    Cpu,
    /// Memory, in bytes.
    Memory,
    /// Logs and the writable layer, in bytes.
    EphemeralStorage,
}

impl Resource {
    /// As it stands in a pod.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::EphemeralStorage => "ephemeral-storage",
        }
    }
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImagePullPolicy {
    /// At every start.
    Always,
    /// Unless the node has it.
    IfNotPresent,
    /// The node must have it.
    Never,
}

impl ImagePullPolicy {
    /// As it stands in a pod.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Where the sidecar stands among the init containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Before all others, which then reach the API through it.
    First,
    /// After all others, which then reach the API not at all.
    Last,
}

/// The name of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Image(String);

/// A value of a setting that can't be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSetting {
    /// Empty, or with spaces.
    #[error("{0:?} is no image; write it like registry.example.com/mk8s/mca-proxy:1.2.3")]
    Image(String),
    /// No UID that a container which isn't root can have.
    #[error(
        "{0:?} is no UID for the sidecar; write a number from 1 to 2147483647 (0 is root, and is refused)"
    )]
    User(String),
    /// No GID.
    #[error("{0:?} is no GID for the sidecar; write a number from 0 to 2147483647")]
    Group(String),
}

impl Image {
    /// The image's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Image {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let is_odd = |c: char| c.is_whitespace() || c.is_control();
        if text.is_empty() || text.len() > 1024 || text.contains(is_odd) {
            return Err(InvalidSetting::Image(shown(text)));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Image {
    type Error = InvalidSetting;

    fn try_from(text: String) -> Result<Self, InvalidSetting> {
        text.parse()
    }
}

impl From<Image> for String {
    fn from(image: Image) -> Self {
        image.0
    }
}

/// The largest UID and GID that Kubernetes takes.
const LARGEST_ID: u32 = i32::MAX.unsigned_abs();

/// A UID other than root's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct UserId(u32);

/// A GID; that of root is an ordinary one, as on OpenShift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct GroupId(u32);

impl TryFrom<u32> for UserId {
    type Error = InvalidSetting;

    fn try_from(id: u32) -> Result<Self, InvalidSetting> {
        let is_possible = (1..=LARGEST_ID).contains(&id);
        is_possible
            .then_some(Self(id))
            .ok_or_else(|| InvalidSetting::User(id.to_string()))
    }
}

impl TryFrom<u32> for GroupId {
    type Error = InvalidSetting;

    fn try_from(id: u32) -> Result<Self, InvalidSetting> {
        (id <= LARGEST_ID)
            .then_some(Self(id))
            .ok_or_else(|| InvalidSetting::Group(id.to_string()))
    }
}

impl FromStr for UserId {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let id = text
            .parse::<u32>()
            .map_err(|_| InvalidSetting::User(shown(text)))?;
        id.try_into()
    }
}

impl FromStr for GroupId {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let id = text
            .parse::<u32>()
            .map_err(|_| InvalidSetting::Group(shown(text)))?;
        id.try_into()
    }
}

impl From<UserId> for u32 {
    fn from(id: UserId) -> Self {
        id.0
    }
}

impl From<GroupId> for u32 {
    fn from(id: GroupId) -> Self {
        id.0
    }
}

/// As much of a text as belongs into a message.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
