//! Sprig's dicts, which are shared: `set` shows in all variables that have the dict.

use super::{Arguments, Function, Type, string_value};
use crate::{
    error::{Fault, Outcome},
    limits::NESTING,
    run::{Run, too_deep},
    value::{Element, Entries, Value},
};

use Type::{Any, Map, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("dict", &[], dict).many(Any),
    Function::new("get", &[Map, Text], |_, a| {
        Ok(a.map(0)?.get(a.text(1)).unwrap_or_else(|| Value::text(b"")))
    }),
    Function::new("set", &[Map, Text, Any], |run, a| {
        run.set(a.map(0)?, a.shared(1), a.any(2).clone())?;
        Ok(a.any(0).clone())
    }),
    Function::new("unset", &[Map, Text], |_, a| {
        a.map(0)?.entries.borrow_mut().remove(a.text(1));
        Ok(a.any(0).clone())
    }),
    Function::new("hasKey", &[Map, Text], |_, a| {
        Ok(Value::Bool(a.map(0)?.get(a.text(1)).is_some()))
    }),
    Function::new("pluck", &[Text], pluck).many(Map),
    Function::new("keys", &[], keys).many(Map),
    Function::new("values", &[Map], |run, a| {
        let values = a.map(0)?.to_vec().into_iter().map(|(_, value)| value).collect();
        run.list(Element::Any, values)
    }),
    Function::new("pick", &[Map], |run, a| {
        let map = a.map(0)?;
        let mut picked = Entries::new();
        for key in a.from(1) {
            if let Value::Text(key) = key
                && let Some(value) = map.get(key)
            {
                picked.insert(key.clone(), value);
            }
        }
        Ok(Value::Map(run.map(Element::Any, picked)?))
    })
    .many(Text),
    Function::new("omit", &[Map], |run, a| {
        let mut kept = a.map(0)?.entries.borrow().clone();
        run.step(kept.len())?;
        for key in a.from(1) {
            if let Value::Text(key) = key {
                kept.remove(key);
            }
        }
        Ok(Value::Map(run.map(Element::Any, kept)?))
    })
    .many(Text),
    Function::new("deepCopy", &[Any], deep_copy),
    Function::new("mustDeepCopy", &[Any], deep_copy),
    Function::new("dig", &[], dig).many(Any),
];

/// Keys and values in turn; a value that is missing is empty.
fn dict(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut entries = Entries::new();
    for pair in a.from(0).chunks(2) {
        let key = string_value(run, &pair[0])?;
        let value = pair.get(1).cloned().unwrap_or_else(|| Value::text(b""));
        entries.insert(key, value);
    }
    Ok(Value::Map(run.map(Element::Any, entries)?))
}

fn pluck(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut found = Vec::new();
    for i in 1..=a.from(1).len() {
        found.extend(a.map(i)?.get(a.text(0)));
    }
    run.list(Element::Any, found)
}

fn keys(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut keys = Vec::new();
    for i in 0..a.from(0).len() {
        keys.extend(a.map(i)?.to_vec().into_iter().map(|(key, _)| Value::Text(key)));
    }
    run.list(Element::Text, keys)
}

fn deep_copy(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    match a.any(0).is_nil() {
        true => Err(Fault::new("nil can't be copied: test with if before")),
        false => copy(run, a.any(0), 0),
    }
}

fn copy(run: &mut Run, value: &Value, depth: usize) -> Outcome<Value> {
    run.step(1)?;
    if depth > NESTING {
        return Err(too_deep());
    }
    match value {
        Value::List(list) if list.nil => Ok(value.clone()),
        Value::List(list) => {
            let items: Outcome<Vec<_>> = list
                .to_vec()
                .iter()
                .map(|item| copy(run, item, depth + 1))
                .collect();
            run.list(list.element, items?)
        }
        Value::Map(map) => {
            let mut entries = Entries::new();
            for (key, value) in map.to_vec() {
                entries.insert(key, copy(run, &value, depth + 1)?);
            }
            Ok(Value::Map(run.map(map.element, entries)?))
        }
        value => Ok(value.clone()),
    }
}

/// The value under keys in each other, or the one before the last argument.
fn dig(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let [keys @ .., default, start] = a.from(0) else {
        return Err(few());
    };
    if keys.is_empty() {
        return Err(few());
    }
    if !keys.iter().all(|key| matches!(key, Value::Text(_))) {
        return Err(Fault::new("the keys must be strings: quote them"));
    }
    let mut value = start.clone();
    for key in keys {
        run.step(1)?;
        let Value::Text(key) = key else { continue };
        value = match &value {
            Value::Map(map) if map.element == Element::Any => match map.get(key) {
                Some(value) => value,
                None => return Ok(default.clone()),
            },
            other => {
                return Err(Fault::new(format!(
                    "it needs a map at each key but the last, not {}: dig less deep",
                    other.type_name()
                )));
            }
        };
    }
    Ok(value)
}

fn few() -> Fault {
    Fault::new("it needs at least three arguments: keys, a default, and a dict")
}
