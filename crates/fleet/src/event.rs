//! One event of one cluster's watch, and how it is written as one of all.

use mk8s_model::ClusterName;
use serde_json::{Value, value::RawValue};

use crate::{
    failure::named,
    json::{Malformed, Members, Object},
    metadata::{Edit, Mark},
    table::Columns,
};

/// Marks the bookmark after the last initial event.
/// Source: `k8s.io/apimachinery/pkg/apis/meta/v1/types.go`, `InitialEventsAnnotationKey`.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// An event, read as far as it concerns us.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) kind: Kind,
    /// The object's resource version, if it has one.
    pub(crate) resource_version: Option<String>,
    /// The columns of a table, where the event says them.
    pub(crate) columns: Option<Columns>,
    name: &'a str,
    object: Object<'a>,
    /// What the event has for its object, as it is.
    text: &'a str,
    rows: Option<Vec<&'a RawValue>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `ADDED`, `MODIFIED`, `DELETED`.
    Object,
    Bookmark,
    /// The bookmark after the last initial event.
    InitialEventsEnd,
    Error,
}

/// How a table's rows are to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout<'a> {
    /// The columns that the client sees.
    pub(crate) seen: &'a Columns,
    /// The cluster's.
    pub(crate) theirs: &'a Columns,
    /// Whether the client doesn't know them yet.
    pub(crate) are_new: bool,
}

impl<'a> Event<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
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
        let mut columns = None;
        if object.string("kind")?.as_deref() == Some("Table") {
            let text = object.text("rows")?.unwrap_or("null");
            rows = Some(serde_json::from_str::<Option<_>>(text)?.unwrap_or_default());
            columns = Columns::parse(object.text("columnDefinitions")?.unwrap_or("null"))?;
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
            columns,
            name,
            object,
            text,
            rows,
        })
    }

    pub(crate) fn is_table(&self) -> bool {
        self.rows.is_some()
    }

    /// Writes the event with the clusters' resource version for its own. An error is written with the cluster's name
    /// in its message.
    pub(crate) fn write(
        &self,
        cluster: &ClusterName,
        resource_version: &str,
        layout: Option<Layout<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let mut members = Members::begin(out);
        members.text("type", self.name);
        let out = members.name("object");
        // A bookmark is everybody's.
        let mark = match self.kind {
            Kind::Object => Mark::Put(cluster),
            _ => Mark::Leave,
        };
        let edit = Edit {
            mark,
            resource_version: Some(resource_version),
        };
        match (self.kind, &self.rows, layout) {
            (Kind::Error, ..) => {
                let status: Value = serde_json::from_str(self.text)?;
                out.extend_from_slice(named(status, cluster).to_string().as_bytes());
            }
            (_, Some(rows), Some(layout)) => self.write_table(rows, layout, cluster, &edit, out)?,
            _ => edit.parsed(&self.object, out)?,
        }
        members.end();
        Ok(())
    }

    fn write_table(
        &self,
        rows: &[&RawValue],
        layout: Layout<'_>,
        cluster: &ClusterName,
        edit: &Edit<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let places = layout.seen.places(layout.theirs);
        let mut members = Members::begin(out);
        for (name, value) in self.object.iter() {
            match name {
                "metadata" => {
                    let metadata = self.object.object("metadata")?;
                    // A list's metadata has no annotations.
                    let edit = Edit {
                        mark: Mark::Leave,
                        ..*edit
                    };
                    match metadata {
                        Some(metadata) => edit.metadata(&metadata, members.name(name))?,
                        None => members.text(name, value),
                    }
                }
                "columnDefinitions" => {}
                "rows" => {
                    let out = members.name(name);
                    out.push(b'[');
                    for (at, row) in rows.iter().enumerate() {
                        if at > 0 {
                            out.push(b',');
                        }
                        places.row(row.get(), cluster, edit, out)?;
                    }
                    out.push(b']');
                }
                _ => members.text(name, value),
            }
        }
        // Said once, as API servers do, and again when there are more.
        if layout.are_new {
            layout.seen.write(members.name("columnDefinitions"));
        } else {
            members.text("columnDefinitions", "null");
        }
        members.end();
        Ok(())
    }
}

/// The last event of a watch: why it can't go on.
pub(crate) fn write_error(status: &[u8], out: &mut Vec<u8>) {
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
