//! Strings to lists of them, and back.

use super::{Arguments, Function, Type, string_value};
use crate::{
    error::Outcome,
    functions::strings::find,
    run::Run,
    unicode::chars,
    value::{Element, Entries, Value},
};

use Type::{Any, Int, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("join", &[Text, Any], |run, a| {
        let parts = strings(run, a.any(1))?;
        let size: usize = parts.iter().map(|p| p.len() + a.text(0).len()).sum();
        run.make(size)?;
        let joined = parts.join(a.text(0));
        Ok(Value::text(&joined))
    }),
    Function::new("split", &[Text, Text], |run, a| {
        numbered(run, a.text(1), a.text(0), -1)
    }),
    Function::new("splitn", &[Text, Int, Text], |run, a| {
        numbered(run, a.text(2), a.text(0), a.int(1))
    }),
    Function::new("splitList", &[Text, Text], |run, a| {
        let parts = parts(run, a.text(1), a.text(0), -1)?;
        run.texts(parts)
    }),
    Function::new("toStrings", &[Any], |run, a| match a.any(0) {
        list @ Value::List(inner) if inner.element == Element::Text => Ok(list.clone()),
        value => {
            let texts = strings(run, value)?;
            run.texts(texts)
        }
    }),
    Function::new("sortAlpha", &[Any], sort),
];

/// The strings of a list's elements but nil; of anything else, its own.
fn strings(run: &mut Run, value: &Value) -> Outcome<Vec<crate::value::Text>> {
    match value {
        Value::Nil | Value::NilInterface => Ok(Vec::new()),
        Value::List(list) => {
            run.step(list.len())?;
            let items = list.to_vec();
            items
                .iter()
                .filter(|item| !item.is_nil())
                .map(|item| string_value(run, item))
                .collect()
        }
        value => Ok(vec![string_value(run, value)?]),
    }
}

/// Cuts at each separator, into so many parts at most; without a separator, into characters.
fn parts<'t>(run: &mut Run, text: &'t [u8], separator: &[u8], most: i64) -> Outcome<Vec<&'t [u8]>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let mut rest = text;
    if most == 0 {
        return Ok(parts);
    }
    while parts.len() + 1 < most {
        run.step(1)?;
        let (part, skipped) = match separator.is_empty() {
            true => match chars(rest).next() {
                Some((_, bytes)) => (bytes.len(), 0),
                None => return Ok(parts),
            },
            false => match find(rest, separator) {
                Some(at) => (at, separator.len()),
                None => break,
            },
        };
        parts.push(&rest[..part]);
        rest = &rest[part + skipped..];
    }
    if !(separator.is_empty() && rest.is_empty()) {
        parts.push(rest);
    }
    Ok(parts)
}

/// A map of the parts under `_0`, `_1`, and so on.
fn numbered(run: &mut Run, text: &[u8], separator: &[u8], most: i64) -> Outcome<Value> {
    let mut entries = Entries::new();
    for (i, part) in parts(run, text, separator, most)?.into_iter().enumerate() {
        entries.insert(format!("_{i}").as_bytes().into(), run.text(part)?);
    }
    Ok(Value::Map(run.map(Element::Text, entries)?))
}

/// Sorts a `[]string` where it is, and anything else in a copy. That's Go.
fn sort(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let list = match a.any(0) {
        Value::List(list) if list.element == Element::Text => a.any(0).clone(),
        value @ Value::List(_) => {
            let texts = strings(run, value)?;
            run.texts(texts)?
        }
        value => {
            let text = string_value(run, value)?;
            run.texts([text])?
        }
    };
    if let Value::List(list) = &list {
        run.step(list.len())?;
        list.items.borrow_mut().sort_by(|a, b| match (a, b) {
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            _ => std::cmp::Ordering::Equal,
        });
    }
    Ok(list)
}
