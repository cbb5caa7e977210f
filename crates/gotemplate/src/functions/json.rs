//! JSON as Go's `encoding/json` reads and writes it.

use super::{Arguments, Function, Type};
use crate::{
    error::{Fault, Outcome},
    format::{Out, Style, format_float},
    limits::NESTING,
    run::{Run, too_deep},
    unicode::chars,
    value::Value,
};

use Type::{Any, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("fromJson", &[Text], |run, a| {
        // What isn't JSON is nil.
        match serde_json::from_slice(a.text(0)) {
            Ok(json) => run.json(&json, 0),
            Err(_) => Ok(Value::NilInterface),
        }
    }),
    Function::new("mustFromJson", &[Text], |run, a| {
        let json = serde_json::from_slice(a.text(0))
            .map_err(|e| Fault::new(format!("not JSON at line {}, column {}", e.line(), e.column())))?;
        run.json(&json, 0)
    }),
    Function::new("toJson", &[Any], |run, a| lenient(run, a, COMPACT)),
    Function::new("mustToJson", &[Any], |run, a| strict(run, a, COMPACT)),
    Function::new("toPrettyJson", &[Any], |run, a| lenient(run, a, PRETTY)),
    Function::new("mustToPrettyJson", &[Any], |run, a| strict(run, a, PRETTY)),
    Function::new("toRawJson", &[Any], |run, a| strict(run, a, RAW)),
    Function::new("mustToRawJson", &[Any], |run, a| strict(run, a, RAW)),
];

#[derive(Clone, Copy)]
struct Form {
    /// Are `<`, `>` and `&` escaped, for HTML?
    html: bool,
    /// Is each element on a line of its own?
    lines: bool,
}

const COMPACT: Form = Form {
    html: true,
    lines: false,
};
const PRETTY: Form = Form {
    html: true,
    lines: true,
};
const RAW: Form = Form {
    html: false,
    lines: false,
};

fn strict(run: &mut Run, a: Arguments<'_>, form: Form) -> Outcome<Value> {
    match written(run, a, form)? {
        Some(text) => run.text(text),
        None => Err(Fault::new(
            "JSON has no infinity and no NaN: test for them before",
        )),
    }
}

/// What has no JSON is an empty string.
fn lenient(run: &mut Run, a: Arguments<'_>, form: Form) -> Outcome<Value> {
    let text = written(run, a, form)?.unwrap_or_default();
    run.text(text)
}

fn written(run: &mut Run, a: Arguments<'_>, form: Form) -> Outcome<Option<Vec<u8>>> {
    let mut writer = Writer {
        out: Out::new(run.room()),
        form,
        finite: true,
        too_deep: false,
    };
    writer.value(a.any(0), 0);
    if writer.too_deep {
        return Err(too_deep());
    }
    match writer.out.finish() {
        Some(text) if writer.finite => Ok(Some(text)),
        // It counts, even though it's for nothing.
        Some(text) => run.make(text.len()).map(|()| None),
        None => run.make(usize::MAX).map(|()| None),
    }
}

struct Writer {
    out: Out,
    form: Form,
    finite: bool,
    too_deep: bool,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) {
        self.too_deep |= depth > NESTING;
        if self.too_deep || self.out.is_full() {
            return;
        }
        match value {
            Value::Nil | Value::NilInterface => self.out.push(b"null"),
            Value::Bool(b) => self.out.push(if *b { b"true" } else { b"false" }),
            Value::Int(i) | Value::Int64(i) => self.out.push(i.to_string().as_bytes()),
            Value::Byte(b) => self.out.push(b.to_string().as_bytes()),
            Value::Float(f) => {
                self.finite &= f.is_finite();
                self.out.push(float(*f).as_bytes());
            }
            Value::Text(text) => self.text(text),
            Value::List(list) if list.nil => self.out.push(b"null"),
            Value::List(list) => {
                self.out.push(b"[");
                for (i, item) in list.to_vec().iter().enumerate() {
                    self.start(i, depth + 1);
                    self.value(item, depth + 1);
                }
                self.end(list.len(), depth, b"]");
            }
            Value::Map(map) => {
                self.out.push(b"{");
                for (i, (key, item)) in map.to_vec().iter().enumerate() {
                    self.start(i, depth + 1);
                    self.text(key);
                    self.out.push(if self.form.lines { b": " } else { b":" });
                    self.value(item, depth + 1);
                }
                self.end(map.len(), depth, b"}");
            }
        }
    }

    fn start(&mut self, i: usize, depth: usize) {
        if i > 0 {
            self.out.push(b",");
        }
        self.line(depth);
    }

    fn end(&mut self, count: usize, depth: usize, close: &[u8]) {
        if count > 0 {
            self.line(depth);
        }
        self.out.push(close);
    }

    fn line(&mut self, depth: usize) {
        if self.form.lines {
            self.out.push(b"\n");
            self.out.fill(b' ', 2 * depth);
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.out.push(b"\"");
        for (c, bytes) in chars(text) {
            match c {
                '"' => self.out.push(br#"\""#),
                '\\' => self.out.push(br"\\"),
                '\x08' => self.out.push(br"\b"),
                '\x0c' => self.out.push(br"\f"),
                '\n' => self.out.push(br"\n"),
                '\r' => self.out.push(br"\r"),
                '\t' => self.out.push(br"\t"),
                '<' | '>' | '&' if self.form.html => self.escaped(c),
                '\0'..' ' | '\u{2028}' | '\u{2029}' => self.escaped(c),
                char::REPLACEMENT_CHARACTER if bytes.len() == 1 => self.escaped(c),
                _ => self.out.push(bytes),
            }
        }
        self.out.push(b"\"");
    }

    fn escaped(&mut self, c: char) {
        self.out.push(format!("\\u{:04x}", u32::from(c)).as_bytes());
    }
}

/// With an exponent if it is very small or large, which then has no zero before it.
fn float(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return format_float(value, Style::Fixed, None);
    }
    let text = format_float(value, Style::Exponent, None);
    match text.split_once("e-0") {
        Some((mantissa, exponent)) => format!("{mantissa}e-{exponent}"),
        None => text,
    }
}
