//! Lists and watches of the Kubernetes API, read piece by piece while they come in.
//!
//! Whoever changes a list or a watch on its way (to merge those of several clusters, to leave out what somebody may not see)
//! takes it apart here: [`List`] gives a list's objects one by one, [`Watch`] a watch's events, and neither holds more than
//! one of them. [`Object`] reads one as far as its members and keeps their text, so that unknown fields and the digits of
//! numbers pass as they are. [`Template`] is a client's request with other parameters, [`accept`] says which forms of an
//! answer can be read here (JSON alone), and [`Failure`] is what a client gets instead.

pub mod accept;
mod event;
mod failure;
mod json;
mod list;
mod splitter;
mod template;
mod watch;

use http::{HeaderMap, Response, StatusCode, header};
use mk8s_net::{Body, BoxError};

pub use crate::{
    event::{Event, INITIAL_EVENTS_END, Kind, write_error},
    failure::{Failure, Refusal, head},
    json::{Malformed, Members, Object, write_string},
    list::{List, ListMeta, Member},
    splitter::{ListSplitter, MAX_VALUE, Piece, StreamSplitter},
    template::{Change, Template, TooLong},
    watch::Watch,
};

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// It didn't come to its end.
    #[error("{0}")]
    Body(BoxError),
    /// It isn't what it should be.
    #[error("{0}")]
    Malformed(#[from] Malformed),
}

/// An answer that isn't a success in plain JSON.
#[derive(Debug)]
pub enum Unfit {
    /// It says no; boxed, so that a `Result` with this in it stays small.
    Refused(Box<Response<Body>>),
    /// It is something else than was asked for.
    NotJson,
}

/// The head and body of an answer that says yes, in JSON that isn't packed: what can be read here.
///
/// # Errors
/// [`Unfit`] if it is anything else.
pub fn readable(response: Response<Body>) -> Result<(HeaderMap, Body), Unfit> {
    if response.status() != StatusCode::OK {
        return Err(Unfit::Refused(Box::new(response)));
    }
    let is_plain = response
        .headers()
        .get(header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding == "identity");
    if !accept::is_json(response.headers()) || !is_plain {
        return Err(Unfit::NotJson);
    }
    let (head, body) = response.into_parts();
    Ok((head.headers, body))
}
