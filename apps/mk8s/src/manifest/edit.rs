//! Writing a changed document: into its own text if that can be done, from scratch otherwise.

use std::str::FromStr as _;

use mk8s_inject::json_patch::{PatchOperation, jsonptr::Pointer};
use serde_json::Value;
use yaml_edit::{Document, Mapping, Sequence, YamlFile, YamlNode};

use super::{Chunk, Format, Node, stream};
use crate::{
    error::{Failure, Result},
    output,
};

/// A changed document.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// Whether its comments and its formatting are gone.
    pub(crate) is_rewritten: bool,
}

/// Writes a document, changed by `operations` to `after`.
pub(crate) fn write(
    chunk: &Chunk,
    operations: &[PatchOperation],
    after: &Node,
    format: Format,
) -> Result<Written> {
    if chunk.format != format {
        return Ok(Written {
            text: serialize(after, format, None)?,
            is_rewritten: false,
        });
    }
    match format {
        Format::Json => Ok(Written {
            text: serialize(after, format, Some(&chunk.text))?,
            is_rewritten: false,
        }),
        Format::Yaml => match edit(&chunk.text, operations, after) {
            Some(text) => Ok(Written {
                text,
                is_rewritten: false,
            }),
            None => Ok(Written {
                text: serialize(after, format, None)?,
                is_rewritten: true,
            }),
        },
    }
}

/// The document from scratch. JSON is laid out as `like` is.
fn serialize(node: &Node, format: Format, like: Option<&str>) -> Result<String> {
    if format == Format::Yaml {
        return output::yaml(node).map(|text| format!("---\n{text}"));
    }
    let indent = like.map_or(Some(2), |like| {
        let second = like.lines().nth(1)?;
        Some(second.len() - second.trim_start().len())
    });
    let cant = |error: serde_json::Error| Failure::new(format!("can't print this as JSON: {error}"));
    let Some(indent) = indent else {
        return serde_json::to_string(node).map(|text| text + "\n").map_err(cant);
    };
    let indent = " ".repeat(indent);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut bytes = Vec::new();
    serde::Serialize::serialize(
        node,
        &mut serde_json::Serializer::with_formatter(&mut bytes, formatter),
    )
    .map_err(cant)?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(|error| Failure::new(format!("can't print this as JSON: {error}")))
}

/// The document with the operations done in its text; nothing if that doesn't give `after`, as with aliases.
fn edit(text: &str, operations: &[PatchOperation], after: &Node) -> Option<String> {
    let has_crlf = text.contains("\r\n");
    let unix = if has_crlf {
        text.replace("\r\n", "\n")
    } else {
        text.to_owned()
    };
    let file = YamlFile::from_str(&unix).ok()?;
    let mut documents = file.documents();
    let document = documents.next()?;
    if documents.next().is_some() || file.to_string() != unix {
        return None;
    }
    for operation in operations {
        let done = match operation {
            PatchOperation::Add(add) => set(&document, &add.path, Some(&add.value), true),
            PatchOperation::Replace(replace) => set(&document, &replace.path, Some(&replace.value), false),
            PatchOperation::Remove(remove) => set(&document, &remove.path, None, false),
            PatchOperation::Move(_) | PatchOperation::Copy(_) | PatchOperation::Test(_) => None,
        };
        done?;
    }
    let edited = file.to_string();
    // The library is young, and a manifest is too dear to believe it.
    let reread = stream::parse(&edited).ok()?;
    if Value::from(&reread) != Value::from(after) {
        return None;
    }
    Some(if has_crlf {
        edited.replace('\n', "\r\n")
    } else {
        edited
    })
}

fn set(document: &Document, path: &Pointer, value: Option<&Value>, is_new: bool) -> Option<()> {
    let (parents, last) = path.split_back()?;
    let key = last.decoded();
    match find(document, parents)? {
        YamlNode::Mapping(mapping) => match value {
            // `{}` would go on in one line, whatever its length.
            Some(value) if is_new && mapping.is_empty() && !parents.is_root() => {
                let object = Value::from_iter([(key.into_owned(), value.clone())]);
                set(document, parents, Some(&object), false)
            }
            Some(value) => put(&mapping, &key, value),
            None => mapping.remove(&*key).map(drop),
        },
        YamlNode::Sequence(sequence) => {
            let at = key.parse().ok()?;
            match value {
                Some(value) if is_new && sequence.is_empty() => {
                    let list = Value::from_iter([value.clone()]);
                    set(document, parents, Some(&list), false)
                }
                Some(value) if is_new => insert(&sequence, at, value),
                Some(_) => None,
                None => sequence.remove(at).map(drop),
            }
        }
        _ => None,
    }
}

fn find(document: &Document, path: &Pointer) -> Option<YamlNode> {
    let root = YamlNode::Mapping(document.as_mapping()?);
    path.tokens().try_fold(root, |node, token| match node {
        YamlNode::Mapping(mapping) => mapping.get(&*token.decoded()),
        YamlNode::Sequence(sequence) => sequence.get(token.decoded().parse().ok()?),
        _ => None,
    })
}

fn put(mapping: &Mapping, key: &str, value: &Value) -> Option<()> {
    // `[]` and `{}`, which come back when a pod is uninjected, have no block style.
    let flow = || Document::from_str(&value.to_string()).ok();
    match value {
        Value::Null => mapping.set(key, flow()?.as_scalar()?),
        Value::Bool(value) => mapping.set(key, *value),
        Value::Number(number) => mapping.set(key, number.as_i64()?),
        Value::String(text) => mapping.set(key, text.as_str()),
        Value::Array(list) if list.is_empty() => mapping.set(key, flow()?.as_sequence()?),
        Value::Array(_) => mapping.set(key, block(value)?.as_sequence()?),
        Value::Object(object) if object.is_empty() => mapping.set(key, flow()?.as_mapping()?),
        Value::Object(_) => mapping.set(key, block(value)?.as_mapping()?),
    }
    Some(())
}

fn insert(sequence: &Sequence, at: usize, value: &Value) -> Option<()> {
    match value {
        Value::Object(object) if !object.is_empty() => sequence.insert(at, block(value)?.as_mapping()?),
        Value::String(text) => sequence.insert(at, text.as_str()),
        _ => return None,
    }
    Some(())
}

/// The value in YAML's block style.
fn block(value: &Value) -> Option<Document> {
    let text = output::yaml(&Node::from(value)).ok()?;
    Document::from_str(&text).ok()
}
