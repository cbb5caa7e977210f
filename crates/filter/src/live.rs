//! A watch as it runs: in one scope, and then in another.

use std::{mem, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use mk8s_lists::{Broken, Change, Event, Failure, Kind, List, Malformed, Object, Watch, write_error};
use mk8s_net::{BoxError, status::Status};
use tokio::{sync::watch::Receiver, time::Instant};
use tracing::debug;

use crate::{
    Scope, Scoped,
    asked::Asked,
    event::{Form, object_of},
    place::Place,
    shown::{Known, Shown},
    upstream::{Upstream, unreadable},
    watch::expired,
};

/// The most that is held back in a change, in bytes.
const MAX_HELD: usize = 4 << 20;

/// One client's watch.
pub(crate) struct Live {
    upstream: Upstream,
    asked: Asked,
    scoped: Receiver<Scoped>,
    /// That of the API server's watch.
    scope: Scope,
    watch: Watch,
    /// What the client has; `None` as long as it goes on from a list, which we haven't seen.
    shown: Option<Shown>,
    /// The newest resource version that the watch has come to.
    version: String,
    /// While the state in a new scope is told.
    change: Option<Changing>,
    /// Whether the client waits for the bookmark that ends its initial events.
    owes_end: bool,
    wants_bookmarks: bool,
    /// When the client's own time is over.
    deadline: Option<Instant>,
    form: Form,
    is_over: bool,
    out: Vec<u8>,
}

/// A change of the scope that the client hasn't been told the whole of.
struct Changing {
    since: u64,
    /// What must not be told before: by its version, a client would think that it has all the rest.
    /// Events with their versions.
    held: Vec<(u64, Bytes)>,
    size: usize,
}

/// Whether an event is shown, and how.
enum Shows {
    As(&'static str),
    Later,
    Not,
}

impl Live {
    /// Begins the API server's watch.
    ///
    /// # Errors
    /// What the API server said instead.
    pub(crate) async fn begin(
        upstream: Upstream,
        asked: Asked,
        scoped: Receiver<Scoped>,
        scope: Scope,
    ) -> Result<(HeaderMap, Self), Failure> {
        let began = Instant::now();
        let timeout = asked.value("timeoutSeconds").and_then(|t| t.parse().ok());
        let version = asked.value("resourceVersion").unwrap_or_default();
        let wants_initial = asked.flag("sendInitialEvents");
        // From nothing in particular, API servers send what there is, unless they are told not to.
        let is_from_nothing = matches!(&*version, "" | "0") && asked.value("sendInitialEvents").is_none();
        let (headers, body) = upstream.ask("watch", first(&asked, &scope)?).await?;
        let live = Self {
            upstream,
            scoped,
            scope,
            watch: Watch::new(body),
            shown: (wants_initial || is_from_nothing).then(Shown::default),
            version,
            change: None,
            owes_end: wants_initial,
            wants_bookmarks: asked.flag("allowWatchBookmarks"),
            deadline: timeout
                .filter(|seconds| *seconds > 0)
                .and_then(|seconds| began.checked_add(Duration::from_secs(seconds))),
            form: Form::new(asked.value("includeObject").as_deref() == Some("None")),
            is_over: false,
            out: Vec::new(),
            asked,
        };
        Ok((headers, live))
    }

    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        while self.out.is_empty() && !self.is_over {
            // A change first: nothing of the old scope is shown once it is known.
            tokio::select! {
                biased;
                changed = self.scoped.changed() => match changed {
                    Ok(()) => self.change().await,
                    Err(_) => self.is_over = true,
                },
                event = self.watch.next() => self.step(event)?,
            }
        }
        let more = mem::take(&mut self.out);
        Ok((!more.is_empty()).then(|| more.into()))
    }

    fn step(&mut self, event: Result<Option<Bytes>, Broken>) -> Result<(), BoxError> {
        let taken = match event {
            Ok(Some(text)) => self.event(&text).map_err(Broken::from),
            Ok(None) if self.change.is_none() => {
                self.is_over = true;
                Ok(())
            }
            Ok(None) => {
                self.give_up(&"the API server's watch ended within its initial events");
                Ok(())
            }
            Err(why) => Err(why),
        };
        match taken {
            Ok(()) => Ok(()),
            Err(why) if self.change.is_some() => {
                self.give_up(&why);
                Ok(())
            }
            Err(why) => {
                debug!(error = %why, "a narrowed watch broke off");
                Err(format!("the watch broke off: {why}").into())
            }
        }
    }

    fn event(&mut self, text: &[u8]) -> Result<(), Malformed> {
        let event = Event::parse(text)?;
        if event.kind == Kind::Error {
            if self.change.is_some() {
                self.give_up(&"the API server's watch failed within its initial events");
            } else {
                write_error(event.text.as_bytes(), &mut self.out);
                self.is_over = true;
            }
            return Ok(());
        }
        self.form.learn(&event)?;
        if let Some(version) = &event.resource_version {
            self.come_to(version);
        }
        match event.kind {
            Kind::InitialEventsEnd => {
                self.complete()?;
                let ends_initial = mem::take(&mut self.owes_end);
                if self.wants_bookmarks {
                    self.form.bookmark(&event, ends_initial, &mut self.out)?;
                }
            }
            // One within a change would have the client go on from there.
            Kind::Bookmark if self.wants_bookmarks && self.change.is_none() => {
                self.form.bookmark(&event, true, &mut self.out)?;
            }
            Kind::Bookmark | Kind::Error => {}
            Kind::Object => self.object(&event)?,
        }
        Ok(())
    }

    fn object(&mut self, event: &Event<'_>) -> Result<(), Malformed> {
        let in_row = object_of(event)?;
        let place = Place::of(in_row.as_ref().unwrap_or(&event.object))?;
        if let Some(namespaces) = self.scope.namespaces()
            && !place.is_in(namespaces)
        {
            return Ok(());
        }
        if place.name.is_empty() {
            return Err(Malformed::Nonsense("an event's object has no name"));
        }
        match self.shows(event.name, &place)? {
            Shows::Not => Ok(()),
            Shows::As(name) => self.form.write(event, name, &mut self.out),
            Shows::Later => self.hold(event),
        }
    }

    /// Whether and how an event is shown, with what the client has then taken down.
    fn shows(&mut self, name: &str, place: &Place<'_>) -> Result<Shows, Malformed> {
        let is_held = self.change.as_ref().is_some_and(|change| change.holds(place));
        let Some(shown) = &mut self.shown else {
            return type_of(name).map(Shows::As);
        };
        let name = match (type_of(name)?, &self.change) {
            ("DELETED", None) => {
                shown.remove(place);
                return Ok(Shows::As("DELETED"));
            }
            (name, None) => name,
            ("ADDED", Some(_)) => match shown.find(place) {
                Known::Exactly => return Ok(Shows::Not),
                Known::Otherwise if is_held => return Ok(Shows::Later),
                Known::Otherwise => "MODIFIED",
                Known::Not if is_held => return Ok(Shows::Later),
                Known::Not => "ADDED",
            },
            // Not of the initial events, and so from after all of them.
            (_, Some(_)) => return Ok(Shows::Later),
        };
        shown.put(place);
        Ok(Shows::As(name))
    }

    fn hold(&mut self, event: &Event<'_>) -> Result<(), Malformed> {
        let Some(change) = &mut self.change else {
            return Ok(());
        };
        let mut text = format!(r#"{{"type":{},"object":"#, event.name).into_bytes();
        text.extend_from_slice(event.text.as_bytes());
        text.push(b'}');
        change.size += text.len();
        if change.size > MAX_HELD {
            return Err(Malformed::Nonsense(
                "more has changed meanwhile than is held back",
            ));
        }
        let version = event.resource_version.as_deref().unwrap_or_default();
        change
            .held
            .push((version.parse().unwrap_or(u64::MAX), text.into()));
        Ok(())
    }

    /// All that there is in the new scope was told, but for what was held back.
    fn complete(&mut self) -> Result<(), Malformed> {
        let (Some(mut change), Some(shown)) = (self.change.take(), &mut self.shown) else {
            return Ok(());
        };
        for gone in shown.end_round()? {
            let version = change.version_before(&gone.version);
            self.form.gone(&gone, &version, &mut self.out);
        }
        // Initial events come in any order; in this one, a client has all up to the last that it got.
        change.held.sort_by_key(|(version, _)| *version);
        for (_, text) in change.held {
            let event = Event::parse(&text)?;
            let in_row = object_of(&event)?;
            let place = Place::of(in_row.as_ref().unwrap_or(&event.object))?;
            let name = match (type_of(event.name)?, shown.find(&place)) {
                ("DELETED", Known::Not) | ("ADDED" | "MODIFIED", Known::Exactly) => continue,
                ("DELETED", _) => {
                    shown.remove(&place);
                    "DELETED"
                }
                (_, known) => {
                    shown.put(&place);
                    if known == Known::Not { "ADDED" } else { "MODIFIED" }
                }
            };
            self.form.write(&event, name, &mut self.out)?;
        }
        Ok(())
    }

    /// Goes over to the scope that holds now.
    async fn change(&mut self) {
        let Scoped { scope, since } = self.scoped.borrow_and_update().clone();
        if scope == self.scope {
            if let Some(change) = &mut self.change {
                change.since = change.since.max(since);
            }
            return;
        }
        // The API server's watch in the old scope is let go before anything is asked.
        self.watch = Watch::new(mk8s_net::Body::empty());
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs());
        if left == Some(0) {
            self.is_over = true;
            return;
        }
        if let Err(why) = self.begin_in(scope, since, left).await {
            let why = String::from_utf8_lossy(why.status()).into_owned();
            self.give_up(&why);
        }
    }

    async fn begin_in(&mut self, scope: Scope, since: u64, left: Option<u64>) -> Result<(), Failure> {
        if self.shown.is_none() {
            self.shown = Some(self.listed().await?);
        }
        let mut changes = changes(&self.asked, &scope);
        changes.extend([
            ("sendInitialEvents", Some("true".to_owned())),
            ("resourceVersionMatch", Some("NotOlderThan".to_owned())),
            ("resourceVersion", Some(self.version.clone())),
        ]);
        if let Some(left) = left {
            changes.push(("timeoutSeconds", Some(left.to_string())));
        }
        let request = self.asked.request(&changes)?;
        let (_, body) = self.upstream.ask("watch", request).await?;
        self.watch = Watch::new(body);
        self.scope = scope;
        if let Some(shown) = &mut self.shown {
            shown.begin_round();
        }
        self.change = Some(Changing {
            since,
            held: Vec::new(),
            size: 0,
        });
        Ok(())
    }

    /// What a client has that went on from a list: what there was to be seen when the watch had come to where it is.
    async fn listed(&mut self) -> Result<Shown, Failure> {
        let mut shown = Shown::default();
        if matches!(self.scope, Scope::Nothing) {
            return Ok(shown);
        }
        if matches!(&*self.version, "" | "0") {
            return Err(Status::expired("it isn't known from where this watch goes on").into());
        }
        let mut changes: Vec<Change<'_>> = [
            "allowWatchBookmarks",
            "continue",
            "includeObject",
            "limit",
            "pretty",
            "sendInitialEvents",
            "timeoutSeconds",
            "watch",
        ]
        .map(|key| (key, None))
        .to_vec();
        changes.extend([
            ("resourceVersion", Some(self.version.clone())),
            ("resourceVersionMatch", Some("Exact".to_owned())),
        ]);
        changes.extend(self.asked.narrowed(&self.scope));
        let request = self.asked.metadata(&self.asked.path, &changes)?;
        let (_, body) = self.upstream.ask("list", request).await?;
        let unreadable = |why: Broken| unreadable(&why);
        let mut list = List::open(body).await.map_err(unreadable)?;
        while let Some(item) = list.next().await.map_err(unreadable)? {
            let taken = take_down(&item, &self.scope, &mut shown);
            taken.map_err(|why| unreadable(why.into()))?;
        }
        Ok(shown)
    }

    /// Ends the watch so that the client lists anew.
    fn give_up(&mut self, why: &dyn std::fmt::Display) {
        debug!(%why, "a watch ends, because a change of its scope can't be told");
        self.change = None;
        write_error(&expired().to_json(), &mut self.out);
        self.is_over = true;
    }

    /// Initial events come in any order, so the newest version counts.
    fn come_to(&mut self, version: &str) {
        let is_older = match (version.parse::<u64>(), self.version.parse::<u64>()) {
            (Ok(version), Ok(known)) => version < known,
            _ => false,
        };
        if !is_older {
            version.clone_into(&mut self.version);
        }
    }
}

impl Changing {
    /// Whether an object's version is one that a client could go on from, and believe that it has all up to there.
    fn holds(&self, place: &Place<'_>) -> bool {
        self.since > 0
            && place
                .version
                .parse::<u64>()
                .is_ok_and(|version| version >= self.since)
    }

    /// This version, or the newest that no client can go on from.
    fn version_before(&self, version: &str) -> String {
        match version.parse::<u64>() {
            Ok(number) if self.since > 1 && number >= self.since => (self.since - 1).to_string(),
            _ => version.to_owned(),
        }
    }
}

fn first(asked: &Asked, scope: &Scope) -> Result<http::Request<mk8s_net::Body>, Failure> {
    asked.request(&changes(asked, scope))
}

/// What the API server is asked otherwise than the client asked. Bookmarks are always wanted, to know where a watch is.
fn changes(asked: &Asked, scope: &Scope) -> Vec<Change<'static>> {
    let mut changes = vec![("allowWatchBookmarks", Some("true".to_owned()))];
    changes.extend(asked.narrowed(scope));
    // Some rows wouldn't say which object they are of.
    if asked.value("includeObject").as_deref() == Some("None") {
        changes.push(("includeObject", Some("Metadata".to_owned())));
    }
    changes
}

fn take_down(item: &[u8], scope: &Scope, shown: &mut Shown) -> Result<(), Malformed> {
    let object = Object::parse(std::str::from_utf8(item)?)?;
    let place = Place::of(&object)?;
    if scope
        .namespaces()
        .is_none_or(|namespaces| place.is_in(namespaces))
    {
        shown.put(&place);
    }
    Ok(())
}

fn type_of(name: &str) -> Result<&'static str, Malformed> {
    match name {
        r#""ADDED""# => Ok("ADDED"),
        r#""MODIFIED""# => Ok("MODIFIED"),
        r#""DELETED""# => Ok("DELETED"),
        _ => Err(Malformed::Nonsense("an event is of no known type")),
    }
}
