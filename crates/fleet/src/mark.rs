//! The mark by which a client, and whoever gets the object back from it, knows an object's cluster.
//!
//! A client that writes back what it got from several clusters sends the mark along, and maybe a resource version of
//! several clusters. Neither is for a cluster to see: [`unmark`] says which cluster is meant and gives the body as that
//! cluster's own, [`remove`] does the same where the cluster is known already, and [`own_resource_version`] is for what
//! stands in a query. Bodies are JSON or Kubernetes' protobuf, in which client-go's typed clients write; anything else, a JSON
//! patch or YAML, has no mark and stays as it is.

use std::borrow::Cow;

use mk8s_lists::{Malformed, Members, Object};
use mk8s_model::ClusterName;
use mk8s_net::status::Status;

use crate::{
    metadata::{Edit, Mark},
    protobuf,
    version::{PREFIX, Versions},
};

/// The annotation that names an object's cluster.
pub const ANNOTATION: &str = "mca.k8s.io/cluster";

/// A body as one cluster's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmarked {
    /// The cluster that it was marked with.
    pub cluster: ClusterName,
    /// The body without the mark, its resource version that cluster's own.
    pub body: Vec<u8>,
}

/// Why a body can't be turned into one cluster's own.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// It can't be read.
    #[error("the body can't be read: {0}")]
    Unreadable(String),
    /// The mark is no cluster's name.
    #[error(
        "the annotation {ANNOTATION} is no cluster's name; leave it as the object had it, or take it out"
    )]
    NoCluster,
    /// The resource version is of other clusters.
    #[error("the resource version is not one of cluster {0}'s; get the object anew")]
    Foreign(ClusterName),
}

impl MarkError {
    /// How a client is told: 409 for a resource version that doesn't fit, so that it gets the object anew; else 400.
    pub fn status(&self) -> Status {
        match self {
            Self::Foreign(_) => Status::conflict(self.to_string()),
            Self::Unreadable(_) | Self::NoCluster => Status::bad_request(self.to_string()),
        }
    }
}

/// The cluster that an object is marked with; `None` if it has no mark, or is no object.
///
/// # Errors
/// [`MarkError`] if it can't be read, or the mark is no name.
pub fn cluster(body: &[u8]) -> Result<Option<ClusterName>, MarkError> {
    let parse = |name: &str| name.parse().map(Some).map_err(|_| MarkError::NoCluster);
    if let Some(body) = protobuf::Body::parse(body)? {
        return body.mark()?.map_or(Ok(None), |name| parse(&name));
    }
    let Some(object) = object(body)? else {
        return Ok(None);
    };
    let Some(metadata) = object.object("metadata")? else {
        return Ok(None);
    };
    let Some(annotations) = metadata.object("annotations")? else {
        return Ok(None);
    };
    annotations
        .string(ANNOTATION)?
        .map_or(Ok(None), |name| parse(&name))
}

/// The cluster that an object is marked with, and the object as that cluster's own; `None` if it has no mark.
///
/// # Errors
/// As [`cluster`] and [`remove`].
pub fn unmark(body: &[u8]) -> Result<Option<Unmarked>, MarkError> {
    cluster(body)?
        .map(|cluster| {
            let body = remove(body, &cluster)?.into_owned();
            Ok(Unmarked { cluster, body })
        })
        .transpose()
}

/// A body as that cluster's own: the mark taken out, and the resource version, in the metadata or in the
/// preconditions of a delete, turned back. What has neither stays as it is, byte for byte.
///
/// # Errors
/// [`MarkError`] if it can't be read, or its resource version is of other clusters.
pub fn remove<'a>(body: &'a [u8], cluster: &ClusterName) -> Result<Cow<'a, [u8]>, MarkError> {
    if !mentions_us(body) {
        return Ok(Cow::Borrowed(body));
    }
    if let Some(body) = protobuf::Body::parse(body)? {
        let version = body.resource_version()?;
        let version = version
            .as_deref()
            .map(|version| own_resource_version(version, cluster))
            .transpose()?;
        return Ok(Cow::Owned(body.edited(&taking(version.as_deref()))?));
    }
    let Some(object) = object(body)? else {
        return Ok(Cow::Borrowed(body));
    };
    let mut out = Vec::with_capacity(body.len());
    let mut members = Members::begin(&mut out);
    for (name, value) in object.iter() {
        let part = match name {
            "metadata" => object.object("metadata")?,
            "preconditions" => object.object("preconditions")?,
            _ => None,
        };
        let Some(part) = part else {
            members.text(name, value);
            continue;
        };
        let version = part.string("resourceVersion")?;
        let version = version
            .as_deref()
            .map(|version| own_resource_version(version, cluster))
            .transpose()?;
        let edit = taking(version.as_deref());
        edit.metadata(&part, members.name(name))?;
    }
    members.end();
    Ok(Cow::Owned(out))
}

/// An object with the mark: for the answer to a request that went to one cluster alone.
///
/// # Errors
/// [`MarkError::Unreadable`] if it is no object.
pub fn put(object: &[u8], cluster: &ClusterName) -> Result<Vec<u8>, MarkError> {
    let edit = Edit {
        mark: Mark::Put(cluster),
        resource_version: None,
    };
    if let Some(body) = protobuf::Body::parse(object)? {
        return body.edited(&edit);
    }
    let mut out = Vec::with_capacity(object.len() + ANNOTATION.len() + cluster.as_str().len() + 48);
    edit.object(std::str::from_utf8(object).map_err(Malformed::from)?, &mut out)?;
    Ok(out)
}

/// A resource version as that cluster's own: its part of one of several clusters, and any other as it is.
///
/// # Errors
/// [`MarkError::Foreign`] if it is one of several clusters, but not of this.
pub fn own_resource_version<'a>(version: &'a str, cluster: &ClusterName) -> Result<Cow<'a, str>, MarkError> {
    if !version.starts_with(PREFIX) {
        return Ok(Cow::Borrowed(version));
    }
    let versions = Versions::decode(version).map_err(|_| MarkError::Foreign(cluster.clone()))?;
    match versions.of(cluster) {
        Some(own) => Ok(Cow::Owned(own.to_owned())),
        None => Err(MarkError::Foreign(cluster.clone())),
    }
}

fn taking(resource_version: Option<&str>) -> Edit<'_> {
    Edit {
        mark: Mark::Take,
        resource_version,
    }
}

/// Whether there may be anything to turn back. Escaped, as no encoder writes them, both would be found in no other way
/// than by reading, so an escape counts as well.
fn mentions_us(body: &[u8]) -> bool {
    [ANNOTATION.as_bytes(), PREFIX.as_bytes(), b"\\u", b"\\/"]
        .iter()
        .any(|part| memchr::memmem::find(body, part).is_some())
}

fn object(body: &[u8]) -> Result<Option<Object<'_>>, MarkError> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Ok(None);
    }
    let text = std::str::from_utf8(body).map_err(Malformed::from)?;
    Ok(Some(Object::parse(text)?))
}

impl From<Malformed> for MarkError {
    fn from(why: Malformed) -> Self {
        Self::Unreadable(why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn east() -> ClusterName {
        "east".parse().expect("name")
    }

    fn unmarked(body: &str) -> Option<(String, String)> {
        let unmarked = unmark(body.as_bytes()).expect("readable")?;
        Some((
            unmarked.cluster.to_string(),
            String::from_utf8(unmarked.body).expect("text"),
        ))
    }

    #[test]
    fn an_object_becomes_its_clusters_own_again() {
        let of_a_list = r#"{"metadata":{"name":"x","resourceVersion":"12","annotations":{"mca.k8s.io/cluster":"east"}},"n":1.0}"#;
        let of_a_watch = r#"{"metadata":{"name":"x","resourceVersion":"mca1.east~12~west~9","annotations":{"a":"b","mca.k8s.io/cluster":"east"}}}"#;
        let escaped = r#"{"metadata":{"resourceVersion":"\u006dca1.east~12~west~9","annotations":{"mca.k8s.io\/cluster":"east"}}}"#;
        let rows = [
            (
                of_a_list,
                r#"{"metadata":{"name":"x","resourceVersion":"12"},"n":1.0}"#,
            ),
            (
                of_a_watch,
                r#"{"metadata":{"name":"x","resourceVersion":"12","annotations":{"a":"b"}}}"#,
            ),
            (escaped, r#"{"metadata":{"resourceVersion":"12"}}"#),
        ];
        for (body, expected) in rows {
            assert_eq!(
                unmarked(body),
                Some(("east".to_owned(), expected.to_owned())),
                "{body}"
            );
        }
    }

    #[test]
    fn what_has_no_mark_stays_as_it_is() {
        for body in [
            "{}",
            r#"{ "metadata" : {"annotations":null} }"#,
            r#"{"metadata":{"annotations":{"mca.k8s.io/cluster":null}}}"#,
            "[]",
            r#"[{"op":"add"}]"#,
        ] {
            assert_eq!(unmarked(body), None, "{body}");
        }
        let body = br#"{ "metadata" : { "resourceVersion" : "5" } }"#;
        assert_eq!(remove(body, &east()).expect("readable"), &body[..]);
    }

    #[test]
    fn a_delete_s_precondition_is_turned_back() {
        let body = br#"{"kind":"DeleteOptions","preconditions":{"uid":"u","resourceVersion":"mca1.east~12~west~9"}}"#;
        let own = remove(body, &east()).expect("readable");
        assert_eq!(
            &*own,
            br#"{"kind":"DeleteOptions","preconditions":{"uid":"u","resourceVersion":"12"}}"#
        );
    }

    #[test]
    fn a_version_of_other_clusters_is_a_conflict() {
        let body = br#"{"metadata":{"resourceVersion":"mca1.west~9"}}"#;
        let why = remove(body, &east()).expect_err("foreign");
        assert_eq!(why.status().code(), 409);
        let own = own_resource_version("mca1.east~7", &east()).expect("own");
        assert_eq!(own, "7");
        assert_eq!(own_resource_version("7", &east()).expect("own"), "7");
        assert_eq!(own_resource_version("0", &east()).expect("own"), "0");
    }

    #[test]
    fn a_mark_that_is_no_name_is_refused() {
        for mark in [r#""East!""#, "7", "{}", r#""""#] {
            let body = format!(r#"{{"metadata":{{"annotations":{{"mca.k8s.io/cluster":{mark}}}}}}}"#);
            let why = unmark(body.as_bytes()).expect_err("no name");
            assert_eq!(why.status().code(), 400, "{mark}");
        }
    }

    #[test]
    fn putting_the_mark_and_taking_it_is_the_identity() {
        for body in [
            r#"{"metadata":{"name":"x"}}"#,
            r#"{"metadata":{"annotations":{"a":"b"},"name":"x"},"spec":{"n":12345678901234567890}}"#,
        ] {
            let marked = put(body.as_bytes(), &east()).expect("object");
            assert_eq!(
                unmarked(std::str::from_utf8(&marked).expect("text")),
                Some(("east".to_owned(), body.to_owned()))
            );
        }
    }
}
