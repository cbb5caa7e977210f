//! One Kubernetes watch, for as long as somebody wants to know. It remembers where it is (a `resourceVersion`), and nothing that it saw.
//!
//! Only metadata is asked for, so that a change of a large object costs little. A watch that ends goes on where it was; if the API
//! server doesn't remember that any more (410), it begins anew, and says that something may have changed.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use mk8s_net::Body;
use serde::Deserialize;
use tokio::sync::Notify;

use super::{Part, ResourceUri};
use crate::{
    cluster::{ApiError, Cluster, Resource, query},
    error::ToolError,
};

/// `PartialObjectMetadata` where it is served, else the objects.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
/// How long one request watches, in seconds: a connection that died silently is found out.
const WATCHED: std::ops::RangeInclusive<u64> = 240..=300;
/// How much longer than that one that says nothing is waited for.
const GRACE: Duration = Duration::from_secs(30);
/// Bytes of one event, at most.
const LONGEST: usize = 4 << 20;
/// Between tries, with jitter.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// A watch that was let in.
pub(crate) struct Watch {
    wanted: Wanted,
    /// Where it is. None if that must be found out.
    version: Option<String>,
    /// Answered, and not yet read.
    open: Option<Stream>,
}

/// What is watched.
struct Wanted {
    cluster: Cluster,
    resource: Resource,
    namespace: Option<String>,
    labels: Option<String>,
    fields: Option<String>,
    /// How long a request may take until it is answered.
    patience: Duration,
}

/// What an API server says in a watch.
struct Stream {
    body: Body,
    buffer: BytesMut,
}

/// One event (`metav1.WatchEvent`): what we need of it.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    object: Object,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Metadata,
    /// Of a `Status`.
    code: u16,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

impl Watch {
    /// Why a log can't be watched: there is no such thing, and what it says isn't told in notifications.
    pub(crate) const NO_LOGS: &str = "a log can't be subscribed to: subscribe to the pod, and read the log";

    /// Asks whether it may, from where on, and for the watch itself. From then on no change is missed.
    pub(crate) async fn begin(
        cluster: Cluster,
        uri: &ResourceUri,
        patience: Duration,
    ) -> Result<Self, ToolError> {
        let (labels, fields) = match &uri.part {
            Part::List { labels, fields } => (labels.clone(), fields.clone()),
            // Whoever may watch only objects of some names may do this.
            Part::Object(name) => (None, Some(format!("metadata.name={name}"))),
            Part::Log { .. } => {
                return Err(ToolError::Denied(Self::NO_LOGS.to_owned()));
            }
        };
        let wanted = Wanted {
            cluster,
            resource: uri.resource(),
            namespace: uri.namespace.clone(),
            labels,
            fields,
            patience,
        };
        let mut watch = Self {
            wanted,
            version: None,
            open: None,
        };
        watch.connect().await?;
        Ok(watch)
    }

    /// Says so whenever something changed, and returns when it can't go on.
    pub(crate) async fn run(mut self, changed: &Notify) -> ToolError {
        let mut delays = delays();
        loop {
            match self.listen(changed, &mut delays).await {
                Err(error) if is_final(&error) => return error,
                // It goes on where it was, after a while.
                Err(_) | Ok(()) => {
                    tokio::time::sleep(delays.next().unwrap_or(LONGEST_DELAY)).await;
                }
            }
        }
    }

    /// Until one request's end.
    async fn listen(&mut self, changed: &Notify, delays: &mut ExponentialBackoff) -> Result<(), ToolError> {
        if self.open.is_none() {
            let had_lost_it = self.version.is_none();
            self.connect().await?;
            if had_lost_it {
                changed.notify_one();
            }
        }
        let Some(mut stream) = self.open.take() else {
            return Ok(());
        };
        let longest = Duration::from_secs(*WATCHED.end()) + GRACE;
        let until_its_end = async {
            while let Some(event) = stream.next().await? {
                *delays = self::delays();
                if event.kind == "ERROR" {
                    return Err(ApiError::Refused {
                        code: event.object.code,
                        reason: "Expired".to_owned(),
                        message: String::new(),
                    });
                }
                let version = event.object.metadata.resource_version;
                if !version.is_empty() {
                    self.version = Some(version);
                }
                if event.kind != "BOOKMARK" {
                    changed.notify_one();
                }
            }
            Ok(())
        };
        match tokio::time::timeout(longest, until_its_end).await {
            // Whatever was said in the midst of a watch: what it stands at is known no longer. (A connection that broke knows it.)
            Ok(Err(error)) => {
                if !matches!(error, ApiError::Broken(_)) {
                    self.version = None;
                }
                Ok(())
            }
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    async fn connect(&mut self) -> Result<(), ToolError> {
        (self.version, self.open) = self.wanted.connect(self.version.clone()).await?;
        Ok(())
    }
}

impl Wanted {
    /// Goes on from a version, or from now on. Neither if the API server doesn't remember that version.
    async fn connect(&self, version: Option<String>) -> Result<(Option<String>, Option<Stream>), ToolError> {
        let connected = async {
            let version = match version {
                Some(version) => version,
                None => self.now().await?,
            };
            match self.watch_from(&version).await {
                Err(ToolError::Api(ApiError::Refused { code: 410, .. })) => Ok((None, None)),
                stream => Ok((Some(version), Some(stream?))),
            }
        };
        let seconds = self.patience.as_secs();
        tokio::time::timeout(self.patience, connected)
            .await
            .unwrap_or(Err(ToolError::TimedOut { seconds }))
    }

    /// Where a watch may begin, at the cost of one object.
    async fn now(&self) -> Result<String, ToolError> {
        let query = query([
            ("limit", Some("1".to_owned())),
            ("labelSelector", self.labels.clone()),
            ("fieldSelector", self.fields.clone()),
        ]);
        let list = self
            .cluster
            .get_as(&format!("{}{query}", self.path()?), METADATA_LIST)
            .await?;
        let version = list["metadata"]["resourceVersion"].as_str();
        Ok(version.unwrap_or_default().to_owned())
    }

    async fn watch_from(&self, version: &str) -> Result<Stream, ToolError> {
        let query = query([
            ("watch", Some("true".to_owned())),
            ("allowWatchBookmarks", Some("true".to_owned())),
            ("timeoutSeconds", Some(rand::random_range(WATCHED).to_string())),
            (
                "resourceVersion",
                (!version.is_empty()).then(|| version.to_owned()),
            ),
            ("labelSelector", self.labels.clone()),
            ("fieldSelector", self.fields.clone()),
        ]);
        let body = self
            .cluster
            .stream(&format!("{}{query}", self.path()?), METADATA)
            .await?;
        Ok(Stream {
            body,
            buffer: BytesMut::new(),
        })
    }

    fn path(&self) -> Result<String, ToolError> {
        self.resource.path(self.namespace.as_deref(), None)
    }
}

/// The same for a list.
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

impl Stream {
    /// The next event; none at the end. Events are lines of JSON.
    async fn next(&mut self) -> Result<Option<Event>, ApiError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.buffer.split_to(end + 1);
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let event = serde_json::from_slice(&line);
                return event
                    .map(Some)
                    .map_err(|error| ApiError::Unreadable(error.to_string()));
            }
            if self.buffer.len() > LONGEST {
                return Err(ApiError::TooLarge(LONGEST));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| ApiError::Broken(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .without_max_times()
        .with_jitter()
        .build()
}

/// Whether asking again would be answered the same: who asks may not, or there is no such thing.
fn is_final(error: &ToolError) -> bool {
    match error {
        ToolError::Api(ApiError::Refused { code, .. }) => matches!(code, 400 | 401 | 403 | 404 | 405),
        ToolError::Api(ApiError::NotAsked(_))
        | ToolError::Arguments(_)
        | ToolError::Uri(_)
        | ToolError::Denied(_)
        | ToolError::Rejected(..)
        | ToolError::Ask(_)
        | ToolError::NoCluster(_) => true,
        ToolError::Api(_) | ToolError::TimedOut { .. } | ToolError::TooMany { .. } => false,
    }
}
