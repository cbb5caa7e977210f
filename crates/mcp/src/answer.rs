//! What a tool found, before anybody may read it.
//!
//! Nothing here is fit to be shown: values are as the API server, a log or a command gave them. Only [`crate::render::render`]
//! makes text of an [`Answer`]. The one distinction that a tool must make is whose words something is: titles, headings, notes and
//! `more` are our own, and stand outside the fence; objects, lines and cells are somebody else's.

use std::collections::BTreeSet;

use serde_json::Value;

mod field;

pub use field::{FieldError, FieldPath};

/// A tool's whole answer, or its error.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// One line in our own words, e.g. `12 pods in namespace shop`. Names in it go through [`name`] first.
    pub title: String,
    /// What was found, in the order in which it is read.
    pub sections: Vec<Section>,
    /// How to get what isn't here, in our own words: a continuation token and which argument takes it. Never cut in its middle.
    pub more: Option<String>,
    /// Whether this says that something failed.
    pub is_error: bool,
}

/// One part of an answer.
#[derive(Debug, Clone)]
pub struct Section {
    /// Our own words, e.g. the cluster's name, through [`name`].
    pub heading: Option<String>,
    /// What was found.
    pub content: Content,
    /// Who gives way to whom when tokens are short.
    pub rank: Rank,
}

/// What goes last when tokens are short: sections of a rank get what those above it left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// What was asked for.
    Essential,
    /// What explains it.
    Useful,
    /// What is good to have.
    Detail,
}

/// What a section holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Objects of the Kubernetes API.
    Objects(Objects),
    /// Text of somebody else's: logs, a command's output, an API server's message.
    Lines(Lines),
    /// Rows whose cells may be somebody else's.
    Table(Table),
    /// An object before and after a change.
    Diff(Box<Diff>),
    /// Our own words alone; it isn't fenced, so nothing of a cluster may be in it but names through [`name`].
    Note(String),
}

/// Objects as the API server gave them, of one kind or several.
///
/// Every item has its `apiVersion` and `kind`. An API server leaves them out within a list, so whoever takes a list apart puts them
/// back; an item without a kind is taken for a Secret if it could be one.
#[derive(Debug, Clone)]
pub struct Objects {
    /// The objects, or Tables, lists and watch events with objects in them.
    pub items: Vec<Value>,
    /// How much of each is told.
    pub shape: Shape,
    /// If there are any, these are told of each object instead of the object. They see it after redaction.
    pub fields: Vec<FieldPath>,
    /// How many more the API server says there are (`remainingItemCount`).
    pub remaining: Option<u64>,
}

/// How much of an object is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Shape {
    /// Namespace and name.
    Names,
    /// One object without what nobody reads, several as a table.
    #[default]
    Slim,
    /// All but what is redacted.
    Full,
}

/// Lines of somebody else's text.
#[derive(Debug, Clone)]
pub struct Lines {
    /// Where they are from, in our own words: `logs of pod x, container y`, names through [`name`].
    pub from: String,
    /// The lines, without their ends. A line may have line breaks in it; it is then several.
    pub text: Vec<String>,
    /// Which end matters when there are too many.
    pub keep: Keep,
}

/// Which end of lines matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keep {
    /// The first: a command's output, a message.
    Head,
    /// The last: a log.
    Tail,
}

/// An object before and after a change, as the API server gave both.
#[derive(Debug, Clone, Default)]
pub struct Diff {
    /// Before.
    pub before: Value,
    /// After.
    pub after: Value,
    /// The paths, in [`step`]s, that the change itself sets. Of what is hidden there it isn't told whether it is another value now: who
    /// may guess would find out what it was.
    pub set: BTreeSet<String>,
}

impl Diff {
    /// The paths of all values below one, as `set` has them.
    pub fn paths(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    Self::paths(value, &format!("{path}{}", step(key)), paths);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (at, item) in items.iter().enumerate() {
                    Self::paths(item, &format!("{path}[{}]", item_name(item, at)), paths);
                }
            }
            _ => {
                paths.insert(path.to_owned());
            }
        }
    }
}

/// A key in a path: `.spec`, or `["app.kubernetes.io/name"]`.
pub fn step(key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if plain {
        format!(".{key}")
    } else {
        format!("[{key:?}]")
    }
}

/// How an item of a list is known: by its name, as Kubernetes merges most lists, or by its number.
pub(crate) fn item_name(item: &Value, at: usize) -> String {
    match item.get("name").and_then(Value::as_str) {
        Some(name) => name.to_owned(),
        None => at.to_string(),
    }
}

/// Rows of cells, e.g. kubectl's columns or a summary of ours. Rows are in the order of what matters: the last are left out first.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The columns' titles.
    pub columns: Vec<String>,
    /// The rows; cells may be somebody else's.
    pub rows: Vec<Vec<String>>,
}

impl Answer {
    /// An answer with nothing in it yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// An error: our own words, then what the other side said, if it said something.
    pub fn error(title: impl Into<String>, said: Option<String>) -> Self {
        let mut answer = Self {
            title: title.into(),
            is_error: true,
            ..Self::default()
        };
        if let Some(said) = said {
            let lines = Lines {
                from: "what the other side said".to_owned(),
                text: vec![said],
                keep: Keep::Head,
            };
            answer
                .sections
                .push(Section::new(Rank::Essential, Content::Lines(lines)));
        }
        answer
    }

    /// The same with one more section.
    #[must_use]
    pub fn with(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// The same with a way to what isn't here.
    #[must_use]
    pub fn with_more(mut self, more: impl Into<String>) -> Self {
        self.more = Some(more.into());
        self
    }
}

impl Section {
    /// A section without a heading.
    pub fn new(rank: Rank, content: Content) -> Self {
        Self {
            heading: None,
            content,
            rank,
        }
    }

    /// The same under a heading in our own words.
    #[must_use]
    pub fn under(mut self, heading: impl Into<String>) -> Self {
        self.heading = Some(heading.into());
        self
    }
}

impl Objects {
    /// Objects in a shape, whole.
    pub fn new(items: Vec<Value>, shape: Shape) -> Self {
        Self {
            items,
            shape,
            fields: Vec::new(),
            remaining: None,
        }
    }
}

/// A name that may stand among our own words: what Kubernetes itself lets objects, namespaces, clusters and resources be called
/// (DNS-1123 and path segments: letters, digits, `-`, `.`, `_`, `:`, `/`, no more than 253), and else a placeholder.
pub fn name(name: &str) -> &str {
    let fits = !name.is_empty() && name.len() <= 253;
    if fits
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte))
    {
        name
    } else {
        "(a name that can't be shown)"
    }
}
