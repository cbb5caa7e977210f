//! One event of one cluster's watch, and how it is written as one of all.

use mk8s_lists::{Event, Kind, Malformed, Members};
use mk8s_model::ClusterName;
use serde_json::{Value, value::RawValue};

use crate::{
    failure::named,
    metadata::{Edit, Mark},
    table::Columns,
};

/// An event of one cluster.
#[derive(Debug)]
pub(crate) struct ClusterEvent<'a> {
    pub(crate) event: Event<'a>,
    /// The columns of a table, where the event says them.
    pub(crate) columns: Option<Columns>,
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

impl<'a> ClusterEvent<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let event = Event::parse(text)?;
        let columns = match event.object.text("columnDefinitions")? {
            Some(text) if event.is_table() => Columns::parse(text)?,
            _ => None,
        };
        Ok(Self { event, columns })
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
        members.text("type", self.event.name);
        let out = members.name("object");
        // A bookmark is everybody's.
        let mark = match self.event.kind {
            Kind::Object => Mark::Put(cluster),
            _ => Mark::Leave,
        };
        let edit = Edit {
            mark,
            resource_version: Some(resource_version),
        };
        match (self.event.kind, &self.event.rows, layout) {
            (Kind::Error, ..) => {
                let status: Value = serde_json::from_str(self.event.text)?;
                out.extend_from_slice(named(status, cluster).to_string().as_bytes());
            }
            (_, Some(rows), Some(layout)) => self.write_table(rows, layout, cluster, &edit, out)?,
            _ => edit.parsed(&self.event.object, out)?,
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
        for (name, value) in self.event.object.iter() {
            match name {
                "metadata" => {
                    let metadata = self.event.object.object("metadata")?;
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
