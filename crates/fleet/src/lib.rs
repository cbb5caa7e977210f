//! One Kubernetes list or watch over several clusters, answered as if it came from one API server.
//!
//! [`list`] and [`watch`] ask each cluster for its part, by way of whoever implements [`Ask`], and write one answer while
//! they read the others. Nothing is collected: an object is held while it is marked, and no longer; whoever reads slowly
//! holds all clusters back; whoever lets go of the answer lets go of theirs. Only JSON is spoken, and objects keep their
//! text: fields that nobody here knows, the digits of numbers, the order of members.
//!
//! # What is different from one cluster's answer
//! * Each object has the annotation [`mark::ANNOTATION`] with its cluster's name. Tables have the column `Cluster` after
//!   their first one, and the union of all columns.
//! * A list's `metadata` comes behind its objects. API servers write lists of built-in resources with the metadata first,
//!   those of custom resources with it last, so clients know both; and only at the end is all known that has to be in it.
//! * Failures name the cluster. One that comes before the first byte is the answer; afterwards, a list is broken off,
//!   and never looks complete.
//!
//! # Resource versions
//! A list's is made of all clusters' (`mca1.east~4711~west~815`; opaque to clients). client-go's reflector takes it from
//! there, and then from the object of each event of its watch, so:
//! * objects in *events*, and bookmarks, have the versions of all clusters as known when the event was sent. A watch that
//!   begins with one goes on where that one was: nothing is lost, nothing comes twice.
//! * objects in *lists* keep their cluster's own: nobody resumes from them, and a list needn't be read to its end before
//!   its first object can be written.
//!
//! So the same object may have either, and what is written back may, too: [`mark`] takes both. A resource version that
//! isn't of exactly these clusters is answered with 410 `Expired`, on which informers list anew; so is a `continue`.
//! Neither is a number: who compares resource versions as numbers can't be served by several clusters.
//!
//! Nor is a cluster part of an object's name: a client that keys objects by namespace and name alone, as informers do, takes
//! those of two clusters for one. It has to key them by the mark as well, or ask for names that differ.
//!
//! # Pages
//! With a `limit`, one cluster comes after the other, in the order given. On the first page all are asked at once, so
//! that its resource version is everybody's, as a reflector needs it, and so that a list of a few objects takes one round
//! trip. What doesn't fit is asked for again when its turn comes, in the version that the first page was made of
//! (`resourceVersionMatch=Exact`). A page may be shorter than asked for: it ends before a cluster that doesn't answer, and the
//! next page says why. `resourceVersion=0` lists everything, as API servers do.
//!
//! # Watches
//! Events of different clusters come in the order of their arrival. A cluster's watch that ends in the ordinary way is taken up
//! again, until the client's own `timeoutSeconds` are over; one that breaks off ends the whole, from which the client goes
//! on. The bookmark that ends initial events (`sendInitialEvents`) is sent when all clusters have sent theirs; up to then the
//! resource version says where the client began, because initial events have no order to resume from.

mod answer;
mod event;
mod failure;
mod feed;
mod list;
pub mod mark;
mod metadata;
mod page;
mod protobuf;
mod table;
mod token;
mod version;
mod watch;

use std::pin::Pin;

use http::{HeaderName, Method, Request, Response};
use mk8s_model::{ClusterName, KubeRequest, Verb};
use mk8s_net::Body;

pub use crate::{list::list, watch::watch};

/// An answer that is waited for.
pub type Asked<'a> = Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>;

/// Asks one cluster, as whoever asked us. Failures are answers too, best with a `Status` as their body.
pub trait Ask: Send + Sync + 'static {
    /// The cluster's answer. `request` has a path for its URI, no body, and the client's headers as far as they fit.
    fn ask<'a>(&'a self, cluster: &'a ClusterName, request: Request<Body>) -> Asked<'a>;
}

/// What can be asked of several clusters at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// To be answered by [`list`].
    List,
    /// To be answered by [`watch`].
    Watch,
}

/// Whether a request is a list or watch that several clusters can answer together. One by name
/// (`fieldSelector=metadata.name=…`) is: each cluster may have an object of the name.
pub fn spans(method: &Method, request: &KubeRequest<'_>) -> Option<Span> {
    let KubeRequest::Resource(resource) = request else {
        return None;
    };
    if *method != Method::GET || resource.subresource.is_some() {
        return None;
    }
    match resource.verb {
        Verb::List => Some(Span::List),
        Verb::Watch => Some(Span::Watch),
        _ => None,
    }
}

/// Each cluster once, in the order in which they are first named.
fn distinct(clusters: Vec<ClusterName>) -> Vec<ClusterName> {
    let mut distinct: Vec<ClusterName> = Vec::with_capacity(clusters.len());
    for cluster in clusters {
        if !distinct.contains(&cluster) {
            distinct.push(cluster);
        }
    }
    distinct
}

/// An answer in one body, with the warnings that the clusters gave, each once.
fn answer(warnings: impl Iterator<Item = http::HeaderValue>, body: Body) -> Response<Body> {
    const WARNING: HeaderName = http::header::WARNING;
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    mk8s_lists::head(headers);
    for warning in warnings {
        if !headers.get_all(WARNING).iter().any(|known| *known == warning) {
            headers.append(WARNING, warning);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    #[test]
    fn lists_and_watches_span_clusters() {
        let rows = [
            ("GET", "/api/v1/pods", Some(Span::List)),
            ("GET", "/api/v1/namespaces/x/pods", Some(Span::List)),
            ("GET", "/api/v1/namespaces", Some(Span::List)),
            ("GET", "/apis/example.com/v1/things?limit=5", Some(Span::List)),
            (
                "GET",
                "/api/v1/pods?fieldSelector=metadata.name%3Dx",
                Some(Span::List),
            ),
            ("GET", "/api/v1/pods?watch=1", Some(Span::Watch)),
            ("GET", "/api/v1/watch/pods", Some(Span::Watch)),
            ("GET", "/api/v1/watch/namespaces/x/pods/y", Some(Span::Watch)),
            ("HEAD", "/api/v1/pods", None),
            ("GET", "/api/v1/namespaces/x/pods/y", None),
            ("GET", "/api/v1/namespaces/x/pods/y/log", None),
            ("POST", "/api/v1/namespaces/x/pods", None),
            ("DELETE", "/api/v1/namespaces/x/pods", None),
            ("GET", "/api/v1", None),
            ("GET", "/version", None),
        ];
        for (method, uri, expected) in rows {
            let method: Method = method.parse().expect("method");
            let uri: Uri = uri.parse().expect("uri");
            let request = KubeRequest::classify(&method, &uri).expect("request");
            assert_eq!(spans(&method, &request), expected, "{method} {uri}");
        }
    }
}
