//! What the crate promises, from the outside.

mod corpus;
mod errors;
mod hostile;
mod properties;

use mk8s_gotemplate::{Limits, RenderError, Template};
use serde_json::Value;

/// Renders a template that parses.
fn render(source: &str, data: &Value) -> Result<String, RenderError> {
    Template::parse("test", source)
        .unwrap_or_else(|error| panic!("{error}"))
        .render(data, &Limits::default())
}
