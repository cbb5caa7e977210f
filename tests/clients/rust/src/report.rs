//! Lines of JSON on standard output.

use std::io::{self, Write as _};

use serde_json::Value;

/// Prints one.
pub(crate) fn line(value: Value) {
    let mut out = io::stdout().lock();
    // Nobody listens any more: then nobody misses it.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

/// Both objects' fields.
pub(crate) fn with(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}
