//! Go's own functions, but for comparisons and escapes.

use super::{Arguments, Body, Function, Type, printed};
use crate::{
    error::{Fault, Outcome},
    format,
    run::Run,
    value::{Element, Value},
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "and",
        parameters: &[Type::Any],
        rest: Some(Type::Any),
        body: Body::Choice(false),
    },
    Function {
        name: "or",
        parameters: &[Type::Any],
        rest: Some(Type::Any),
        body: Body::Choice(true),
    },
    Function::new("not", &[Type::Any], |_, a| Ok(Value::Bool(!a.any(0).truth()))),
    Function::new("len", &[Type::Any], length),
    Function::new("index", &[Type::Any], index).many(Type::Any),
    Function::new("print", &[], |run, a| {
        printed(run, |out| format::print(out, a.from(0)))
    })
    .many(Type::Any),
    Function::new("println", &[], |run, a| {
        printed(run, |out| format::println(out, a.from(0)))
    })
    .many(Type::Any),
    Function::new("printf", &[Type::Text], |run, a| {
        printed(run, |out| format::printf(out, a.text(0), a.from(1)))
    })
    .many(Type::Any),
];

fn length(_: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let length = match a.any(0) {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        other => {
            return Err(Fault::new(format!(
                "type {} has no length: give it a string, a list or a map",
                other.type_name()
            )));
        }
    };
    Ok(Value::Int(length as i64))
}

/// `index x 1 "a"` is `x[1]["a"]`. A map without the key gives the zero of its type.
fn index(_: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut item = a.any(0).clone();
    if item.is_nil() {
        return Err(Fault::new("nil has no elements: test with if before"));
    }
    for key in a.from(1) {
        item = match (&item, key) {
            (Value::List(list), key) => {
                let index = position(key, list.len())?;
                list.get(index).ok_or_else(|| out_of_range(list.len()))?
            }
            (Value::Text(text), key) => {
                let index = position(key, text.len())?;
                let byte = text.get(index).ok_or_else(|| out_of_range(text.len()))?;
                Value::Byte(*byte)
            }
            (Value::Map(map), Value::Text(key)) => match (map.get(key), map.element) {
                (Some(value), _) => value,
                (None, Element::Text) => Value::text(b""),
                (None, _) => Value::NilInterface,
            },
            (Value::Map(_), key) => {
                return Err(Fault::new(format!(
                    "a map's keys are strings, not {}: quote the key",
                    key.type_name()
                )));
            }
            (other, _) => {
                return Err(Fault::new(format!(
                    "type {} has no elements: give it a list, a map or a string",
                    other.type_name()
                )));
            }
        };
    }
    Ok(item)
}

fn position(key: &Value, length: usize) -> Outcome<usize> {
    let index = match key {
        Value::Int(i) | Value::Int64(i) => usize::try_from(*i).ok(),
        Value::Byte(b) => Some(usize::from(*b)),
        other => {
            return Err(Fault::new(format!(
                "an index is an int, not {}: convert it with int",
                other.type_name()
            )));
        }
    };
    index.filter(|&i| i < length).ok_or_else(|| out_of_range(length))
}

fn out_of_range(length: usize) -> Fault {
    Fault::new(format!(
        "the index is out of range: there are {length} elements, from 0"
    ))
}
