//! Reading YAML so that every error has a line and a key.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Spanned, UserMessageFormatter};

use crate::{PolicyError, PolicySpec, Problem};

pub(crate) fn parse(text: &str) -> Result<PolicySpec, PolicyError> {
    serde_saphyr::from_str(text).map_err(|error| {
        let location = error.location();
        let line = location.map(|l| l.line()).filter(|line| *line > 0);
        let mut key = location
            .map(|l| key_at(text, l.line(), l.column()))
            .unwrap_or_default();
        if let serde_saphyr::Error::SerdeMissingField { .. } = error.without_snippet() {
            // A mapping begins where its first key does; it is the mapping that misses something.
            key.truncate(key.rfind('.').unwrap_or(0));
        }
        let mut message = error
            .without_snippet()
            .render_with_formatter(&UserMessageFormatter);
        // It is said once, by PolicyError.
        if let Some(l) = location {
            message = message.replace(&format!(" at line {}, column {}", l.line(), l.column()), "");
        }
        PolicyError {
            key,
            line,
            problem: Problem::Syntax(message),
        }
    })
}

/// Adds the line of the error's key, or of what it stands in.
pub(crate) fn with_line(error: PolicyError, text: &str) -> PolicyError {
    let nodes = nodes(text);
    let mut key = error.key.as_str();
    let line = loop {
        if let Some(node) = nodes.iter().find(|node| node.key == key) {
            break Some(node.line);
        }
        match key.rfind(['.', '[']) {
            Some(at) => key = &key[..at],
            None => break None,
        }
    };
    PolicyError { line, ..error }
}

/// The innermost key that begins there, or whose value does.
fn key_at(text: &str, line: u64, column: u64) -> String {
    let found = nodes(text)
        .into_iter()
        .rfind(|node| (node.line, node.column) == (line, column));
    found.map(|node| node.key).unwrap_or_default()
}

struct Node {
    key: String,
    line: u64,
    column: u64,
}

/// All keys and values of a document and where they begin, outermost first; none if it is no YAML.
fn nodes(text: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    if let Ok(root) = serde_saphyr::from_str::<Spanned<Tree>>(text) {
        collect(&root, String::new(), &mut nodes);
    }
    nodes
}

fn collect(tree: &Spanned<Tree>, key: String, into: &mut Vec<Node>) {
    let at = tree.referenced;
    into.push(Node {
        key: key.clone(),
        line: at.line(),
        column: at.column(),
    });
    match &tree.value {
        Tree::Leaf => {}
        Tree::List(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{key}[{index}]"), into);
            }
        }
        Tree::Map(entries) => {
            for (name, value) in entries {
                let inner = match key.as_str() {
                    "" => name.value.clone(),
                    outer => format!("{outer}.{}", name.value),
                };
                let at = name.referenced;
                into.push(Node {
                    key: inner.clone(),
                    line: at.line(),
                    column: at.column(),
                });
                collect(value, inner, into);
            }
        }
    }
}

/// Any YAML, reduced to its shape.
enum Tree {
    Leaf,
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Tree::Leaf)
    }
}
