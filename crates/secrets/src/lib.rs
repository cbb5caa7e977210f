//! What a pod asks for in secrets, and how records become files and variables.
//!
//! Pure: no I/O, no network, no clock. The webhook reads a pod's annotations into a [`contract::Request`] and hands it, as
//! JSON without any secret in it, to the program in the pod; that one fetches records, and [`outputs::produce`] says what to
//! write. Whoever fetches and writes is elsewhere, and so is the engine of templates.
//!
//! What holds:
//! - Values have no printable form, and stand in no error.
//! - What is written in a format is read again as the same values, or it is refused.
//! - No file is written outside the directories that were asked for, none among the system's, no two at one path.
//! - No text, YAML or record, however odd, makes it panic.

pub mod contract;
mod hidden;
pub mod notation;
pub mod outputs;
pub mod record;
pub mod render;

pub use hidden::Hidden;
