//! One watch over several clusters.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _, future,
    stream::{self, SelectAll},
};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use mk8s_lists::{Broken, Change, Failure, Kind, Malformed, Template, write_error};
use mk8s_model::ClusterName;
use mk8s_net::{Body, BoxError, gather::Gathered, status::Status};
use tokio::time::Instant;
use tracing::debug;

use crate::{
    Ask, answer,
    event::{ClusterEvent, Layout},
    feed::{Feed, Step},
    table::Columns,
    version::{Requested, Versions},
};

/// Watches what all the clusters have; a cluster that is named twice is asked once. The request is one for which
/// [`crate::spans`] says [`crate::Span::Watch`]. The answer begins when all clusters' have; failures up to then are answers
/// too, naming the cluster.
pub async fn watch(ask: Arc<dyn Ask>, clusters: Vec<ClusterName>, request: Request<Body>) -> Response<Body> {
    match begin(ask, crate::distinct(clusters), request).await {
        Ok(response) => response,
        Err(why) => why.into_response(),
    }
}

async fn begin(
    ask: Arc<dyn Ask>,
    clusters: Vec<ClusterName>,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    if clusters.is_empty() {
        return Err(Status::not_found("there is no cluster to ask").into());
    }
    let template = answer::template(request)?;
    let version = template.value("resourceVersion").unwrap_or_default();
    let requested = Requested::read(&version, &clusters).map_err(|_| {
        Status::expired(format!(
            "the resource version {version:?} is not one of these clusters; list anew, and watch from there"
        ))
    })?;
    let began = Instant::now();
    let asked = clusters.iter().map(async |cluster| {
        let request = answer::request(&template, &first_time(&requested, cluster))?;
        Feed::begin(&*ask, cluster, request).await
    });
    let feeds = future::try_join_all(asked).await?;
    let warnings: Vec<_> = feeds.iter().flat_map(|feed| feed.warnings.clone()).collect();

    let mut merged = Merged::new(ask, template, clusters, &requested, began);
    for (at, feed) in feeds.into_iter().enumerate() {
        merged.add(at, feed.steps());
    }
    let body = stream::try_unfold(merged, async |mut merged| {
        let more = merged.next().await?;
        Ok::<_, BoxError>(more.map(|more| (Frame::data(more), merged)))
    });
    let body = Gathered::new(StreamBody::new(Box::pin(body)));
    Ok(crate::answer(warnings.into_iter(), Body::boxed(body)))
}

/// What a cluster is asked otherwise than the client asked. Bookmarks are always wanted, to go on from.
fn first_time(requested: &Requested, cluster: &ClusterName) -> Vec<Change<'static>> {
    let mut changes = vec![("allowWatchBookmarks", Some("true".to_owned()))];
    if let Requested::Each(versions) = requested {
        let own = versions.of(cluster).filter(|own| !own.is_empty());
        changes.push(("resourceVersion", own.map(str::to_owned)));
    }
    changes
}

/// The events of all clusters, as they come.
struct Merged {
    ask: Arc<dyn Ask>,
    template: Template,
    steps: SelectAll<Steps>,
    clusters: Vec<Watched>,
    /// Where a client would go on that has seen all that was sent.
    versions: Versions,
    /// The columns of a table that the client knows.
    columns: Columns,
    wants_bookmarks: bool,
    /// How many clusters' initial events aren't over yet.
    initial: usize,
    /// When the client's own time is over.
    deadline: Option<Instant>,
    is_over: bool,
}

/// Each step with the cluster that it is of, by its place among them.
type Steps = Pin<Box<dyn Stream<Item = (usize, Step)> + Send>>;

struct Watched {
    cluster: ClusterName,
    /// Whether its initial events are still coming.
    is_initial: bool,
    /// Whether any object of it was sent.
    has_sent: bool,
    columns: Option<Columns>,
}

impl Merged {
    fn new(
        ask: Arc<dyn Ask>,
        template: Template,
        clusters: Vec<ClusterName>,
        requested: &Requested,
        began: Instant,
    ) -> Self {
        let mut versions = Versions::default();
        for cluster in &clusters {
            versions.set(cluster, requested.of(cluster));
        }
        let is_initial = template.flag("sendInitialEvents");
        let timeout = template.value("timeoutSeconds").and_then(|t| t.parse().ok());
        Self {
            ask,
            steps: SelectAll::new(),
            versions,
            columns: Columns::default(),
            wants_bookmarks: template.flag("allowWatchBookmarks"),
            initial: if is_initial { clusters.len() } else { 0 },
            deadline: timeout
                .filter(|seconds| *seconds > 0)
                .and_then(|seconds| began.checked_add(Duration::from_secs(seconds))),
            is_over: false,
            template,
            clusters: clusters
                .into_iter()
                .map(|cluster| Watched {
                    cluster,
                    is_initial,
                    has_sent: false,
                    columns: None,
                })
                .collect(),
        }
    }

    fn add(&mut self, at: usize, steps: impl Stream<Item = Step> + Send + 'static) {
        self.steps.push(Box::pin(steps.map(move |step| (at, step))));
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        let mut out = Vec::new();
        while out.is_empty() && !self.is_over {
            let Some((at, step)) = self.steps.next().await else {
                break;
            };
            self.take(at, step, &mut out)
                .map_err(|why| self.unreadable(at, &why))?;
        }
        Ok((!out.is_empty()).then(|| out.into()))
    }

    fn unreadable(&self, at: usize, why: &Malformed) -> BoxError {
        let cluster = &self.clusters[at].cluster;
        debug!(%cluster, error = %why, "a watch over several clusters broke off");
        format!("cluster {cluster}'s watch can't be read: {why}").into()
    }

    fn take(&mut self, at: usize, step: Step, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let cluster = &self.clusters[at].cluster;
        match step {
            Step::Event(text) => return self.event(at, &text, out),
            Step::Ended { at_once } => self.again(at, at_once),
            Step::Broken(Broken::Malformed(why)) => return Err(why),
            Step::Broken(Broken::Body(why)) => {
                debug!(%cluster, error = %why, "a watch over several clusters ends, because one's broke off");
                self.is_over = true;
            }
            Step::Refused(why) => {
                debug!(%cluster, code = %why.code(), "a watch over several clusters ends, because one's wasn't taken up again");
                if why.code() == StatusCode::GONE {
                    write_error(why.status(), out);
                }
                self.is_over = true;
            }
        }
        Ok(())
    }

    fn event(&mut self, at: usize, text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let read = ClusterEvent::parse(text)?;
        let event = &read.event;
        let watched = &mut self.clusters[at];
        if let Some(columns) = &read.columns {
            watched.columns = Some(columns.clone());
        }
        if event.kind == Kind::InitialEventsEnd && watched.is_initial {
            watched.is_initial = false;
            self.initial -= 1;
        }
        // Initial events have no order to resume from.
        if let Some(version) = event.resource_version.as_deref().filter(|_| !watched.is_initial) {
            self.versions.set(&watched.cluster, version);
        }
        let is_sent = match event.kind {
            Kind::Object => {
                watched.has_sent = true;
                true
            }
            // A client takes any bookmark's version, so there is none before there is one for all clusters.
            Kind::Bookmark | Kind::InitialEventsEnd => self.wants_bookmarks && self.initial == 0,
            Kind::Error => {
                self.is_over = true;
                true
            }
        };
        if !is_sent {
            return Ok(());
        }
        let no_columns = Columns::default();
        let layout = event.is_table().then(|| {
            let theirs = watched.columns.as_ref().unwrap_or(&no_columns);
            let are_new = self.columns.add(theirs);
            (theirs, are_new)
        });
        let layout = layout.map(|(theirs, are_new)| Layout {
            seen: &self.columns,
            theirs,
            are_new,
        });
        read.write(&watched.cluster, &self.versions.to_string(), layout, out)?;
        out.push(b'\n');
        Ok(())
    }

    /// Takes a cluster's watch up again where it ended, unless the client's time is over.
    fn again(&mut self, at: usize, at_once: bool) {
        let watched = &self.clusters[at];
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs());
        if left == Some(0) {
            return;
        }
        let version = self.versions.of(&watched.cluster).unwrap_or_default();
        // From there all would come once more, as if it were new.
        let is_nowhere = matches!(version, "" | "0") && watched.has_sent;
        if at_once || watched.is_initial || is_nowhere {
            self.is_over = true;
            return;
        }
        let mut changes = vec![
            ("allowWatchBookmarks", Some("true".to_owned())),
            (
                "resourceVersion",
                Some(version.to_owned()).filter(|v| !v.is_empty()),
            ),
            ("resourceVersionMatch", None),
            ("sendInitialEvents", None),
        ];
        if let Some(left) = left {
            changes.push(("timeoutSeconds", Some(left.to_string())));
        }
        match self.template.request(&changes) {
            Ok(request) => {
                let cluster = watched.cluster.clone();
                self.add(at, Feed::steps_of(self.ask.clone(), cluster, request));
            }
            Err(_) => self.is_over = true,
        }
    }
}
