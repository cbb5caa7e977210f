//! Where an object is, and which version of it.

use std::{borrow::Cow, collections::BTreeSet};

use mk8s_lists::{Malformed, Object};

/// What of an object's metadata says whether it may be seen, and whether it was.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// Empty for an object that is in none.
    pub(crate) namespace: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) version: Cow<'a, str>,
    pub(crate) uid: Cow<'a, str>,
}

impl<'a> Place<'a> {
    /// Reads an object's; any of it may be empty.
    ///
    /// # Errors
    /// [`Malformed`] if it could be read in two ways.
    pub(crate) fn of(object: &Object<'a>) -> Result<Self, Malformed> {
        let Some(metadata) = object.object("metadata")? else {
            return Ok(Self {
                namespace: "".into(),
                name: "".into(),
                version: "".into(),
                uid: "".into(),
            });
        };
        let text = |key| metadata.string(key).map(Option::unwrap_or_default);
        Ok(Self {
            namespace: text("namespace")?,
            name: text("name")?,
            version: text("resourceVersion")?,
            uid: text("uid")?,
        })
    }

    pub(crate) fn is_in(&self, namespaces: &BTreeSet<Box<str>>) -> bool {
        namespaces.contains(&*self.namespace)
    }

    /// What tells the object from others of its resource.
    pub(crate) fn key(&self) -> Box<str> {
        format!("{}/{}", self.namespace, self.name).into()
    }
}

/// The object in a table's row.
///
/// # Errors
/// [`Malformed`] if there is none, or it could be read in two ways.
pub(crate) fn in_row<'a>(row: &Object<'a>) -> Result<Object<'a>, Malformed> {
    row.object("object")?.ok_or(Malformed::Nonsense(
        "a table's row has no object to tell its place by",
    ))
}

/// Writes an object with another text for one member, where that member stands.
pub(crate) fn with_member(object: &Object<'_>, member: &str, text: &[u8], out: &mut Vec<u8>) {
    let mut members = mk8s_lists::Members::begin(out);
    for (name, value) in object.iter() {
        if name == member {
            members.name(name).extend_from_slice(text);
        } else {
            members.text(name, value);
        }
    }
    members.end();
}
