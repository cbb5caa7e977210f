//! One event of a watch.

use serde_json::value::RawValue;

use crate::json::{Malformed, Object};

/// Marks the bookmark after the last initial event.
/// Source: `k8s.io/apimachinery/pkg/apis/meta/v1/types.go`, `InitialEventsAnnotationKey`.
pub const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// An event, read as far as whoever passes it on must know it.
#[derive(Debug)]
pub struct Event<'a> {
    /// What kind of event it is.
    pub kind: Kind,
    /// The object's resource version, if it has one.
    pub resource_version: Option<String>,
    /// Its type as JSON, quoted: `"ADDED"`.
    pub name: &'a str,
    /// What the event is about: an object, a table of one row, or a `Status`.
    pub object: Object<'a>,
    /// The same, as it is.
    pub text: &'a str,
    /// A table's rows; `None` if it is no table.
    pub rows: Option<Vec<&'a RawValue>>,
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ADDED`, `MODIFIED`, `DELETED`.
    Object,
    /// How far the watch is.
    Bookmark,
    /// The bookmark after the last initial event.
    InitialEventsEnd,
    /// Why the watch can't go on.
    Error,
}

impl<'a> Event<'a> {
    /// Reads an event.
    ///
    /// # Errors
    /// [`Malformed`] if it is none, or could be read in two ways.
    pub fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let event = Object::parse(std::str::from_utf8(text)?)?;
        let name = event
            .text("type")?
            .ok_or(Malformed::Nonsense("an event has no type"))?;
        let text = event
            .text("object")?
            .ok_or(Malformed::Nonsense("an event has no object"))?;
        let object = Object::parse(text)?;
        let metadata = object.object("metadata")?;
        let mut rows: Option<Vec<&RawValue>> = None;
        if object.string("kind")?.as_deref() == Some("Table") {
            let text = object.text("rows")?.unwrap_or("null");
            rows = Some(serde_json::from_str::<Option<_>>(text)?.unwrap_or_default());
        }
        // A table has rows of objects, of which a watch's has one.
        let row = rows.as_ref().and_then(|rows| rows.first());
        let row = row.map(|row| Object::parse(row.get())).transpose()?;
        let row_object = row.map(|row| row.object("object")).transpose()?.flatten();
        let row_metadata = row_object
            .map(|object| object.object("metadata"))
            .transpose()?
            .flatten();
        let kind = match name {
            r#""ERROR""# => Kind::Error,
            r#""BOOKMARK""# if ends_initial(&metadata)? || ends_initial(&row_metadata)? => {
                Kind::InitialEventsEnd
            }
            r#""BOOKMARK""# => Kind::Bookmark,
            _ => Kind::Object,
        };
        let version = match version_of(&metadata)? {
            Some(version) => Some(version),
            None => version_of(&row_metadata)?,
        };
        Ok(Self {
            kind,
            resource_version: version,
            name,
            object,
            text,
            rows,
        })
    }

    /// Whether it is about a table.
    pub fn is_table(&self) -> bool {
        self.rows.is_some()
    }
}

/// Writes the last event of a watch: why it can't go on. `status` is a `Status` object.
pub fn write_error(status: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"ERROR","object":"#);
    out.extend_from_slice(status);
    out.extend_from_slice(b"}\n");
}

fn version_of(metadata: &Option<Object<'_>>) -> Result<Option<String>, Malformed> {
    let version = metadata
        .as_ref()
        .map(|metadata| metadata.string("resourceVersion"))
        .transpose()?
        .flatten();
    Ok(version
        .map(Into::into)
        .filter(|version: &String| !version.is_empty()))
}

fn ends_initial(metadata: &Option<Object<'_>>) -> Result<bool, Malformed> {
    let Some(metadata) = metadata else {
        return Ok(false);
    };
    let Some(annotations) = metadata.object("annotations")? else {
        return Ok(false);
    };
    Ok(annotations.string(INITIAL_EVENTS_END)?.as_deref() == Some("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart() {
        let row = |kind: &str, metadata: &str| {
            format!(
                r#"{{"type":"{kind}","object":{{"kind":"Table","rows":[{{"object":{{"metadata":{metadata}}}}}]}}}}"#
            )
        };
        let plain = |kind: &str, metadata: &str| {
            format!(r#"{{"type":"{kind}","object":{{"kind":"Pod","metadata":{metadata}}}}}"#)
        };
        let ends = r#"{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}"#;
        for write in [&row as &dyn Fn(&str, &str) -> String, &plain] {
            for (kind, metadata, expected) in [
                ("ADDED", r#"{"resourceVersion":"7"}"#, Kind::Object),
                ("ADDED", ends, Kind::Object),
                ("BOOKMARK", r#"{"resourceVersion":"7"}"#, Kind::Bookmark),
                ("BOOKMARK", ends, Kind::InitialEventsEnd),
                ("ERROR", r#"{"resourceVersion":"7"}"#, Kind::Error),
            ] {
                let text = write(kind, metadata);
                let event = Event::parse(text.as_bytes()).expect("event");
                assert_eq!(event.kind, expected, "{text}");
                assert_eq!(event.resource_version.as_deref(), Some("7"), "{text}");
            }
        }
    }

    #[test]
    fn what_could_be_read_twice_is_refused() {
        for text in [
            r#"{"type":"ADDED","type":"BOOKMARK","object":{}}"#,
            r#"{"type":"ADDED","object":{},"object":{}}"#,
            r#"{"type":"ADDED","object":{"metadata":{},"metadata":{}}}"#,
            r#"{"type":"ADDED","object":{"kind":"Table","rows":[{"object":{},"object":{}}]}}"#,
            r#"{"type":"ADDED"}"#,
            r#"{"object":{}}"#,
            "[]",
        ] {
            assert!(Event::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
