//! Lists, gets and watches of an API server, narrowed to what one caller may see.
//!
//! Whoever implements [`Ask`] asks the API server in our own name; [`list`], [`get`] and [`watch`] answer a caller with what of
//! that is in the caller's [`Scope`], and with nothing else. Where a label selector says what one may see, the API server
//! itself narrows, so that paging, tables, bookmarks and labels that change are exactly its own. Where namespaces say it, objects
//! outside of them are left out while they stream through; one object is held at a time.
//!
//! What one may not see doesn't exist: a get is answered 404, a list's count of what is left is taken out, and a `continue`,
//! which names the object that a page ends with, is sealed ([`Seal`]).
//!
//! # What fails closed
//! * Only JSON is asked for and read: plain, as a `Table`, as `PartialObjectMetadata`. A client that takes none of them is
//!   answered 406, an upstream that answers otherwise 502.
//! * An object that could be read in two ways (two `metadata`, two `namespace`) breaks the answer off.
//! * Query parameters that are not known here are left out, and known ones must not come twice.
//! * 401 and 403 of the API server are about our own rights, not the caller's: they become 503 and 500, and say which right
//!   is missing.
//!
//! # Watches whose scope changes
//! A grant may come or go while a watch runs. The upstream watch is let go then, and another begun in the new scope, with
//! initial events. What of them the client has already is left out; what is new comes as `ADDED`, what has changed as
//! `MODIFIED`, and what the client has and may not see any more as `DELETED`. For that, a watch keeps the names and versions
//! of what it has shown; one that goes on from a list asks for the names in that list when it needs them.
//!
//! A resource version from before a change is of no use after it, because the state that goes with it was another: it is
//! answered with 410 `Expired`, on which clients list anew. So that a client which is cut off in the middle of a change
//! doesn't go on from there, all that it is told in a change has versions older than [`Scoped::since`] until the change is
//! complete. When a change can't be told at all, the watch ends with 410, too.

mod asked;
mod event;
mod get;
mod list;
mod live;
mod page;
mod place;
mod seal;
mod selector;
mod shown;
mod upstream;
mod watch;

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

use http::{Request, Response};
use mk8s_net::Body;

pub use crate::{
    get::get,
    list::list,
    seal::{Seal, Unsealable},
    selector::{InvalidKey, LabelSelector},
    watch::watch,
};

/// An answer that is waited for.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>;

/// Asks the API server, in our own name.
pub trait Ask: Send + Sync + 'static {
    /// The API server's answer. `request` is a GET with a path for its URI and no body. Failures are answers too, best with a
    /// `Status` as their body.
    fn ask(&self, request: Request<Body>) -> Answered<'_>;
}

/// What of a resource one caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// Nothing at all.
    Nothing,
    /// The objects with these labels.
    Selector(LabelSelector),
    /// The objects in these namespaces. Those that are in no namespace are not among them.
    Namespaces(Arc<BTreeSet<Box<str>>>),
}

/// A scope, and since when it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scoped {
    /// What the caller may see.
    pub scope: Scope,
    /// The resource version (etcd revision) since which it holds; 0 if that is not known, and then no watch is refused for
    /// going on from before.
    ///
    /// Best read from the API server once the scope is known here: what was answered in the scope before, while the change was on
    /// its way, has older versions then. One that is a little too new does no harm; clients list once more.
    pub since: u64,
}

impl Scope {
    /// The labels that the API server is to narrow by; `None` if it needn't.
    fn selector(&self) -> Option<LabelSelector> {
        match self {
            Self::All => None,
            Self::Selector(selector) => Some(selector.clone()),
            Self::Namespaces(set) if !set.is_empty() => None,
            Self::Nothing | Self::Namespaces(_) => Some(LabelSelector::nothing()),
        }
    }

    /// The namespaces that we are to narrow to; `None` if we needn't.
    fn namespaces(&self) -> Option<&Arc<BTreeSet<Box<str>>>> {
        match self {
            Self::Namespaces(set) if !set.is_empty() => Some(set),
            _ => None,
        }
    }
}
