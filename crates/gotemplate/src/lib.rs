//! Go's `text/template` with Sprig's text functions, over JSON.
//!
//! Platform teams have templates that a Go program rendered; here they render to the same bytes. Everything is as Go has
//! it with `missingkey=error` and data from `encoding/json`: numbers are `float64`, maps are ranged over by their sorted
//! keys, and an absent key is an error rather than a guess. A corpus that a Go program wrote says so.
//!
//! What holds:
//! - Nothing but template and data has a say: functions that read the clock, randomness, the environment, files or the
//!   network are refused when the template is parsed.
//! - A template is its user's, and may be hostile: [`Limits`] bound time, memory and output, and nothing panics.
//! - Errors name the template, the position, the function and the key; never a value of the data.
//!
//! What differs from Go, on purpose:
//! - No complex numbers, no `call`, no methods: JSON has nothing for them.
//! - `keys` and `values` are in the order of the keys; Go's order is random.
//! - Text that isn't UTF-8 in the end, say because `trunc` cut a character in two, is an error.
//! - Of a list, `slice` gives what is in it; Go's may reach beyond its end, into memory that was kept for growth.
//! - A regular expression may not repeat right after flags, as in `a(?i)*`; and of groups with one name, the first has it.
//! - Lists and maps that are in each other too deep are an error; Go dies of a map in itself.

mod ast;
mod error;
mod eval;
mod exec;
mod format;
mod functions;
mod lex;
mod limits;
mod literal;
mod parse;
mod run;
mod unicode;
mod value;

pub use error::{ParseError, RenderError, RenderErrorKind};
pub use limits::Limits;
use serde_json::Value;

use crate::parse::Templates;

/// A template, with those that it defines.
#[derive(Debug)]
pub struct Template {
    name: String,
    source: String,
    templates: Templates,
}

impl Template {
    /// Parses a source. The name is for errors, and for `template` calls of itself.
    ///
    /// # Errors
    ///
    /// Where the source isn't a template, or names a function that isn't there.
    pub fn parse(name: &str, source: &str) -> Result<Self, ParseError> {
        Ok(Self {
            name: name.to_owned(),
            source: source.to_owned(),
            templates: parse::parse(name, source)?,
        })
    }

    /// The template's text for this data.
    ///
    /// # Errors
    ///
    /// Where the data lacks a key or has another type than is needed, the template calls `fail`, or a limit is reached.
    pub fn render(&self, data: &Value, limits: &Limits) -> Result<String, RenderError> {
        exec::render(&self.name, &self.templates, data, limits).map_err(|fault| {
            let (line, column) = error::position(&self.source, fault.at.unwrap_or(0));
            RenderError {
                template: self.name.clone(),
                line,
                column,
                kind: fault.kind,
                problem: fault.problem,
            }
        })
    }
}
