//! Merging dicts, into the first one.

use std::rc::Rc;

use super::{Arguments, Function, Type::Map as MapType};
use crate::{
    error::Outcome,
    limits::NESTING,
    run::{Run, too_deep},
    value::{Map, Value},
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("merge", &[MapType], |run, a| merge_all(run, a, false)).many(MapType),
    Function::new("mustMerge", &[MapType], |run, a| merge_all(run, a, false)).many(MapType),
    Function::new("mergeOverwrite", &[MapType], |run, a| merge_all(run, a, true)).many(MapType),
    Function::new("mustMergeOverwrite", &[MapType], |run, a| merge_all(run, a, true)).many(MapType),
];

fn merge_all(run: &mut Run, a: Arguments<'_>, overwrite: bool) -> Outcome<Value> {
    for i in 1..=a.from(1).len() {
        merge(run, a.map(0)?, a.map(i)?, overwrite, 0)?;
    }
    Ok(a.any(0).clone())
}

/// Takes over what the target lacks or has empty; all, to overwrite. Maps in both are merged themselves.
fn merge(run: &mut Run, target: &Map, source: &Map, overwrite: bool, depth: usize) -> Outcome<()> {
    if depth > NESTING {
        return Err(too_deep());
    }
    if Rc::ptr_eq(&target.entries, &source.entries) {
        return Ok(());
    }
    for (key, value) in source.to_vec() {
        run.step(1)?;
        let old = target.get(&key);
        if value.is_nil() {
            if overwrite {
                run.set(target, key, value)?;
            }
            continue;
        }
        match (&old, &value) {
            (Some(Value::Map(old)), Value::Map(value)) => {
                merge(run, old, value, overwrite, depth + 1)?;
                if old.len() > 0 {
                    continue;
                }
            }
            // Another list is taken over only to overwrite.
            (Some(old), Value::List(_)) if old.truth() && !overwrite => continue,
            _ => {}
        }
        if overwrite || !old.is_some_and(|old| old.truth()) {
            run.set(target, key, value)?;
        }
    }
    Ok(())
}
