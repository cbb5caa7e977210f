//! What rendering must keep, over many inputs: nothing secret comes out, nothing closes its fence, everything is within its budget. And
//! the server with clusters that are in memory: for what a real one can't be made to do when it is wanted.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod api;
mod approvals;
mod arguments;
mod budget;
mod changes;
mod corpus;
mod ends;
mod entering;
mod fence;
mod fleet;
mod growth;
mod large;
mod modes;
mod objects;
mod planted;
mod protocol;
mod readable;
mod resources;
mod size;
mod stream;
mod subscriptions;
mod support;
mod tokens;
