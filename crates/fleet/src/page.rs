//! One answer made of several clusters' lists, written while they are read.

use std::{mem, sync::Arc};

use bytes::Bytes;
use http::Request;
use mk8s_lists::{Broken, Change, Failure, ListMeta, Malformed, Member, Members, Template};
use mk8s_model::ClusterName;
use mk8s_net::{Body, BoxError};
use tracing::debug;

use crate::{
    Ask,
    answer::{self, Answer},
    failure::unreadable,
    metadata::{Edit, Mark},
    table::{Columns, Places},
    token::{self, Position, Progress},
    version::Versions,
};

/// How much is written before it is passed on, in bytes: what a TLS record holds.
const FULL: usize = 16 * 1024;

/// What a client gets of all the lists in one answer.
pub(crate) struct Page {
    ask: Arc<dyn Ask>,
    template: Template,
    /// In the order in which they are listed.
    clusters: Vec<Listed>,
    /// Which of them is being listed.
    at: usize,
    /// How many objects may still be sent; `None` for any number.
    room: Option<u64>,
    /// Of a table.
    columns: Option<Columns>,
    /// How what is listed is called: `items` or `rows`.
    listed: String,
    kind: Option<String>,
    /// Which cluster's list gives ours its members.
    first: usize,
    /// What the list has that wasn't known when it was begun.
    later: Vec<Member>,
    is_empty: bool,
    is_over: bool,
    out: Vec<u8>,
}

/// One cluster's list.
pub(crate) struct Listed {
    pub(crate) cluster: ClusterName,
    /// The list's; `None` until the cluster was heard.
    pub(crate) resource_version: Option<String>,
    /// How far the client got before this page, and then with it; `None` if the client comes for the first time.
    pub(crate) progress: Option<Progress>,
    /// The cluster's answer, once there is one.
    pub(crate) answer: Option<Answer>,
    /// How many objects of the answer the client has already.
    skip: u64,
    /// How many were sent in this page.
    sent: u64,
    remaining: Option<i64>,
    places: Option<Places>,
}

impl Listed {
    pub(crate) fn new(
        cluster: ClusterName,
        resource_version: Option<String>,
        progress: Option<Progress>,
    ) -> Self {
        let skip = match progress {
            Some(Progress::At(skip)) => skip,
            _ => 0,
        };
        Self {
            cluster,
            resource_version,
            progress,
            answer: None,
            skip,
            sent: 0,
            remaining: None,
            places: None,
        }
    }

    /// Whether the answer may be cut off in the middle: only if the rest can be had later, from a list of the same
    /// version.
    fn can_be_cut(&self) -> bool {
        let has_versions = self.resource_version.as_deref() != Some("");
        has_versions && !matches!(self.progress, Some(Progress::After(_)))
    }

    /// Takes in what the list says of itself, as far as that is known.
    fn learn(&mut self) -> Result<Option<ListMeta>, Malformed> {
        let Some(meta) = self
            .answer
            .as_ref()
            .map(|answer| answer.list.meta())
            .transpose()?
            .flatten()
        else {
            return Ok(None);
        };
        if self.resource_version.is_none() {
            self.resource_version = Some(meta.resource_version.clone().unwrap_or_default());
        }
        Ok(Some(meta))
    }
}

impl Page {
    /// A page of these clusters, the first one of which that isn't done has answered, and all that did fit together.
    pub(crate) fn begin(
        ask: Arc<dyn Ask>,
        template: Template,
        clusters: Vec<Listed>,
        room: Option<u64>,
    ) -> Result<Self, Failure> {
        let mut page = Self {
            ask,
            template,
            first: 0,
            clusters,
            at: 0,
            room,
            columns: None,
            listed: String::new(),
            kind: None,
            later: Vec::new(),
            is_empty: true,
            is_over: false,
            out: Vec::with_capacity(FULL + FULL / 4),
        };
        page.first = page
            .clusters
            .iter()
            .position(|listed| listed.answer.is_some())
            .unwrap_or_default();
        for at in 0..page.clusters.len() {
            let Some(answer) = &page.clusters[at].answer else {
                continue;
            };
            if at == page.first {
                page.listed.clone_from(&answer.list.listed);
                page.kind = answer.list.member("kind").map(str::to_owned);
            } else if let Some(why) = page.misfit(answer) {
                return Err(unreadable(&page.clusters[at].cluster, &why));
            }
            if let Some(theirs) = &answer.columns {
                page.columns.get_or_insert_default().add(theirs);
            }
            let listed = &mut page.clusters[at];
            if let Err(why) = listed.learn() {
                return Err(unreadable(&listed.cluster, &why));
            }
        }
        page.open();
        Ok(page)
    }

    /// What keeps an answer from being part of the same list.
    fn misfit(&self, answer: &Answer) -> Option<&'static str> {
        let kind = answer.list.member("kind");
        let is_other = kind.is_some() && self.kind.is_some() && kind != self.kind.as_deref();
        (is_other || answer.list.listed != self.listed)
            .then_some("it is of another kind than the other clusters'")
    }

    /// Writes what comes before the objects.
    fn open(&mut self) {
        let Some(answer) = &mut self.clusters[self.first].answer else {
            return;
        };
        let mut members = Members::begin(&mut self.out);
        for member in &answer.list.members {
            if !is_ours(&member.name) {
                members.text(&member.name, &member.value);
            }
        }
        // Metadata stays, to be looked at; whatever comes behind the objects is told from what was written.
        answer.list.members.retain(|member| is_ours(&member.name));
        if let Some(columns) = &self.columns {
            columns.write(members.name("columnDefinitions"));
        }
        members.name(&self.listed).push(b'[');
    }

    /// More of the answer; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        while self.out.len() < FULL && !self.is_over {
            self.advance().await.map_err(|why| self.broken(&why))?;
        }
        let more = mem::take(&mut self.out);
        Ok((!more.is_empty()).then(|| more.into()))
    }

    fn broken(&self, why: &Broken) -> BoxError {
        let cluster = self.clusters.get(self.at).map(|listed| &listed.cluster);
        let cluster = cluster.map(ClusterName::as_str).unwrap_or_default();
        debug!(cluster, error = %why, "a list over several clusters broke off");
        format!("cluster {cluster}'s list broke off: {why}").into()
    }

    /// Writes one object, or goes on to the next cluster, or ends.
    async fn advance(&mut self) -> Result<(), Broken> {
        let Some(listed) = self.clusters.get_mut(self.at) else {
            self.close();
            return Ok(());
        };
        if listed.progress == Some(Progress::Done) {
            self.at += 1;
            return Ok(());
        }
        let Some(answer) = &mut listed.answer else {
            if self.room == Some(0) || !self.ask_next().await {
                self.close();
            }
            return Ok(());
        };
        let Some(object) = answer.list.next().await? else {
            return self.end_of_cluster();
        };
        if listed.skip > listed.sent {
            // Counted from the list's beginning, as the position is.
            listed.sent += 1;
            return Ok(());
        }
        if self.room == Some(0) && listed.can_be_cut() {
            return self.cut().await;
        }
        self.room = self.room.map(|room| room.saturating_sub(1));
        listed.sent += 1;
        self.write(&object)
    }

    fn write(&mut self, object: &[u8]) -> Result<(), Broken> {
        let listed = &mut self.clusters[self.at];
        if !mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        let edit = Edit {
            mark: Mark::Put(&listed.cluster),
            resource_version: None,
        };
        let object = std::str::from_utf8(object).map_err(Malformed::from)?;
        if self.listed != "rows" {
            return Ok(edit.object(object, &mut self.out)?);
        }
        let places = listed.places.get_or_insert_with(|| {
            let theirs = listed.answer.as_ref().and_then(|answer| answer.columns.as_ref());
            let seen = self.columns.get_or_insert_default();
            seen.places(theirs.unwrap_or(&Columns::default()))
        });
        Ok(places.row(object, &listed.cluster, &edit, &mut self.out)?)
    }

    /// The current cluster has nothing more to say in this page.
    fn end_of_cluster(&mut self) -> Result<(), Broken> {
        let listed = &mut self.clusters[self.at];
        let meta = listed.learn()?.unwrap_or_default();
        listed.resource_version.get_or_insert_default();
        listed.progress = Some(match meta.r#continue.filter(|token| !token.is_empty()) {
            Some(token) => Progress::After(token),
            None => Progress::Done,
        });
        listed.remaining = meta.remaining_item_count;
        self.leave();
        Ok(())
    }

    /// The page is full, and the current cluster has more.
    async fn cut(&mut self) -> Result<(), Broken> {
        let listed = &mut self.clusters[self.at];
        // Lists of custom resources say last what they are, and of which version.
        let is_unnamed = self.at == self.first && self.kind.is_none();
        if (listed.resource_version.is_none() || is_unnamed)
            && let Some(answer) = &mut listed.answer
        {
            answer.list.skip_rest().await?;
        }
        if listed.resource_version.is_none() {
            listed.learn()?;
            if listed.resource_version.as_deref().unwrap_or_default().is_empty() {
                return Err(
                    Malformed::Nonsense("it has more objects than were asked for, and no version").into(),
                );
            }
        }
        listed.progress = Some(Progress::At(listed.sent));
        listed.remaining = None;
        self.leave();
        Ok(())
    }

    /// On to the next cluster.
    fn leave(&mut self) {
        if let Some(answer) = self.clusters[self.at].answer.take()
            && self.at == self.first
        {
            self.later = answer.list.members;
        }
        self.at += 1;
    }

    /// Asks the cluster whose turn it is. If it doesn't answer, or with what can't be part of what was begun, the page ends
    /// before it, and whatever is wrong is the answer to the next one.
    async fn ask_next(&mut self) -> bool {
        let listed = &self.clusters[self.at];
        let cluster = listed.cluster.clone();
        let answered = match request_for(&self.template, listed, self.room) {
            Ok(request) => Answer::open(&cluster, self.ask.ask(&cluster, request).await).await,
            Err(why) => Err(why),
        };
        let answer = match answered {
            Ok(answer) => answer,
            Err(why) => {
                debug!(%cluster, code = %why.code(), "a page ends before a cluster that doesn't answer");
                return false;
            }
        };
        let fits = match (&self.columns, &answer.columns) {
            (Some(seen), Some(theirs)) => seen.cover(theirs),
            (None, Some(_)) => false,
            (_, None) => true,
        };
        if !fits || self.misfit(&answer).is_some() {
            return false;
        }
        self.clusters[self.at].answer = Some(answer);
        true
    }

    /// Writes what comes behind the objects.
    fn close(&mut self) {
        self.is_over = true;
        self.out.extend_from_slice(b"],");
        let mut rest = Vec::new();
        let mut members = Members::begin(&mut rest);
        for member in &self.later {
            if !is_ours(&member.name) {
                members.text(&member.name, &member.value);
            }
        }
        let out = members.name("metadata");
        let mut metadata = Members::begin(out);
        let mut versions = Versions::default();
        for listed in &self.clusters {
            versions.set(
                &listed.cluster,
                listed.resource_version.as_deref().unwrap_or_default(),
            );
        }
        if !versions.are_empty() {
            metadata.string("resourceVersion", &versions.to_string());
        }
        let unfinished = |listed: &&Listed| listed.progress != Some(Progress::Done);
        if self.clusters.iter().any(|listed| unfinished(&listed)) {
            metadata.string("continue", &token::encode(&self.positions()));
            // Known if all of them know: who waits for its turn doesn't.
            let remaining: Option<i64> = self
                .clusters
                .iter()
                .filter(unfinished)
                .map(|listed| listed.remaining)
                .try_fold(0_i64, |sum, remaining| sum.checked_add(remaining?));
            if let Some(remaining) = remaining {
                metadata.text("remainingItemCount", &remaining.to_string());
            }
        }
        metadata.end();
        members.end();
        // The object was begun before.
        self.out.extend_from_slice(rest.get(1..).unwrap_or_default());
        self.out.push(b'\n');
    }

    fn positions(&self) -> Vec<Position> {
        self.clusters
            .iter()
            .map(|listed| Position {
                cluster: listed.cluster.clone(),
                resource_version: listed.resource_version.clone().unwrap_or_default(),
                progress: listed.progress.clone().unwrap_or(Progress::At(0)),
            })
            .collect()
    }
}

/// What a cluster is to be asked for its part of a page, from where the client is.
pub(crate) fn request_for(
    template: &Template,
    listed: &Listed,
    room: Option<u64>,
) -> Result<Request<Body>, Failure> {
    let mut changes: Vec<Change<'_>> = Vec::new();
    if let Some(room) = room {
        changes.push(("limit", Some(room.saturating_add(listed.skip).to_string())));
    }
    let version = listed
        .resource_version
        .clone()
        .filter(|version| !version.is_empty());
    match &listed.progress {
        None | Some(Progress::Done) => {}
        Some(Progress::After(token)) => changes.extend([
            ("continue", Some(token.clone())),
            ("resourceVersion", None),
            ("resourceVersionMatch", None),
        ]),
        // The list as it was when the first page was made, so that all pages are of one moment.
        Some(Progress::At(_)) => changes.extend([
            ("continue", None),
            (
                "resourceVersionMatch",
                version.as_ref().map(|_| "Exact".to_owned()),
            ),
            ("resourceVersion", version),
        ]),
    }
    answer::request(template, &changes)
}

/// What a list of several clusters says otherwise than each of them.
fn is_ours(name: &str) -> bool {
    matches!(name, "metadata" | "columnDefinitions" | "items" | "rows")
}
