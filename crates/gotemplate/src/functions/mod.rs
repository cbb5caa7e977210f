//! The functions that templates have.

mod builtin;
mod cases;
mod compare;
mod convert;
mod decimal;
mod defaults;
mod dicts;
mod encoding;
mod escape;
mod expressions;
mod json;
mod lists;
mod merge;
mod numbers;
mod refused;
mod regex;
mod strings;
mod texts;
mod wrap;

use std::{collections::HashMap, sync::LazyLock};

use crate::{
    error::{Fault, Outcome},
    run::Run,
    value::{Map, Text, Value},
};

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Any,
    Text,
    Int,
    Float,
    Bool,
    /// A `map[string]interface {}`.
    Map,
}

impl Type {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Text => "a string",
            Self::Int => "an int",
            Self::Float => "a float64",
            Self::Bool => "a bool",
            Self::Map => "a map",
        }
    }
}

/// A function of templates: its name, what it takes, and what it does.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [Type],
    /// What any number of further arguments are.
    pub(crate) rest: Option<Type>,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    /// `and` and `or`: the first argument of this truth, or the last.
    Choice(bool),
    Call(fn(&mut Run, Arguments<'_>) -> Outcome<Value>),
}

impl Function {
    const fn new(
        name: &'static str,
        parameters: &'static [Type],
        body: fn(&mut Run, Arguments<'_>) -> Outcome<Value>,
    ) -> Self {
        Self {
            name,
            parameters,
            rest: None,
            body: Body::Call(body),
        }
    }

    const fn many(mut self, rest: Type) -> Self {
        self.rest = Some(rest);
        self
    }
}

/// A call's arguments. They are of the types that the function's parameters have.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a>(pub(crate) &'a [Value]);

impl<'a> Arguments<'a> {
    fn any(self, i: usize) -> &'a Value {
        self.0.get(i).unwrap_or(&Value::Nil)
    }

    /// Those from here on.
    fn from(self, i: usize) -> &'a [Value] {
        self.0.get(i..).unwrap_or_default()
    }

    fn text(self, i: usize) -> &'a [u8] {
        match self.any(i) {
            Value::Text(text) => text,
            _ => &[],
        }
    }

    fn shared(self, i: usize) -> Text {
        match self.any(i) {
            Value::Text(text) => text.clone(),
            _ => Text::default(),
        }
    }

    fn int(self, i: usize) -> i64 {
        match self.any(i) {
            Value::Int(int) => *int,
            _ => 0,
        }
    }

    fn map(self, i: usize) -> Outcome<&'a Map> {
        match self.any(i) {
            Value::Map(map) => Ok(map),
            other => Err(Fault::new(format!(
                "it needs a map, not {}: give it a dict",
                other.type_name()
            ))),
        }
    }
}

/// The function of a name, or why there is none.
pub(crate) fn find(name: &str) -> Result<&'static Function, String> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static Function>> = LazyLock::new(|| {
        let all = [
            builtin::FUNCTIONS,
            cases::FUNCTIONS,
            compare::FUNCTIONS,
            convert::FUNCTIONS,
            decimal::FUNCTIONS,
            defaults::FUNCTIONS,
            dicts::FUNCTIONS,
            encoding::FUNCTIONS,
            escape::FUNCTIONS,
            json::FUNCTIONS,
            lists::FUNCTIONS,
            merge::FUNCTIONS,
            numbers::FUNCTIONS,
            regex::FUNCTIONS,
            strings::FUNCTIONS,
            texts::FUNCTIONS,
            wrap::FUNCTIONS,
        ];
        all.into_iter().flatten().map(|f| (f.name, f)).collect()
    });
    BY_NAME.get(name).copied().ok_or_else(|| refused::why(name))
}

/// A text with room for as much as may still be made.
fn printed(run: &mut Run, write: impl FnOnce(&mut crate::format::Out)) -> Outcome<Value> {
    let mut out = crate::format::Out::new(run.room());
    write(&mut out);
    match out.finish() {
        Some(text) => run.text(text),
        // It didn't fit, so this is the error that says so.
        None => run.make(usize::MAX).map(|()| Value::Nil),
    }
}

/// How a value prints.
fn string_value(run: &mut Run, value: &Value) -> Outcome<Text> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        value => match printed(run, |out| crate::format::print(out, std::slice::from_ref(value)))? {
            Value::Text(text) => Ok(text),
            _ => Ok(Text::default()),
        },
    }
}
