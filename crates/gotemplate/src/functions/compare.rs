//! Comparisons, of Go and of Sprig.

use std::cmp::Ordering;

use super::{Arguments, Function, Type::Any};
use crate::{
    error::{Fault, Outcome},
    run::Run,
    value::Value,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("eq", &[Any], eq).many(Any),
    Function::new("ne", &[Any, Any], |_, a| {
        Ok(Value::Bool(!equal(a.any(0), a.any(1))?))
    }),
    Function::new("lt", &[Any, Any], |_, a| {
        Ok(Value::Bool(less(a.any(0), a.any(1))?))
    }),
    Function::new("le", &[Any, Any], |_, a| Ok(Value::Bool(at_most(a)?))),
    Function::new("gt", &[Any, Any], |_, a| Ok(Value::Bool(!at_most(a)?))),
    Function::new("ge", &[Any, Any], |_, a| {
        Ok(Value::Bool(!less(a.any(0), a.any(1))?))
    }),
    Function::new("deepEqual", &[Any, Any], |run, a| {
        Ok(Value::Bool(run.deep_equal(a.any(0), a.any(1), 0)?))
    }),
];

/// Is the first one equal to any of the others?
fn eq(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    if a.from(1).is_empty() {
        return Err(Fault::new(
            "there is nothing to compare with: give it two arguments",
        ));
    }
    for other in a.from(1) {
        run.step(1)?;
        if equal(a.any(0), other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal(a: &Value, b: &Value) -> Outcome<bool> {
    use Value::{Bool, Byte, Float, Int, Int64, List, Map, Text};
    Ok(match (a, b) {
        (a, b) if a.is_nil() || b.is_nil() => {
            // A slice that is nil is nil, too; nothing else in here is.
            let nil = |v: &Value| v.is_nil() || matches!(v, List(list) if list.nil);
            let basic = |v: &Value| !v.is_nil() && !matches!(v, List(_) | Map(_));
            !basic(a) && !basic(b) && nil(a) == nil(b)
        }
        (Bool(a), Bool(b)) => a == b,
        (Text(a), Text(b)) => a == b,
        (Float(a), Float(b)) => a == b,
        (Int(a) | Int64(a), Int(b) | Int64(b)) => a == b,
        (Byte(a), Byte(b)) => a == b,
        (Byte(byte), Int(int) | Int64(int)) | (Int(int) | Int64(int), Byte(byte)) => i64::from(*byte) == *int,
        (List(a), List(b)) if a.nil || b.nil => a.nil == b.nil,
        (List(_), List(_)) | (Map(_), Map(_)) => {
            return Err(Fault::new("lists and maps can't be compared: use deepEqual"));
        }
        (a, b) => return Err(different(a, b)),
    })
}

fn at_most(a: Arguments<'_>) -> Outcome<bool> {
    Ok(less(a.any(0), a.any(1))? || equal(a.any(0), a.any(1))?)
}

fn less(a: &Value, b: &Value) -> Outcome<bool> {
    use Value::{Byte, Float, Int, Int64, Text};
    let order = match (a, b) {
        (Text(a), Text(b)) => Some(a.cmp(b)),
        (Float(a), Float(b)) => a.partial_cmp(b),
        (Int(a) | Int64(a), Int(b) | Int64(b)) => Some(a.cmp(b)),
        (Byte(a), Byte(b)) => Some(a.cmp(b)),
        (Byte(a), Int(b) | Int64(b)) => Some(i64::from(*a).cmp(b)),
        (Int(a) | Int64(a), Byte(b)) => Some(a.cmp(&i64::from(*b))),
        (a, b) => return Err(different(a, b)),
    };
    Ok(order == Some(Ordering::Less))
}

fn different(a: &Value, b: &Value) -> Fault {
    Fault::new(format!(
        "types {} and {} have no order or equality: convert one, say with int, float64 or toString",
        a.type_name(),
        b.type_name()
    ))
}
