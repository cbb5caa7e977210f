//! One page of a list, narrowed to namespaces while it streams through.
//!
//! The API server's pages are asked for as long as the client's has room, at least [`MIN_PAGE`] objects at a time, so that a
//! client which asks for few isn't sent through all that it may not see in empty pages. A page of ours may then end within one
//! of theirs; the next one begins where theirs began, and leaves out what was passed before. At one resource version a page
//! is always the same, so nothing is lost and nothing comes twice.

use std::{collections::BTreeSet, mem, sync::Arc};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use mk8s_lists::{Broken, Failure, List, ListMeta, Malformed, Member, Members, Object};
use mk8s_net::{Body, BoxError, status::Status};
use tracing::debug;

use crate::{
    asked::Asked,
    list::expired,
    place::{Place, in_row, with_member},
    seal::{Position, Seal},
    upstream::{Upstream, answer, unreadable},
};

/// How much is written before it is passed on, in bytes: what a TLS record holds.
const FULL: usize = 16 * 1024;
/// How many objects the API server is asked for at least, where the client wants pages.
const MIN_PAGE: u64 = 500;

/// What a client gets in one answer.
pub(crate) struct Page {
    upstream: Upstream,
    asked: Asked,
    namespaces: Arc<BTreeSet<Box<str>>>,
    seal: Seal,
    headers: HeaderMap,
    /// The API server's page that is being read.
    list: List,
    /// Where that page begins, and how much of it the client has from before.
    from: Position,
    /// How many objects of that page were passed by.
    passed: u64,
    /// What the API server's first page has behind its objects; `None` while it is being read.
    later: Option<Vec<Member>>,
    /// Whether the list's kind was written before its objects.
    has_kind: bool,
    /// How many the client wants at most; `None` for any number.
    limit: Option<u64>,
    /// How many of them are still to come.
    room: Option<u64>,
    /// Whether a table's rows are to be without their objects.
    is_bare: bool,
    is_empty: bool,
    is_over: bool,
    out: Vec<u8>,
}

impl Page {
    /// The page that the client asks for, whose first part the API server has answered.
    pub(crate) async fn begin(
        upstream: Upstream,
        asked: Asked,
        namespaces: Arc<BTreeSet<Box<str>>>,
        seal: Seal,
    ) -> Result<Self, Failure> {
        let version = asked.value("resourceVersion").unwrap_or_default();
        let token = asked.value("continue").filter(|token| !token.is_empty());
        let from = match token {
            None => Position::default(),
            Some(_) if !matches!(&*version, "" | "0") => {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                )
                .into());
            }
            Some(token) => seal.open(&asked.path, &token).ok_or_else(expired)?,
        };
        let limit = asked.value("limit").unwrap_or_default();
        let limit =
            match limit.as_str() {
                "" => None,
                limit => Some(limit.parse::<u64>().map_err(|_| {
                    Status::bad_request(format!("limit: {limit:?} is not a number of objects"))
                })?),
            };
        // API servers answer with everything when any version will do, whatever the limit.
        let is_any = version == "0" && from == Position::default();
        let limit = limit.filter(|limit| *limit > 0 && !is_any);
        let (headers, body) = upstream.ask("list", request(&asked, &from, limit)?).await?;
        let list = List::open(body).await.map_err(|why| unreadable(&why))?;
        let is_bare = asked.value("includeObject").as_deref() == Some("None") && list.listed == "rows";
        let mut page = Self {
            upstream,
            asked,
            namespaces,
            seal,
            headers,
            list,
            from,
            passed: 0,
            later: None,
            has_kind: false,
            limit,
            room: limit,
            is_bare,
            is_empty: true,
            is_over: false,
            out: Vec::with_capacity(FULL + FULL / 4),
        };
        page.open().map_err(|why| unreadable(&why))?;
        Ok(page)
    }

    /// The whole answer.
    pub(crate) fn into_response(mut self) -> Response<Body> {
        let headers = mem::take(&mut self.headers);
        let body = stream::try_unfold(self, async |mut page| {
            let more = page.next().await?;
            Ok::<_, BoxError>(more.map(|more| (Frame::data(more), page)))
        });
        answer(&headers, Body::boxed(StreamBody::new(Box::pin(body))))
    }

    /// Writes what comes before the objects. The list's metadata comes behind them, when it is known how the page ends: API
    /// servers write lists of custom resources so, and clients know both.
    fn open(&mut self) -> Result<(), Malformed> {
        check(&self.list)?;
        let mut members = Members::begin(&mut self.out);
        for member in &self.list.members {
            if member.name != "metadata" {
                members.text(&member.name, &member.value);
            }
        }
        members.name(&self.list.listed).push(b'[');
        self.has_kind = self.list.member("kind").is_some();
        // Written; whatever comes behind the objects is told from it.
        self.list.members.retain(|member| member.name == "metadata");
        Ok(())
    }

    /// More of the answer; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        while self.out.len() < FULL && !self.is_over {
            self.advance().await.map_err(|why| {
                debug!(error = %why, "a narrowed list broke off");
                BoxError::from(format!("the list broke off: {why}"))
            })?;
        }
        let more = mem::take(&mut self.out);
        Ok((!more.is_empty()).then(|| more.into()))
    }

    /// Passes one object, or goes on to the API server's next page, or ends.
    async fn advance(&mut self) -> Result<(), Broken> {
        let Some(object) = self.list.next().await? else {
            return self.end_of_theirs().await;
        };
        if self.from.skip > self.passed {
            self.passed += 1;
            return Ok(());
        }
        let text = std::str::from_utf8(&object).map_err(Malformed::from)?;
        let object = Object::parse(text)?;
        let is_row = self.list.listed == "rows";
        let place = if is_row {
            Place::of(&in_row(&object)?)?
        } else {
            Place::of(&object)?
        };
        if !place.is_in(&self.namespaces) {
            self.passed += 1;
            return Ok(());
        }
        if self.room == Some(0) && self.can_be_cut().await? {
            return self.cut();
        }
        self.passed += 1;
        self.room = self.room.map(|room| room.saturating_sub(1));
        if !mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        if is_row && self.is_bare {
            with_member(&object, "object", b"null", &mut self.out);
        } else {
            self.out.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }

    /// Whether the rest can be had later: only of a list that has a version.
    async fn can_be_cut(&mut self) -> Result<bool, Broken> {
        let is_unnamed = self.later.is_none() && !self.has_kind;
        if self.list.member("metadata").is_none() || is_unnamed {
            // Lists of custom resources say last what they are, and of which version. Whatever is left of this page is read again then.
            self.list.skip_rest().await?;
            self.learn()?;
            if self.from.version.is_empty() {
                return Err(
                    Malformed::Nonsense("it has more objects than were asked for, and no version").into(),
                );
            }
            return Ok(true);
        }
        self.learn()?;
        Ok(!self.from.version.is_empty())
    }

    /// Takes in what the API server's page says of itself.
    fn learn(&mut self) -> Result<ListMeta, Malformed> {
        check(&self.list)?;
        let meta = self.list.meta()?.unwrap_or_default();
        if self.from.version.is_empty() {
            self.from.version = meta.resource_version.clone().unwrap_or_default();
        }
        Ok(meta)
    }

    /// The client's page is full, and there is more to be seen.
    fn cut(&mut self) -> Result<(), Broken> {
        let next = Position {
            skip: self.passed,
            ..self.from.clone()
        };
        self.close(Some(&next))
    }

    /// The API server's page is over.
    async fn end_of_theirs(&mut self) -> Result<(), Broken> {
        let meta = self.learn()?;
        let Some(token) = meta.r#continue.filter(|token| !token.is_empty()) else {
            return self.close(None);
        };
        let next = Position {
            token,
            version: self.from.version.clone(),
            skip: self.from.skip.saturating_sub(self.passed),
        };
        if self.room == Some(0) {
            return self.close(Some(&next));
        }
        match self.ask_next(&next).await {
            Ok(list) => {
                self.leave();
                self.list = list;
                self.from = next;
                self.passed = 0;
                Ok(())
            }
            // The page ends before what there is no answer to, and the next one says why.
            Err(why) => {
                debug!(code = %why.code(), "a narrowed page ends early");
                self.close(Some(&next))
            }
        }
    }

    async fn ask_next(&mut self, next: &Position) -> Result<List, Failure> {
        let request = request(&self.asked, next, self.limit)?;
        let (_, body) = self.upstream.ask("list", request).await?;
        let list = List::open(body).await.map_err(|why| unreadable(&why))?;
        if list.listed != self.list.listed {
            return Err(unreadable(&"its second page is of another kind than its first"));
        }
        Ok(list)
    }

    /// Keeps what the API server's first page has behind its objects; the other pages say the same.
    fn leave(&mut self) {
        let members = mem::take(&mut self.list.members);
        let (metadata, later) = members.into_iter().partition(|member| member.name == "metadata");
        self.list.members = metadata;
        self.later.get_or_insert(later);
    }

    /// Writes what comes behind the objects.
    fn close(&mut self, next: Option<&Position>) -> Result<(), Broken> {
        self.is_over = true;
        let token = next
            .map(|next| self.seal.seal(&self.asked.path, next))
            .transpose()
            .map_err(|why| Broken::Body(why.into()))?;
        self.leave();
        let mut rest = Vec::new();
        let mut members = Members::begin(&mut rest);
        for member in self.later.iter().flatten() {
            members.text(&member.name, &member.value);
        }
        let out = members.name("metadata");
        let mut metadata = Members::begin(out);
        let theirs = self.list.member("metadata").unwrap_or("{}");
        let theirs = if theirs == "null" { "{}" } else { theirs };
        for (name, value) in Object::parse(theirs)?.iter() {
            if !matches!(name, "continue" | "remainingItemCount") {
                metadata.text(name, value);
            }
        }
        if let Some(token) = token {
            metadata.string("continue", &token);
        }
        metadata.end();
        members.end();
        self.out.extend_from_slice(b"],");
        // The object was begun before.
        self.out.extend_from_slice(rest.get(1..).unwrap_or_default());
        self.out.push(b'\n');
        Ok(())
    }
}

/// What the API server is asked for, from this position on.
fn request(asked: &Asked, from: &Position, limit: Option<u64>) -> Result<Request<Body>, Failure> {
    let mut changes = Vec::new();
    // Some rows wouldn't say which namespace they are of.
    if asked.value("includeObject").as_deref() == Some("None") {
        changes.push(("includeObject", Some("Metadata".to_owned())));
    }
    changes.push(("limit", limit.map(|limit| limit.max(MIN_PAGE).to_string())));
    let token = Some(from.token.clone()).filter(|token| !token.is_empty());
    let is_first = token.is_none();
    changes.push(("continue", token));
    if !is_first {
        changes.extend([("resourceVersion", None), ("resourceVersionMatch", None)]);
    } else if !from.version.is_empty() {
        // The first page as it was.
        changes.extend([
            ("resourceVersion", Some(from.version.clone())),
            ("resourceVersionMatch", Some("Exact".to_owned())),
        ]);
    }
    asked.request(&changes)
}

/// What must not be there twice, and what would be taken for the objects by whoever reads on.
fn check(list: &List) -> Result<(), Malformed> {
    let metadata = list.members.iter().filter(|member| member.name == "metadata");
    if metadata.count() > 1 {
        return Err(Malformed::Twice("metadata"));
    }
    let mut names = list.members.iter().map(|member| member.name.as_str());
    if names.any(|name| matches!(name, "items" | "rows")) {
        return Err(Malformed::Nonsense("it has two lists in it"));
    }
    Ok(())
}
