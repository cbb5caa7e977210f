//! From any value to a number, and what type a value has.

use super::{Arguments, Function, Type, string_value};
use crate::{
    error::Outcome,
    literal::{parse_float, parse_int, parse_saturating},
    run::Run,
    value::Value,
};

use Type::{Any, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("int", &[Any], |_, a| Ok(Value::Int(to_int(a.any(0))))),
    Function::new("int64", &[Any], |_, a| Ok(Value::Int64(to_int(a.any(0))))),
    Function::new("float64", &[Any], |_, a| Ok(Value::Float(to_float(a.any(0))))),
    Function::new("atoi", &[Text], |_, a| {
        let text = std::str::from_utf8(a.text(0)).unwrap_or_default();
        Ok(Value::Int(parse_saturating(text).unwrap_or(0)))
    }),
    Function::new("toDecimal", &[Any], |run, a| {
        // What is an octal number is read so; anything else is 0.
        let text = string_value(run, a.any(0))?;
        let text = std::str::from_utf8(&text).unwrap_or_default();
        Ok(Value::Int64(parse_int(text, 8).unwrap_or(0)))
    }),
    Function::new("typeOf", &[Any], |run, a| run.text(a.any(0).type_name())),
    Function::new("typeIs", &[Text, Any], is_type),
    Function::new("typeIsLike", &[Text, Any], is_type),
    Function::new("kindOf", &[Any], |run, a| run.text(a.any(0).kind_name())),
    Function::new("kindIs", &[Text, Any], |_, a| {
        Ok(Value::Bool(a.text(0) == a.any(1).kind_name().as_bytes()))
    }),
];

fn is_type(_: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    Ok(Value::Bool(a.text(0) == a.any(1).type_name().as_bytes()))
}

/// The whole part; 0 of what isn't a number.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(i) | Value::Int64(i) => *i,
        Value::Byte(b) => i64::from(*b),
        Value::Float(f) => truncated(*f),
        Value::Bool(b) => i64::from(*b),
        Value::Text(text) => {
            let text = std::str::from_utf8(text).unwrap_or_default();
            parse_int(without_zeros(text), 0).unwrap_or(0)
        }
        _ => 0,
    }
}

/// The number; 0 of what isn't one.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(i) | Value::Int64(i) => *i as f64,
        Value::Byte(b) => f64::from(*b),
        Value::Float(f) => *f,
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::Text(text) => {
            let text = std::str::from_utf8(text).unwrap_or_default();
            parse_float(text).unwrap_or(0.0)
        }
        _ => 0.0,
    }
}

/// What Go makes of a float on amd64: out of range is the smallest int.
fn truncated(float: f64) -> i64 {
    match (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float) {
        true => float as i64,
        false => i64::MIN,
    }
}

/// Without a point and nothing but zeros after it.
fn without_zeros(text: &str) -> &str {
    let bare = text.trim_end_matches('0');
    match bare.strip_suffix('.') {
        Some(whole) if bare.len() < text.len() => whole,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_strings_are_read_as_go_reads_them() {
        for (text, int) in [
            ("1.00", 1),
            ("010", 8),
            ("0x1f", 31),
            ("1.5", 0),
            ("1.", 0),
            ("x", 0),
        ] {
            assert_eq!(to_int(&Value::text(text.as_bytes())), int, "{text}");
        }
        assert_eq!(to_int(&Value::Float(1e300)), i64::MIN);
        assert_eq!(to_int(&Value::Float(-1.9)), -1);
    }
}
