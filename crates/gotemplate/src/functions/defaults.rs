//! What stands in for what is empty.

use super::{Function, Type};
use crate::value::Value;

use Type::{Any, Bool};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("default", &[Any], |_, a| {
        let given = a.any(1);
        Ok(if given.truth() { given } else { a.any(0) }.clone())
    })
    .many(Any),
    Function::new("empty", &[Any], |_, a| Ok(Value::Bool(!a.any(0).truth()))),
    Function::new("coalesce", &[], |_, a| {
        let found = a.from(0).iter().find(|value| value.truth());
        Ok(found.cloned().unwrap_or(Value::NilInterface))
    })
    .many(Any),
    Function::new("all", &[], |_, a| {
        Ok(Value::Bool(a.from(0).iter().all(Value::truth)))
    })
    .many(Any),
    Function::new("any", &[], |_, a| {
        Ok(Value::Bool(a.from(0).iter().any(Value::truth)))
    })
    .many(Any),
    Function::new("ternary", &[Any, Any, Bool], |_, a| {
        Ok(a.any(usize::from(!a.any(2).truth())).clone())
    }),
];
