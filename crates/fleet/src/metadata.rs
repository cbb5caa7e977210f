//! Putting the mark into an object's metadata, and taking it out.

use mk8s_lists::{Malformed, Members, Object};
use mk8s_model::ClusterName;

use crate::mark::ANNOTATION;

/// What is to become of an object's metadata.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edit<'a> {
    pub(crate) mark: Mark<'a>,
    /// What to say instead of the resource version; `None` leaves it.
    pub(crate) resource_version: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark<'a> {
    Put(&'a ClusterName),
    Leave,
    Take,
}

impl Edit<'_> {
    /// Writes an object so edited.
    pub(crate) fn object(&self, object: &str, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.parsed(&Object::parse(object)?, out)
    }

    /// The same, for one that was looked into already.
    pub(crate) fn parsed(&self, object: &Object<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let metadata = object.object("metadata")?;
        let mut members = Members::begin(out);
        for (name, value) in object.iter() {
            match (&metadata, name) {
                (Some(metadata), "metadata") => self.metadata(metadata, members.name(name))?,
                (None, "metadata") if self.adds() => {}
                _ => members.text(name, value),
            }
        }
        if metadata.is_none() && self.adds() {
            self.metadata(&Object::parse("{}")?, members.name("metadata"))?;
        }
        members.end();
        Ok(())
    }

    fn adds(&self) -> bool {
        matches!(self.mark, Mark::Put(_))
    }

    /// Writes metadata so edited.
    pub(crate) fn metadata(&self, metadata: &Object<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let annotations = metadata.object("annotations")?;
        // Looked up, so that one that is there twice is refused.
        metadata.text("resourceVersion")?;
        let mut members = Members::begin(out);
        for (name, value) in metadata.iter() {
            match (name, self.resource_version) {
                ("resourceVersion", Some(version)) => members.string(name, version),
                ("annotations", _) => match (&annotations, self.mark) {
                    (Some(annotations), Mark::Put(_)) => self.annotations(annotations, members.name(name)),
                    (Some(annotations), Mark::Take) if has_mark(annotations) => {
                        if annotations.iter().any(|(name, _)| name != ANNOTATION) {
                            self.annotations(annotations, members.name(name));
                        }
                    }
                    (None, Mark::Put(_)) => {}
                    _ => members.text(name, value),
                },
                _ => members.text(name, value),
            }
        }
        if annotations.is_none() && self.adds() {
            self.annotations(&Object::parse("{}")?, members.name("annotations"));
        }
        members.end();
        Ok(())
    }

    /// Writes annotations without the mark, and then with it where it is to be put.
    fn annotations(&self, annotations: &Object<'_>, out: &mut Vec<u8>) {
        let mut members = Members::begin(out);
        for (name, value) in annotations.iter().filter(|(name, _)| *name != ANNOTATION) {
            members.text(name, value);
        }
        if let Mark::Put(cluster) = self.mark {
            members.string(ANNOTATION, cluster.as_str());
        }
        members.end();
    }
}

fn has_mark(annotations: &Object<'_>) -> bool {
    annotations.iter().any(|(name, _)| name == ANNOTATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(object: &str) -> Result<String, Malformed> {
        let cluster: ClusterName = "east".parse().expect("name");
        let edit = Edit {
            mark: Mark::Put(&cluster),
            resource_version: None,
        };
        let mut out = Vec::new();
        edit.object(object, &mut out)?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn the_mark_goes_into_what_is_there() {
        let marked = r#""mca.k8s.io/cluster":"east""#;
        for (object, expected) in [
            (r"{}", format!(r#"{{"metadata":{{"annotations":{{{marked}}}}}}}"#)),
            (
                r#"{"metadata":null,"a":1}"#,
                format!(r#"{{"a":1,"metadata":{{"annotations":{{{marked}}}}}}}"#),
            ),
            (
                r#"{"a":1,"metadata":{"name":"x"},"b":2}"#,
                format!(r#"{{"a":1,"metadata":{{"name":"x","annotations":{{{marked}}}}},"b":2}}"#),
            ),
            (
                r#"{"metadata":{"annotations":null,"name":"x"}}"#,
                format!(r#"{{"metadata":{{"name":"x","annotations":{{{marked}}}}}}}"#),
            ),
            (
                r#"{"metadata":{"annotations":{"k":"v"},"name":"x"}}"#,
                format!(r#"{{"metadata":{{"annotations":{{"k":"v",{marked}}},"name":"x"}}}}"#),
            ),
            (
                r#"{"metadata":{"annotations":{"mca.k8s.io/cluster":"west"}}}"#,
                format!(r#"{{"metadata":{{"annotations":{{{marked}}}}}}}"#),
            ),
        ] {
            assert_eq!(put(object).expect("object"), expected, "{object}");
        }
    }

    #[test]
    fn whatever_else_is_there_keeps_its_text() {
        let kept = r#""spec":{"n":12345678901234567890,"f":1.10,"e":1E+2,"s":"\u003cé\/\ud83d\ude00","o":{"b":1,"a":2}}"#;
        let marked = put(&format!(
            r#"{{"metadata":{{"generation":9007199254740993}},{kept}}}"#
        ))
        .expect("object");
        assert!(marked.contains(kept), "{marked}");
        assert!(marked.contains("9007199254740993"), "{marked}");
    }

    #[test]
    fn what_could_be_read_twice_is_refused() {
        for object in [
            r#"{"metadata":{},"metadata":{}}"#,
            r#"{"metadata":{"annotations":{},"annotations":{}}}"#,
            r#"{"metadata":{"resourceVersion":"1","resourceVersion":"2"}}"#,
            r#"{"metadata":[]}"#,
            r#"{"metadata":{"annotations":"x"}}"#,
            "[]",
            "7",
        ] {
            assert!(put(object).is_err(), "{object}");
        }
    }
}
