//! Manifests: files of many YAML or JSON documents, changed here and there and otherwise left as they were written.

mod edit;
mod node;
mod source;
mod stream;

pub(crate) use edit::write;
pub(crate) use node::Node;
pub(crate) use source::{Source, read};
pub(crate) use stream::{Chunk, Format, split};
