//! Go's values, as far as templates over JSON have them.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

/// A Go string: bytes, mostly UTF-8.
pub(crate) type Text = Arc<[u8]>;
/// A map's entries, in the order that Go ranges over them.
pub(crate) type Entries = BTreeMap<Text, Value>;

#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// No value at all: what a pipeline makes of nil.
    Nil,
    /// An `interface {}` that holds nothing: null in a map or a list.
    NilInterface,
    Bool(bool),
    Int(i64),
    Int64(i64),
    /// `uint8`, which is what a string's elements are.
    Byte(u8),
    Float(f64),
    Text(Text),
    List(List),
    Map(Map),
}

/// What lists and maps hold, as far as Go's types tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    Any,
    Text,
    Int,
    /// Lists of anything.
    List,
}

/// A slice. Its elements are shared, as in Go, where sorting a `[]string` sorts it for all who have it.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) element: Element,
    pub(crate) items: Rc<RefCell<Vec<Value>>>,
    /// Is it nil, rather than empty?
    pub(crate) nil: bool,
    /// How deep lists are in it, itself included.
    pub(crate) depth: usize,
}

/// A map with strings as keys. It is shared: `set` shows wherever it is.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    pub(crate) element: Element,
    pub(crate) entries: Rc<RefCell<Entries>>,
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.items.borrow().len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value> {
        self.items.borrow().get(index).cloned()
    }

    pub(crate) fn to_vec(&self) -> Vec<Value> {
        self.items.borrow().clone()
    }
}

impl Map {
    pub(crate) fn get(&self, key: &[u8]) -> Option<Value> {
        self.entries.borrow().get(key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// The entries as they are now.
    pub(crate) fn to_vec(&self) -> Vec<(Text, Value)> {
        self.entries
            .borrow()
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

impl Value {
    /// A string.
    pub(crate) fn text(text: &[u8]) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Nil | Self::NilInterface)
    }

    /// What a pipeline's stage gives: nil in an interface is no value.
    pub(crate) fn unwrapped(self) -> Self {
        match self {
            Self::NilInterface => Self::Nil,
            value => value,
        }
    }

    /// Not the zero of its type.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::Nil | Self::NilInterface => false,
            Self::Bool(b) => *b,
            Self::Int(i) | Self::Int64(i) => *i != 0,
            Self::Byte(b) => *b != 0,
            Self::Float(f) => *f != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => list.len() > 0,
            Self::Map(map) => map.len() > 0,
        }
    }

    /// The type, as `%T` has it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil | Self::NilInterface => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(list) => match list.element {
                Element::Any => "[]interface {}",
                Element::Text => "[]string",
                Element::Int => "[]int",
                Element::List => "[][]interface {}",
            },
            Self::Map(map) => match map.element {
                Element::Text => "map[string]string",
                _ => "map[string]interface {}",
            },
        }
    }

    /// The kind, as Go's reflection names it.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Nil | Self::NilInterface => "invalid",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            other => other.type_name(),
        }
    }
}
