//! By what a kept answer is found again, and what it is about.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use mk8s_model::ClusterName;

/// Whoever asks, as far as the door knows: opaque here, and compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityKey(Arc<str>);

impl IdentityKey {
    /// A key that no other identity has: the pod's service account, say, with its namespace.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self(key.into())
    }
}

/// Whoever asks, altogether.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    pub(crate) identity: IdentityKey,
    /// The request's `Impersonate-*` headers: names sorted, the values of one name in the order they were sent in.
    pub(crate) acting_as: Vec<(HeaderName, Vec<HeaderValue>)>,
}

/// By what a kept answer is found again. Compared field by field.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) cluster: ClusterName,
    pub(crate) who: Arc<Who>,
    pub(crate) path_and_query: Box<str>,
    pub(crate) accept: Vec<HeaderValue>,
    pub(crate) accept_encoding: Vec<HeaderValue>,
}

/// What an answer is about. Two versions of a resource are the same objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) cluster: ClusterName,
    pub(crate) group: Box<str>,
    pub(crate) version: Box<str>,
    pub(crate) resource: Box<str>,
    /// The namespace; none for all of them, and for what is in none.
    pub(crate) namespace: Option<Box<str>>,
    /// The object; none for a list.
    pub(crate) name: Option<Box<str>>,
}

/// A cluster's resource, whatever the group: some objects are there in two (Events), and to forget too much does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Table {
    pub(crate) cluster: ClusterName,
    pub(crate) resource: Box<str>,
}

/// What a change reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of a cluster.
    Cluster(ClusterName),
    /// Objects of one resource, and the lists that could hold them.
    Objects {
        table: Table,
        /// Those of one namespace; none for all.
        namespace: Option<Box<str>>,
        /// One of them; none for all.
        name: Option<Box<str>>,
    },
}

impl Who {
    pub(crate) fn new(identity: &IdentityKey, headers: &HeaderMap) -> Self {
        let mut names: Vec<&HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with("impersonate-"))
            .collect();
        names.sort_by_key(|name| name.as_str());
        let acting_as = names
            .into_iter()
            .map(|name| (name.clone(), values(headers, name)))
            .collect();
        Self {
            identity: identity.clone(),
            acting_as,
        }
    }
}

impl Key {
    /// Roughly what it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        let of_values = |values: &[HeaderValue]| values.iter().map(|v| v.len() + 64).sum::<usize>();
        let acting_as: usize = self
            .who
            .acting_as
            .iter()
            .map(|(name, values)| name.as_str().len() + of_values(values))
            .sum();
        self.path_and_query.len() + of_values(&self.accept) + of_values(&self.accept_encoding) + acting_as
    }
}

impl Subject {
    pub(crate) fn table(&self) -> Table {
        Table {
            cluster: self.cluster.clone(),
            resource: self.resource.clone(),
        }
    }
}

impl Reach {
    /// Whether an answer about `subject` could have become another one.
    pub(crate) fn reaches(&self, subject: &Subject) -> bool {
        match self {
            Self::Cluster(cluster) => *cluster == subject.cluster,
            Self::Objects {
                table,
                namespace,
                name,
            } => {
                table.resource == subject.resource
                    && table.cluster == subject.cluster
                    && may_be_equal(namespace.as_deref(), subject.namespace.as_deref())
                    && may_be_equal(name.as_deref(), subject.name.as_deref())
            }
        }
    }
}

/// All values of a header. Copied, because one that came from a connection holds on to all that was read with it.
pub(crate) fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<HeaderValue> {
    headers.get_all(name).iter().map(copied).collect()
}

pub(crate) fn copied(value: &HeaderValue) -> HeaderValue {
    // Its bytes were a value's before.
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

fn may_be_equal(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(identity: &str, headers: &[(&'static str, &'static str)]) -> Who {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Who::new(&IdentityKey::new(identity), &map)
    }

    #[test]
    fn whoever_differs_in_anything_is_somebody_else() {
        let jane = [
            ("impersonate-user", "jane"),
            ("impersonate-group", "a"),
            ("impersonate-group", "b"),
        ];
        let others = [
            who("sb", &jane),
            who("sa", &[]),
            who(
                "sa",
                &[
                    ("impersonate-user", "joe"),
                    ("impersonate-group", "a"),
                    ("impersonate-group", "b"),
                ],
            ),
            who(
                "sa",
                &[
                    ("impersonate-user", "jane"),
                    ("impersonate-group", "b"),
                    ("impersonate-group", "a"),
                ],
            ),
            who(
                "sa",
                &[("impersonate-user", "jane"), ("impersonate-group", "a,b")],
            ),
            who("sa", &[("impersonate-user", "jane"), ("impersonate-group", "ab")]),
            who(
                "sa",
                &[
                    ("impersonate-user", "jane"),
                    ("impersonate-uid", "a"),
                    ("impersonate-group", "b"),
                ],
            ),
            who(
                "sa",
                &[
                    ("impersonate-user", "jane"),
                    ("impersonate-extra-group", "a"),
                    ("impersonate-group", "b"),
                ],
            ),
        ];
        for other in others {
            assert_ne!(who("sa", &jane), other);
        }
    }

    #[test]
    fn the_order_of_names_and_other_headers_make_nobody_else() {
        let one = who(
            "sa",
            &[
                ("impersonate-user", "jane"),
                ("impersonate-group", "a"),
                ("user-agent", "x"),
            ],
        );
        let other = who(
            "sa",
            &[
                ("impersonate-group", "a"),
                ("accept", "y"),
                ("impersonate-user", "jane"),
            ],
        );
        assert_eq!(one, other);
    }
}
