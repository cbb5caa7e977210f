//! Go's escapes for HTML, JavaScript and URLs.

use super::{Arguments, Function, Type::Any, printed};
use crate::{
    error::Outcome,
    format,
    run::Run,
    unicode::{chars, is_print},
    value::{Text, Value},
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("html", &[], html).many(Any),
    Function::new("js", &[], js).many(Any),
    Function::new("urlquery", &[], urlquery).many(Any),
];

/// The arguments printed, where nil is no value.
fn shown(run: &mut Run, a: Arguments<'_>) -> Outcome<Text> {
    if let [Value::Text(text)] = a.from(0) {
        return Ok(text.clone());
    }
    let values: Vec<_> = a
        .from(0)
        .iter()
        .map(|value| match value.is_nil() {
            true => Value::text(b"<no value>"),
            false => value.clone(),
        })
        .collect();
    match printed(run, |out| format::print(out, &values))? {
        Value::Text(text) => Ok(text),
        _ => Ok(Text::default()),
    }
}

fn html(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let text = shown(run, a)?;
    printed(run, |out| {
        for byte in text.iter() {
            out.push(match byte {
                0 => "\u{fffd}".as_bytes(),
                b'"' => b"&#34;",
                b'\'' => b"&#39;",
                b'&' => b"&amp;",
                b'<' => b"&lt;",
                b'>' => b"&gt;",
                byte => std::slice::from_ref(byte),
            });
        }
    })
}

fn js(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let text = shown(run, a)?;
    printed(run, |out| {
        for (c, bytes) in chars(&text) {
            match c {
                '\\' => out.push(br"\\"),
                '\'' => out.push(br"\'"),
                '"' => out.push(br#"\""#),
                '<' | '>' | '&' | '=' | '\0'..' ' => {
                    out.push(format!("\\u{:04X}", u32::from(c)).as_bytes());
                }
                c if c.is_ascii() || is_print(c) => out.push(bytes),
                c => out.push(format!("\\u{:04X}", u32::from(c)).as_bytes()),
            }
        }
    })
}

fn urlquery(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let text = shown(run, a)?;
    printed(run, |out| {
        for byte in text.iter() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(std::slice::from_ref(byte));
                }
                b' ' => out.push(b"+"),
                byte => out.push(format!("%{byte:02X}").as_bytes()),
            }
        }
    })
}
