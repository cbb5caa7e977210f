//! A document as a tree that keeps the order of its keys.

use std::{collections::HashSet, fmt};

use mk8s_inject::json_patch::{PatchOperation, jsonptr::Pointer};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Applies operations. They are made for this very document, so that one which doesn't fit changes nothing.
    pub(crate) fn apply(&mut self, operations: &[PatchOperation]) {
        for operation in operations {
            match operation {
                PatchOperation::Add(add) => self.set(&add.path, Some(&add.value), true),
                PatchOperation::Replace(replace) => self.set(&replace.path, Some(&replace.value), false),
                PatchOperation::Remove(remove) => self.set(&remove.path, None, false),
                // Injection has no use for the others.
                PatchOperation::Move(_) | PatchOperation::Copy(_) | PatchOperation::Test(_) => {}
            }
        }
    }

    fn set(&mut self, path: &Pointer, value: Option<&Value>, is_new: bool) {
        let Some((parents, last)) = path.split_back() else {
            return;
        };
        let parent = parents
            .tokens()
            .try_fold(self, |node, token| node.child(&token.decoded()));
        let key = last.decoded();
        match parent {
            Some(Self::Map(entries)) => {
                let at = entries.iter().position(|(name, _)| *name == key);
                match (at, value) {
                    (Some(at), Some(value)) => entries[at].1 = value.into(),
                    (Some(at), None) => drop(entries.remove(at)),
                    (None, Some(value)) => entries.push((key.into_owned(), value.into())),
                    (None, None) => {}
                }
            }
            Some(Self::List(elements)) => {
                let at = key.parse().unwrap_or(usize::MAX);
                match value {
                    Some(value) if is_new && at <= elements.len() => elements.insert(at, value.into()),
                    Some(value) if at < elements.len() => elements[at] = value.into(),
                    None if at < elements.len() => drop(elements.remove(at)),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn child(&mut self, key: &str) -> Option<&mut Self> {
        match self {
            Self::Map(entries) => entries
                .iter_mut()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node),
            Self::List(elements) => elements.get_mut(key.parse::<usize>().ok()?),
            _ => None,
        }
    }
}

impl From<&Node> for Value {
    fn from(node: &Node) -> Self {
        match node {
            Node::Null => Self::Null,
            Node::Bool(value) => Self::Bool(*value),
            Node::Number(number) => Self::Number(number.clone()),
            Node::Text(text) => Self::String(text.clone()),
            Node::List(elements) => elements.iter().map(Self::from).collect(),
            Node::Map(entries) => entries
                .iter()
                .map(|(key, node)| (key.clone(), Self::from(node)))
                .collect(),
        }
    }
}

/// What people look for first comes first; the rest by the alphabet.
impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(elements) => Self::List(elements.iter().map(Self::from).collect()),
            Value::Object(object) => {
                let mut entries: Vec<_> = object
                    .iter()
                    .map(|(key, value)| (key.clone(), value.into()))
                    .collect();
                entries.sort_by_key(|(key, _): &(String, Self)| (rank(key), key.clone()));
                Self::Map(entries)
            }
        }
    }
}

fn rank(key: &str) -> usize {
    ["name", "image"]
        .iter()
        .position(|first| *first == key)
        .unwrap_or(usize::MAX)
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(elements) => serializer.collect_seq(elements),
            Self::Map(entries) => serializer.collect_map(entries.iter().map(|(key, node)| (key, node))),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("JSON has no such number"))?;
        Ok(Node::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Node::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !keys.insert(key.clone()) {
                return Err(de::Error::custom(format!("the key {key:?} is there twice")));
            }
            entries.push((key, map.next_value()?));
        }
        Ok(Node::Map(entries))
    }
}
