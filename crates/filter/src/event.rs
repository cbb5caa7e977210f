//! Events as a client gets them.

use mk8s_lists::{Event, INITIAL_EVENTS_END, Malformed, Members, Object};
use serde_json::value::RawValue;

use crate::{
    place::{in_row, with_member},
    shown::Gone,
};

/// How a watch's objects look, so that one which isn't there any more can be written like those that are.
#[derive(Debug, Default)]
pub(crate) struct Form {
    kind: Box<str>,
    api_version: Box<str>,
    table: Option<Table>,
    /// Whether a table's rows are to be without their objects.
    is_bare: bool,
}

#[derive(Debug, Default)]
struct Table {
    api_version: Box<str>,
    /// The columns as the API server said them last, as JSON. It says them once in a watch, whether or not the client gets
    /// that event.
    columns: Option<Box<str>>,
    /// The columns that the client was told.
    told: Option<Box<str>>,
    cells: usize,
}

impl Form {
    pub(crate) fn new(is_bare: bool) -> Self {
        Self {
            is_bare,
            ..Self::default()
        }
    }

    /// Takes in how this event's object looks.
    pub(crate) fn learn(&mut self, event: &Event<'_>) -> Result<(), Malformed> {
        let Some(rows) = &event.rows else {
            set(&mut self.kind, &event.object, "kind")?;
            return set(&mut self.api_version, &event.object, "apiVersion");
        };
        let table = self.table.get_or_insert_default();
        set(&mut table.api_version, &event.object, "apiVersion")?;
        if let Some(text) = columns(&event.object)?
            && table.columns.as_deref() != Some(text)
        {
            let columns: Vec<&RawValue> = serde_json::from_str(text)?;
            table.cells = columns.len();
            table.columns = Some(text.into());
        }
        if let Some(row) = rows.first()
            && let Some(object) = Object::parse(row.get())?.object("object")?
        {
            set(&mut self.kind, &object, "kind")?;
            set(&mut self.api_version, &object, "apiVersion")?;
        }
        Ok(())
    }

    /// Writes an event about an object, as one of this type.
    pub(crate) fn write(
        &mut self,
        event: &Event<'_>,
        name: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        begin(name, out);
        self.object(event, event.rows.as_deref(), self.is_bare, out)?;
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    /// Writes a bookmark; `ends_initial` says whether the client is to take it for the end of initial events, if it is one.
    pub(crate) fn bookmark(
        &mut self,
        event: &Event<'_>,
        ends_initial: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        begin("BOOKMARK", out);
        match (&event.rows, ends_initial) {
            // A bookmark's row has nothing but the mark and the version in it, so it stays even where rows are bare.
            (_, true) => self.object(event, event.rows.as_deref(), false, out)?,
            (None, false) => out.extend_from_slice(&unmarked(&event.object)?),
            (Some(rows), false) => {
                let mut texts = Vec::new();
                for row in rows {
                    let row = Object::parse(row.get())?;
                    let mut text = Vec::new();
                    match row.object("object")? {
                        Some(object) => with_member(&row, "object", &unmarked(&object)?, &mut text),
                        None => with_member(&row, "", b"", &mut text),
                    }
                    texts.push(serde_json::from_slice::<Box<RawValue>>(&text)?);
                }
                let rows: Vec<&RawValue> = texts.iter().map(|text| &**text).collect();
                self.object(event, Some(&rows), false, out)?;
            }
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    /// Writes that an object is gone, in this resource version.
    pub(crate) fn gone(&mut self, gone: &Gone, version: &str, out: &mut Vec<u8>) {
        begin("DELETED", out);
        let mut object = Vec::new();
        let mut members = Members::begin(&mut object);
        members.string("kind", &self.kind);
        members.string("apiVersion", &self.api_version);
        let mut metadata = Members::begin(members.name("metadata"));
        metadata.string("name", &gone.name);
        if !gone.namespace.is_empty() {
            metadata.string("namespace", &gone.namespace);
        }
        if let Some(uid) = gone.uid {
            metadata.string("uid", &uid.to_string());
        }
        metadata.string("resourceVersion", version);
        metadata.end();
        members.end();
        let Some(table) = &mut self.table else {
            out.extend_from_slice(&object);
            out.extend_from_slice(b"}\n");
            return;
        };
        let mut members = Members::begin(out);
        members.string("kind", "Table");
        members.string("apiVersion", &table.api_version);
        let mut metadata = Members::begin(members.name("metadata"));
        metadata.string("resourceVersion", version);
        metadata.end();
        let untold = table.untold();
        members.text("columnDefinitions", untold.as_deref().unwrap_or("null"));
        let rows = members.name("rows");
        rows.push(b'[');
        let mut row = Members::begin(rows);
        // The name is the first column of every table.
        let cells = row.name("cells");
        cells.push(b'[');
        mk8s_lists::write_string(&gone.name, cells);
        for _ in 1..table.cells {
            cells.extend_from_slice(br#","""#);
        }
        cells.push(b']');
        let object = if self.is_bare { &b"null"[..] } else { &object };
        row.name("object").extend_from_slice(object);
        row.end();
        out.extend_from_slice(b"]}}\n");
    }

    fn object(
        &mut self,
        event: &Event<'_>,
        rows: Option<&[&RawValue]>,
        is_bare: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let (Some(rows), Some(table)) = (rows, &mut self.table) else {
            out.extend_from_slice(event.text.as_bytes());
            return Ok(());
        };
        let said = columns(&event.object)?;
        let untold = match said {
            Some(said) => {
                table.told = Some(said.into());
                None
            }
            None => table.untold(),
        };
        let mut members = Members::begin(out);
        for (name, value) in event.object.iter() {
            match (name, &untold) {
                ("columnDefinitions", Some(_)) => {}
                ("rows", _) => {
                    let out = members.name(name);
                    out.push(b'[');
                    for (at, row) in rows.iter().enumerate() {
                        if at > 0 {
                            out.push(b',');
                        }
                        if is_bare {
                            with_member(&Object::parse(row.get())?, "object", b"null", out);
                        } else {
                            out.extend_from_slice(row.get().as_bytes());
                        }
                    }
                    out.push(b']');
                }
                _ => members.text(name, value),
            }
        }
        if let Some(untold) = &untold {
            members.text("columnDefinitions", untold);
        }
        members.end();
        Ok(())
    }
}

impl Table {
    /// The columns, if the client is to be told them now.
    fn untold(&mut self) -> Option<Box<str>> {
        if self.told == self.columns {
            return None;
        }
        self.told.clone_from(&self.columns);
        self.columns.clone()
    }
}

/// What an event about an object says, as it is in the event.
///
/// # Errors
/// [`Malformed`] if there isn't exactly one object in it.
pub(crate) fn object_of<'a>(event: &Event<'a>) -> Result<Option<Object<'a>>, Malformed> {
    match event.rows.as_deref() {
        None => Ok(None),
        Some([row]) => in_row(&Object::parse(row.get())?).map(Some),
        Some(_) => Err(Malformed::Nonsense("an event's table has not exactly one row")),
    }
}

fn begin(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":""#);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(br#"","object":"#);
}

/// A table's columns, where it says them.
fn columns<'a>(table: &Object<'a>) -> Result<Option<&'a str>, Malformed> {
    let text = table.text("columnDefinitions")?;
    Ok(text.filter(|text| text.starts_with('[') && text[1..].trim_start() != "]"))
}

/// An object without the mark that ends initial events.
fn unmarked(object: &Object<'_>) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    let Some(metadata) = object.object("metadata")? else {
        with_member(object, "", b"", &mut out);
        return Ok(out);
    };
    let mut edited = Vec::new();
    let mut members = Members::begin(&mut edited);
    for (name, value) in metadata.iter() {
        if name != "annotations" {
            members.text(name, value);
        }
    }
    if let Some(annotations) = metadata.object("annotations")?
        && annotations.iter().any(|(name, _)| name != INITIAL_EVENTS_END)
    {
        let mut kept = Members::begin(members.name("annotations"));
        for (name, value) in annotations.iter().filter(|(name, _)| *name != INITIAL_EVENTS_END) {
            kept.text(name, value);
        }
        kept.end();
    }
    members.end();
    with_member(object, "metadata", &edited, &mut out);
    Ok(out)
}

/// Keeps a copy of a member that is a string, if it is there and another than before.
fn set(kept: &mut Box<str>, object: &Object<'_>, key: &'static str) -> Result<(), Malformed> {
    if let Some(text) = object.string(key)?
        && **kept != *text
    {
        *kept = (&*text).into();
    }
    Ok(())
}
