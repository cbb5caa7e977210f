//! Tables, as `kubectl get` asks for them: whose columns the clusters' versions may not agree on.

use mk8s_lists::{Malformed, Members, Object, write_string};
use mk8s_model::ClusterName;
use serde_json::value::RawValue;

use crate::metadata::Edit;

/// The column that says which cluster an object is in. It stands after the first one, which is the name.
const CLUSTER_COLUMN: &str = r#"{"name":"Cluster","type":"string","format":"","description":"The cluster that the object is in.","priority":0}"#;
const CLUSTER_AT: usize = 1;

/// One column. Names needn't be unique, so the second of a name is another column than its first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    nth: usize,
    /// The whole definition, as JSON.
    definition: String,
}

impl Column {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.nth == other.nth
    }
}

/// The columns of a table, in order: those of one cluster, or those that the client sees, without the one that names the
/// cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns(Vec<Column>);

/// Where each column that the client sees is among a cluster's cells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places {
    from: Vec<Option<usize>>,
    cells: usize,
}

impl Columns {
    /// Reads `columnDefinitions`; `None` if there are none, as in a watch's later events.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, Malformed> {
        let definitions: Option<Vec<&RawValue>> = serde_json::from_str(text)?;
        let mut columns: Vec<Column> = Vec::new();
        for definition in definitions.unwrap_or_default() {
            let definition = definition.get();
            let name = Object::parse(definition)?.string("name")?.unwrap_or_default();
            let nth = columns.iter().filter(|column| column.name == name).count();
            columns.push(Column {
                name: name.into_owned(),
                nth,
                definition: definition.to_owned(),
            });
        }
        Ok((!columns.is_empty()).then_some(Self(columns)))
    }

    /// Adds those of another cluster that aren't among them yet, at the end. Says whether there were any.
    pub(crate) fn add(&mut self, more: &Self) -> bool {
        let before = self.0.len();
        for column in &more.0 {
            if !self.0.iter().any(|known| known.is_same(column)) {
                self.0.push(column.clone());
            }
        }
        self.0.len() > before
    }

    /// Whether all of another cluster's are among them.
    pub(crate) fn cover(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|column| self.0.iter().any(|known| known.is_same(column)))
    }

    pub(crate) fn places(&self, cluster: &Self) -> Places {
        let place = |column: &Column| cluster.0.iter().position(|theirs| theirs.is_same(column));
        Places {
            from: self.0.iter().map(place).collect(),
            cells: cluster.0.len(),
        }
    }

    /// Writes them as `columnDefinitions`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let definitions = self.0.iter().map(|column| column.definition.as_str());
        write_row(definitions, CLUSTER_COLUMN.as_bytes(), out);
    }
}

impl Places {
    /// Writes one of a cluster's rows, its cells where the client looks for them.
    pub(crate) fn row(
        &self,
        row: &str,
        cluster: &ClusterName,
        edit: &Edit<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let row = Object::parse(row)?;
        let cells: Option<Vec<&RawValue>> = row.text("cells")?.map(serde_json::from_str).transpose()?;
        let cells = cells.unwrap_or_default();
        if cells.len() != self.cells {
            return Err(Malformed::Nonsense(
                "a row has more or fewer cells than there are columns",
            ));
        }
        let mut members = Members::begin(out);
        for (name, value) in row.iter() {
            match name {
                "cells" => {
                    let theirs = self.from.iter().map(|place| {
                        place
                            .and_then(|place| cells.get(place))
                            .map_or("null", |cell| cell.get())
                    });
                    let mut name_cell = Vec::with_capacity(cluster.as_str().len() + 2);
                    write_string(cluster.as_str(), &mut name_cell);
                    write_row(theirs, &name_cell, members.name(name));
                }
                "object" if value != "null" => edit.object(value, members.name(name))?,
                _ => members.text(name, value),
            }
        }
        members.end();
        Ok(())
    }
}

/// An array with the cluster's column in its place.
fn write_row<'a>(values: impl Iterator<Item = &'a str>, cluster: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    let mut count = 0;
    let put = |value: &[u8], out: &mut Vec<u8>| {
        out.push(if out.len() == begin { b'[' } else { b',' });
        out.extend_from_slice(value);
    };
    for (at, value) in values.enumerate() {
        if at == CLUSTER_AT {
            put(cluster, out);
        }
        put(value.as_bytes(), out);
        count = at + 1;
    }
    if count <= CLUSTER_AT {
        put(cluster, out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Mark;

    fn columns(names: &[&str]) -> Columns {
        let definitions: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({ "name": name, "type": "string" }))
            .collect();
        let text = serde_json::to_string(&definitions).expect("text");
        Columns::parse(&text).expect("columns").unwrap_or_default()
    }

    fn row(seen: &Columns, own: &Columns, row: &str) -> Result<String, Malformed> {
        let east: ClusterName = "east".parse().expect("name");
        let edit = Edit {
            mark: Mark::Put(&east),
            resource_version: None,
        };
        let mut out = Vec::new();
        seen.places(own).row(row, &east, &edit, &mut out)?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn the_cluster_stands_after_the_name() {
        let own = columns(&["Name", "Age"]);
        assert_eq!(
            row(&own, &own, r#"{"cells":["a",1.50],"object":null}"#).expect("row"),
            r#"{"cells":["a","east",1.50],"object":null}"#
        );
        let one = columns(&["Name"]);
        assert_eq!(
            row(&one, &one, r#"{"cells":["a"]}"#).expect("row"),
            r#"{"cells":["a","east"]}"#
        );
        let none = columns(&[]);
        assert_eq!(
            row(&none, &none, r#"{"cells":[]}"#).expect("row"),
            r#"{"cells":["east"]}"#
        );
        let mut out = Vec::new();
        own.write(&mut out);
        let names: Vec<serde_json::Value> = serde_json::from_slice(&out).expect("definitions");
        let names: Vec<_> = names.iter().map(|column| column["name"].as_str()).collect();
        assert_eq!(names, [Some("Name"), Some("Cluster"), Some("Age")]);
    }

    #[test]
    fn cells_are_aligned_by_name() {
        let mut seen = columns(&["Name", "Ready", "Age"]);
        let other = columns(&["Name", "Age", "Zone"]);
        assert!(!seen.cover(&other));
        assert!(seen.add(&other));
        assert!(!seen.add(&other));
        assert!(seen.cover(&other));
        assert_eq!(
            row(&seen, &other, r#"{"cells":["a","3d","z1"]}"#).expect("row"),
            r#"{"cells":["a","east",null,"3d","z1"]}"#
        );
    }

    #[test]
    fn a_column_of_the_same_name_is_another_one() {
        let own = columns(&["Name", "Cluster", "Cluster"]);
        assert_eq!(
            row(&own, &own, r#"{"cells":["a","theirs","too"]}"#).expect("row"),
            r#"{"cells":["a","east","theirs","too"]}"#
        );
    }

    #[test]
    fn a_row_that_doesn_t_fit_its_columns_is_refused() {
        let own = columns(&["Name", "Age"]);
        for text in [
            r#"{"cells":["a"]}"#,
            r#"{"cells":["a","b","c"]}"#,
            "{}",
            "[]",
            r#"{"cells":{}}"#,
        ] {
            assert!(row(&own, &own, text).is_err(), "{text}");
        }
        assert!(Columns::parse(r#"[1]"#).is_err());
        assert_eq!(Columns::parse("null").expect("nothing"), None);
        assert_eq!(Columns::parse("[]").expect("nothing"), None);
    }
}
