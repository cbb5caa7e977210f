//! One watch, from its opening to its end.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use mk8s_net::Body;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::{End, GuardKey, LINGER};
use crate::{
    Ask,
    event::{Event, Lines, Seen},
    inner::Inner,
    kept::Kept,
    state::Tick,
    version,
};

/// How long an API server may take to begin a watch.
const OPENING: Duration = Duration::from_secs(30);
/// How long a watch lives. Then it ends with what it guards, and the next answer begins another.
const LIFETIME: Duration = Duration::from_secs(600);
/// How soon the state in which the watch of an object begins must be there.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(5);

/// Objects without what is in them: we look at their names. Who can't do that sends them whole.
const ACCEPT: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json");
const USER_AGENT: HeaderValue = HeaderValue::from_static("mca-proxy/cache");

/// Watches for the answer `first` and those after it, until nothing is kept any more or the watch ends.
pub(crate) async fn run<A: Ask>(
    cache: Weak<Inner>,
    ask: A,
    guard: Tick,
    key: Arc<GuardKey>,
    first: Arc<Kept>,
) {
    let mut ending = Ending {
        cache: cache.clone(),
        guard,
        key: key.clone(),
        end: End::Ended,
    };
    let Some(version) = version::of(first, key.subject.name.is_none()).await else {
        ending.end = End::Refused;
        return;
    };
    let Ok(response) = timeout(OPENING, open(&ask, &key, &version)).await else {
        return;
    };
    if let Err(end) = opened(&response) {
        tracing::debug!(status = %response.status(), subject = ?key.subject, "no watch for the cache");
        ending.end = end;
        return;
    }
    let watch = Watch {
        cache,
        guard,
        key,
        version,
    };
    let lived = timeout(LIFETIME + CONFIRMED_WITHIN, watch.follow(response.into_body())).await;
    if let Ok(Err(why)) = lived {
        tracing::debug!(why, "a watch for the cache ended");
    }
}

async fn open<A: Ask>(ask: &A, key: &GuardKey, version: &str) -> Response<Body> {
    let mut request = Request::new(Body::empty());
    let Ok(uri) = key.path_and_query(version, LIFETIME).parse() else {
        // Nothing in it is unescaped: only its length can be wrong.
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::URI_TOO_LONG;
        return response;
    };
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, ACCEPT);
    headers.insert(header::USER_AGENT, USER_AGENT);
    for (name, values) in &key.who.acting_as {
        for value in values {
            headers.append(name, value.clone());
        }
    }
    ask.ask(key.cluster().clone(), request).await
}

fn opened(response: &Response<Body>) -> Result<(), End> {
    let is_json = || {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
            && !response.headers().contains_key(header::CONTENT_ENCODING)
    };
    match response.status() {
        StatusCode::OK if is_json() => Ok(()),
        StatusCode::OK => Err(End::Refused),
        StatusCode::GONE | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(End::Ended),
        status if status.is_client_error() => Err(End::Refused),
        _ => Err(End::Ended),
    }
}

/// A watch that was opened.
struct Watch {
    cache: Weak<Inner>,
    guard: Tick,
    key: Arc<GuardKey>,
    /// That of the answer for which it was opened.
    version: String,
}

impl Watch {
    async fn follow(&self, mut body: Body) -> Result<(), &'static str> {
        let mut lines = Lines::default();
        let mut is_confirmed = self.key.subject.name.is_none();
        let unconfirmed = tokio::time::sleep(CONFIRMED_WITHIN);
        tokio::pin!(unconfirmed);
        let mut look_around = interval_at(Instant::now() + LINGER, LINGER / 3);
        look_around.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                frame = body.frame() => {
                    let frame = match frame {
                        None => return Err("it was closed"),
                        Some(Err(_)) => return Err("it broke off"),
                        Some(Ok(frame)) => frame,
                    };
                    let Some(data) = frame.data_ref() else { continue };
                    lines.push(data)?;
                    while let Some(line) = lines.next() {
                        is_confirmed |= self.see(Event::read(line)?)?;
                    }
                }
                () = &mut unconfirmed, if !is_confirmed => return Err("the object isn't there any more"),
                _ = look_around.tick() => {
                    let Some(cache) = self.cache.upgrade() else { return Ok(()) };
                    if cache.end_if_idle(self.guard) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Whether it was about an object.
    fn see(&self, event: Event) -> Result<bool, &'static str> {
        let changed = match event.seen() {
            Seen::Changed(changed) => changed,
            Seen::Bookmark => return Ok(false),
            Seen::Error => return Err("it said that something is wrong"),
        };
        // The state in which it begins, or one on the way there, is the one that is kept.
        let is_known = self.key.subject.name.is_some()
            && !changed.is_deleted
            && changed.version.as_deref() == Some(&*self.version)
            && changed.name.as_deref() == self.key.subject.name.as_deref();
        if !is_known && let Some(cache) = self.cache.upgrade() {
            cache.changed(&self.key, changed);
        }
        Ok(true)
    }
}

/// Says that the watch ended, however it did: also when its task is given up.
struct Ending {
    cache: Weak<Inner>,
    guard: Tick,
    key: Arc<GuardKey>,
    end: End,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(cache) = self.cache.upgrade() {
            cache.guard_ended(self.guard, &self.key, self.end);
        }
    }
}
