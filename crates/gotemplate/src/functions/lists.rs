//! Sprig's lists. They aren't changed: what changes one gives another.

use super::{Arguments, Function, Type};
use crate::{
    error::{Fault, Outcome},
    functions::convert::to_int,
    run::Run,
    value::{Element, List, Value},
};

use Type::{Any, Int};

type Body = fn(&mut Run, Arguments<'_>) -> Outcome<Value>;

const fn one(name: &'static str, body: Body) -> Function {
    Function::new(name, &[Any], body)
}

const fn two(name: &'static str, body: Body) -> Function {
    Function::new(name, &[Any, Any], body)
}

// The functions with "must" give their errors rather than panic, and a panic is an error too: here they're the same.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("list", &[], list_of).many(Any),
    Function::new("tuple", &[], list_of).many(Any),
    one("first", first),
    one("mustFirst", first),
    one("last", last),
    one("mustLast", last),
    one("rest", rest),
    one("mustRest", rest),
    one("initial", initial),
    one("mustInitial", initial),
    two("append", append),
    two("mustAppend", append),
    two("push", append),
    two("mustPush", append),
    two("prepend", prepend),
    two("mustPrepend", prepend),
    one("reverse", reverse),
    one("mustReverse", reverse),
    one("compact", compact),
    one("mustCompact", compact),
    one("uniq", uniq),
    one("mustUniq", uniq),
    one("without", without).many(Any),
    one("mustWithout", without).many(Any),
    two("has", has),
    two("mustHas", has),
    one("slice", slice).many(Any),
    one("mustSlice", slice).many(Any),
    Function::new("concat", &[], concat).many(Any),
    Function::new("chunk", &[Int, Any], chunk),
    Function::new("mustChunk", &[Int, Any], chunk),
];

fn list(value: &Value) -> Outcome<&List> {
    match value {
        Value::List(list) => Ok(list),
        other => Err(Fault::new(format!(
            "it needs a list, not {}: make one with list",
            other.type_name()
        ))),
    }
}

fn list_of(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    run.list(Element::Any, a.from(0).to_vec())
}

fn first(_: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    Ok(list(a.any(0))?.get(0).unwrap_or(Value::NilInterface))
}

fn last(_: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let list = list(a.any(0))?;
    Ok(list
        .len()
        .checked_sub(1)
        .and_then(|i| list.get(i))
        .unwrap_or(Value::NilInterface))
}

fn rest(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let list = list(a.any(0))?;
    match list.len() {
        0 => Ok(Run::nil_list(Element::Any)),
        _ => run.list(Element::Any, list.items.borrow()[1..].to_vec()),
    }
}

fn initial(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let list = list(a.any(0))?;
    match list.len().checked_sub(1) {
        None => Ok(Run::nil_list(Element::Any)),
        Some(end) => run.list(Element::Any, list.items.borrow()[..end].to_vec()),
    }
}

fn append(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let list = list(a.any(0))?;
    run.step(list.len())?;
    let mut items = list.to_vec();
    items.push(a.any(1).clone());
    run.list(Element::Any, items)
}

fn prepend(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let list = list(a.any(0))?;
    run.step(list.len())?;
    let mut items = vec![a.any(1).clone()];
    items.extend(list.to_vec());
    run.list(Element::Any, items)
}

fn reverse(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut items = list(a.any(0))?.to_vec();
    items.reverse();
    run.list(Element::Any, items)
}

fn compact(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut items = list(a.any(0))?.to_vec();
    items.retain(Value::truth);
    run.list(Element::Any, items)
}

fn contains(run: &mut Run, items: &[Value], wanted: &Value) -> Outcome<bool> {
    for item in items {
        if run.deep_equal(wanted, item, 0)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut kept = Vec::new();
    for item in list(a.any(0))?.to_vec() {
        if !contains(run, &kept, &item)? {
            kept.push(item);
        }
    }
    run.list(Element::Any, kept)
}

fn without(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut kept = Vec::new();
    for item in list(a.any(0))?.to_vec() {
        if !contains(run, a.from(1), &item)? {
            kept.push(item);
        }
    }
    run.list(Element::Any, kept)
}

fn has(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    if a.any(1).is_nil() {
        return Ok(Value::Bool(false));
    }
    let items = list(a.any(1))?.to_vec();
    Ok(Value::Bool(contains(run, &items, a.any(0))?))
}

/// From a position to before another, which are the list's ends if they aren't given.
fn slice(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let list = list(a.any(0))?;
    if list.len() == 0 {
        return Ok(Value::NilInterface);
    }
    let position = |i: usize, default: usize| match a.from(1).get(i) {
        Some(value) => usize::try_from(to_int(value)).ok(),
        None => Some(default),
    };
    let range = position(0, 0).zip(position(1, list.len()));
    let items = range.and_then(|(start, end)| Some(list.items.borrow().get(start..end)?.to_vec()));
    match items {
        Some(items) => run.list(list.element, items),
        None => Err(Fault::new(format!(
            "the range is outside of the list, or ends before it starts: there are {} elements",
            list.len()
        ))),
    }
}

fn concat(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut all = Vec::new();
    for value in a.from(0) {
        let list = list(value)?;
        run.make(list.len() * 32)?;
        all.extend(list.to_vec());
    }
    match all.is_empty() {
        true => Ok(Run::nil_list(Element::Any)),
        false => run.list(Element::Any, all),
    }
}

fn chunk(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let items = list(a.any(1))?.to_vec();
    let Some(size) = usize::try_from(a.int(0)).ok().filter(|&size| size > 0) else {
        return Err(Fault::new("the size must be 1 or more"));
    };
    let chunks: Outcome<Vec<_>> = items
        .chunks(size)
        .map(|chunk| run.list(Element::Any, chunk.to_vec()))
        .collect();
    run.list(Element::List, chunks?)
}
