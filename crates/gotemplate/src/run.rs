//! One rendering: what it may still use, and what it must tidy up.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use regex::bytes::Regex;

use crate::{
    error::{Fault, Outcome},
    limits::{Limits, NESTING},
    value::{Element, Entries, List, Map, Text, Value},
};

/// What an element of a list or map counts for, in bytes.
const ELEMENT: usize = 32;

pub(crate) struct Run {
    steps: u64,
    bytes: usize,
    limits: Limits,
    /// All maps. They may hold each other in circles, so they are emptied at the end.
    maps: Vec<Rc<RefCell<Entries>>>,
    /// Regular expressions by what they were written as.
    pub(crate) expressions: HashMap<Text, Rc<Regex>>,
}

impl Run {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            steps: limits.steps,
            bytes: limits.value_bytes,
            limits: *limits,
            maps: Vec::new(),
            expressions: HashMap::new(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes steps.
    pub(crate) fn step(&mut self, count: usize) -> Outcome<()> {
        let left = self.steps.checked_sub(count as u64);
        self.steps = left.unwrap_or(0);
        left.map(drop).ok_or_else(|| {
            Fault::limit(format!(
                "more than {} steps: loop over less, or raise the limit",
                self.limits.steps
            ))
        })
    }

    /// Takes bytes for a value that is to be made.
    pub(crate) fn make(&mut self, bytes: usize) -> Outcome<()> {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(0);
        left.map(drop).ok_or_else(|| {
            Fault::limit(format!(
                "functions made values of more than {} bytes: make less, or raise the limit",
                self.limits.value_bytes
            ))
        })
    }

    /// How many bytes a value may still have.
    pub(crate) fn room(&self) -> usize {
        self.bytes
    }

    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) -> Outcome<Value> {
        let text = text.as_ref();
        self.make(text.len())?;
        Ok(Value::text(text))
    }

    pub(crate) fn list(&mut self, element: Element, mut items: Vec<Value>) -> Outcome<Value> {
        items.iter_mut().for_each(hold);
        self.make((items.len() + 1) * ELEMENT)?;
        let below = items.iter().map(|item| match item {
            Value::List(list) => list.depth,
            _ => 0,
        });
        let depth = 1 + below.max().unwrap_or(0);
        if depth > NESTING {
            return Err(too_deep());
        }
        Ok(Value::List(List {
            element,
            items: Rc::new(RefCell::new(items)),
            nil: false,
            depth,
        }))
    }

    /// A slice that is nil: as good as empty, but null in JSON.
    pub(crate) fn nil_list(element: Element) -> Value {
        Value::List(List {
            element,
            items: Rc::default(),
            nil: true,
            depth: 1,
        })
    }

    pub(crate) fn texts<T: AsRef<[u8]>>(&mut self, texts: impl IntoIterator<Item = T>) -> Outcome<Value> {
        let items: Outcome<Vec<_>> = texts.into_iter().map(|text| self.text(text)).collect();
        self.list(Element::Text, items?)
    }

    pub(crate) fn map(&mut self, element: Element, mut entries: Entries) -> Outcome<Map> {
        entries.values_mut().for_each(hold);
        self.make((entries.len() + 1) * 2 * ELEMENT)?;
        let entries = Rc::new(RefCell::new(entries));
        self.maps.push(entries.clone());
        Ok(Map { element, entries })
    }

    /// Puts an entry into a map.
    pub(crate) fn set(&mut self, map: &Map, key: Text, mut value: Value) -> Outcome<()> {
        hold(&mut value);
        self.make(2 * ELEMENT + key.len())?;
        map.entries.borrow_mut().insert(key, value);
        Ok(())
    }

    /// JSON's value as Go's `encoding/json` reads it into an `interface {}`.
    pub(crate) fn json(&mut self, json: &serde_json::Value, depth: usize) -> Outcome<Value> {
        use serde_json::Value as Json;
        if depth > NESTING {
            return Err(too_deep());
        }
        Ok(match json {
            Json::Null => Value::NilInterface,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Value::text(text.as_bytes()),
            Json::Array(items) => {
                let items: Outcome<Vec<_>> = items.iter().map(|item| self.json(item, depth + 1)).collect();
                self.list(Element::Any, items?)?
            }
            Json::Object(entries) => {
                let entries: Outcome<Entries> = entries
                    .iter()
                    .map(|(key, value)| Ok((key.as_bytes().into(), self.json(value, depth + 1)?)))
                    .collect();
                Value::Map(self.map(Element::Any, entries?)?)
            }
        })
    }

    /// Deep equality as Go's reflection has it: types count.
    pub(crate) fn deep_equal(&mut self, a: &Value, b: &Value, depth: usize) -> Outcome<bool> {
        self.step(1)?;
        if depth > NESTING {
            return Err(too_deep());
        }
        Ok(match (a, b) {
            (a, b) if a.is_nil() || b.is_nil() => a.is_nil() && b.is_nil(),
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) | (Value::Int64(a), Value::Int64(b)) => a == b,
            (Value::Byte(a), Value::Byte(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => {
                self.step(a.len().min(b.len()) / 256)?;
                a == b
            }
            (Value::List(a), Value::List(b)) => {
                if a.element != b.element || a.nil != b.nil || a.len() != b.len() {
                    return Ok(false);
                }
                if Rc::ptr_eq(&a.items, &b.items) {
                    return Ok(true);
                }
                for (a, b) in a.to_vec().iter().zip(b.to_vec().iter()) {
                    if !self.deep_equal(a, b, depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Map(a), Value::Map(b)) => {
                if a.element != b.element || a.len() != b.len() {
                    return Ok(false);
                }
                if Rc::ptr_eq(&a.entries, &b.entries) {
                    return Ok(true);
                }
                for ((key, a), (other, b)) in a.to_vec().iter().zip(b.to_vec().iter()) {
                    if key != other || !self.deep_equal(a, b, depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => false,
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // One by one, while this still holds all of them: dropping one map then never drops the next within it.
        for map in &self.maps {
            let entries = std::mem::take(&mut *map.borrow_mut());
            drop(entries);
        }
    }
}

/// What a value is within a list or map: there, nil is in an interface.
fn hold(value: &mut Value) {
    if value.is_nil() {
        *value = Value::NilInterface;
    }
}

pub(crate) fn too_deep() -> Fault {
    Fault::limit(format!(
        "lists and maps are in each other more than {NESTING} deep: flatten them, and put no map into itself"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_in_itself_is_freed() {
        let weak = {
            let mut run = Run::new(&Limits::default());
            let Ok(map) = run.map(Element::Any, Entries::new()) else {
                panic!("an empty map is within limits")
            };
            assert!(
                run.set(&map, b"self".as_slice().into(), Value::Map(map.clone()))
                    .is_ok()
            );
            Rc::downgrade(&map.entries)
        };
        assert!(weak.upgrade().is_none());
    }
}
