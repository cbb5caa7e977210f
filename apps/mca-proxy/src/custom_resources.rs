//! Clusters and routes as custom resources in the pod's own namespace, read in the service account's name.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use backon::{ConstantBuilder, Retryable as _};
use http::Request;
use http_body_util::{BodyExt as _, Limited};
use mk8s_net::Body;
use mk8s_proxy::Direct;
use mk8s_routing::{API_VERSION, Source};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Notify;
use tracing::{debug, warn};

/// How long all objects of a kind may be together.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long a watch lasts before it is begun anew.
const WATCH_SECONDS: u64 = 290;
/// The pause before trying again.
const PAUSE: Duration = Duration::from_secs(5);
/// At the start: how long to wait before asking again, and how often.
const AGAIN: Duration = Duration::from_secs(1);
const TIMES: usize = 20;
/// Changes that come together are taken over together.
const TOGETHER: Duration = Duration::from_millis(200);
/// The kinds, and what stands for each in a path.
const KINDS: [(&str, &str); 2] = [("Cluster", "clusters"), ("Route", "routes")];

/// Where they are.
#[derive(Clone, Debug)]
pub(crate) struct CustomResources {
    api_server: Arc<Direct>,
    namespace: String,
}

#[derive(Deserialize)]
struct List {
    metadata: ListMetadata,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemMetadata,
    #[serde(default)]
    spec: Value,
}

#[derive(Deserialize)]
struct ItemMetadata {
    name: String,
}

impl CustomResources {
    /// Those of a namespace.
    pub(crate) fn new(api_server: Arc<Direct>, namespace: String) -> Self {
        Self {
            api_server,
            namespace,
        }
    }

    /// [`Self::read`], patiently: an API server that is starting, is busy, or has only just heard of these kinds or of our rights
    /// refuses at first.
    pub(crate) async fn read_at_start(&self) -> anyhow::Result<Vec<Source>> {
        let patience = ConstantBuilder::default().with_delay(AGAIN).with_max_times(TIMES);
        (|| self.read())
            .retry(patience)
            .notify(|why: &anyhow::Error, _| {
                warn!(error = format!("{why:#}"), "can't read clusters and routes yet");
            })
            .await
    }

    /// All of them, in the order of their names.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<Source>> {
        let mut sources = Vec::new();
        for (kind, plural) in KINDS {
            let list = self.list(plural).await?;
            sources.extend(
                list.items
                    .iter()
                    .map(|item| Source::custom_resource(kind, plural, &item.metadata.name, &item.spec)),
            );
        }
        Ok(sources)
    }

    /// Says whenever one of them may have changed, for as long as the sidecar runs.
    pub(crate) async fn follow(self, changed: Arc<Notify>) {
        let [clusters, routes] = KINDS.map(|(_, plural)| self.follow_kind(plural, &changed));
        tokio::join!(clusters, routes);
    }

    async fn follow_kind(&self, plural: &str, changed: &Notify) {
        loop {
            match self.until_changed(plural, changed).await {
                Ok(false) => continue,
                Ok(true) => tokio::time::sleep(TOGETHER).await,
                Err(error) => {
                    debug!(%error, plural, "can't watch; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            changed.notify_one();
        }
    }

    /// Watches until something happens (true) or the watch is over (false).
    async fn until_changed(&self, plural: &str, changed: &Notify) -> anyhow::Result<bool> {
        let from = self.list(plural).await?.metadata.resource_version;
        // What happened since they were last read and before this is no event of the watch: they must be read from here on.
        changed.notify_one();
        let path = format!(
            "{}?watch=1&resourceVersion={from}&timeoutSeconds={WATCH_SECONDS}",
            self.path(plural)
        );
        let response = self.ask(&path).await?;
        let mut body = response.into_body();
        // No bookmarks were asked for: whatever is said is a change.
        while let Some(frame) = body.frame().await {
            let is_said = frame
                .map_err(anyhow::Error::from_boxed)?
                .data_ref()
                .is_some_and(|data| !data.is_empty());
            if is_said {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn list(&self, plural: &str) -> anyhow::Result<List> {
        let path = self.path(plural);
        let response = self.ask(&path).await?;
        let body = Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await
            .map_err(anyhow::Error::from_boxed)
            .with_context(|| path.clone())?;
        serde_json::from_slice(&body.to_bytes()).with_context(|| path)
    }

    async fn ask(&self, path: &str) -> anyhow::Result<http::Response<mk8s_net::link::LinkBody>> {
        let request = Request::get(path).body(Body::empty())?;
        let response = self
            .api_server
            .ask_as_self(request)
            .await
            .map_err(anyhow::Error::from_boxed)?;
        match response.status().as_u16() {
            200 => Ok(response),
            403 => bail!(
                "{path}: the pod's service account may not get, list and watch it: bind it to the ClusterRole that the chart makes"
            ),
            404 => bail!("{path}: there are no such custom resources here: install deploy/helm/mk8s/crds"),
            code => bail!("{path} was answered {code}"),
        }
    }

    fn path(&self, plural: &str) -> String {
        format!("/apis/{API_VERSION}/namespaces/{}/{plural}", self.namespace)
    }
}
