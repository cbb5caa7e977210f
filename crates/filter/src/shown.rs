//! What a watch has shown: of each object its place and version.

use std::collections::BTreeMap;

use mk8s_lists::Malformed;
use uuid::Uuid;

use crate::place::Place;

/// The objects that the client has now.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    objects: BTreeMap<Box<str>, Seen>,
    /// Counts the times that all was told anew.
    round: u32,
}

/// The version of an object that the client has.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) version: Box<str>,
    /// None if the object has none, or one that is no UUID.
    uid: Option<Uuid>,
    /// When it was last found to be there.
    round: u32,
}

/// How an object that is there compares with what the client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Not,
    Otherwise,
    Exactly,
}

/// An object that the client has, and may not have any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) version: Box<str>,
    pub(crate) uid: Option<Uuid>,
}

impl Shown {
    /// The client gets this version of an object.
    pub(crate) fn put(&mut self, place: &Place<'_>) {
        let seen = Seen {
            version: (&*place.version).into(),
            uid: place.uid.parse().ok(),
            round: self.round,
        };
        self.objects.insert(place.key(), seen);
    }

    /// The client is told that an object is gone. Says whether it had it.
    pub(crate) fn remove(&mut self, place: &Place<'_>) -> bool {
        self.objects.remove(&place.key()).is_some()
    }

    /// Begins to tell all anew: what isn't found from now on is gone at the end.
    pub(crate) fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// An object is there, in this version.
    pub(crate) fn find(&mut self, place: &Place<'_>) -> Known {
        match self.objects.get_mut(&place.key()) {
            None => Known::Not,
            Some(seen) => {
                seen.round = self.round;
                if *seen.version == *place.version {
                    Known::Exactly
                } else {
                    Known::Otherwise
                }
            }
        }
    }

    /// Takes out all that wasn't found in this round.
    pub(crate) fn end_round(&mut self) -> Result<Vec<Gone>, Malformed> {
        let round = self.round;
        let gone = self.objects.extract_if(.., |_, seen| seen.round != round);
        gone.map(|(key, seen)| {
            let (namespace, name) = key
                .split_once('/')
                .ok_or(Malformed::Nonsense("an object has no place"))?;
            Ok(Gone {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                version: seen.version,
                uid: seen.uid,
            })
        })
        .collect()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(namespace: &'a str, name: &'a str, version: &'a str) -> Place<'a> {
        Place {
            namespace: namespace.into(),
            name: name.into(),
            version: version.into(),
            uid: "7e1c9f3a-52a1-4c39-9f0a-0d8a3c0f1b2d".into(),
        }
    }

    #[test]
    fn what_is_not_found_again_is_gone() {
        let mut shown = Shown::default();
        for name in ["a", "b", "c"] {
            shown.put(&place("x", name, "1"));
        }
        assert!(shown.remove(&place("x", "c", "1")));
        assert!(!shown.remove(&place("y", "a", "1")));
        shown.begin_round();
        assert_eq!(shown.find(&place("x", "a", "1")), Known::Exactly);
        assert_eq!(shown.find(&place("y", "a", "1")), Known::Not);
        shown.put(&place("y", "a", "1"));
        let gone = shown.end_round().expect("places");
        assert_eq!(gone.len(), 1);
        assert_eq!(
            (&*gone[0].namespace, &*gone[0].name, &*gone[0].version),
            ("x", "b", "1")
        );
        assert_eq!(
            gone[0].uid.map(|uid| uid.to_string()).as_deref(),
            Some("7e1c9f3a-52a1-4c39-9f0a-0d8a3c0f1b2d")
        );
        assert_eq!(shown.len(), 2);
        shown.begin_round();
        assert_eq!(shown.find(&place("x", "a", "2")), Known::Otherwise);
        assert_eq!(shown.end_round().expect("places").len(), 1);
    }
}
