//! What an AI agent asks of clusters by MCP (Model Context Protocol), and the one place where answers become text.
//!
//! A call comes in by [`server`], which knows who asks ([`principal`]), checks the arguments against the tool's own type, and
//! sees to it that the call ends in time and is written down ([`record`]). A tool ([`tools`]) asks clusters ([`cluster`]), and each
//! request passes [`guard`]. What changes something is planned, approved of and only then done ([`plan`]). A tool returns an
//! [`answer::Answer`]: what it found, before anybody may read it. [`render::render`] alone makes text of it, and so is the one place
//! that hides secrets, takes out what can't be seen, tells data from instructions and keeps to a number of tokens. Errors take the
//! same way.
//!
//! * Who asks is found out by a door, never read from arguments or headers that a client chose.
//! * How clusters are reached is somebody else's ([`cluster::Clusters`]): nothing is dialled here.
//! * No tool gives out a credential, and none starts a program.

pub mod answer;
pub mod cluster;
pub mod error;
pub mod guard;
pub mod plan;
pub mod principal;
pub mod record;
pub mod render;
pub mod resources;
pub mod server;
pub mod settings;
pub mod tools;
