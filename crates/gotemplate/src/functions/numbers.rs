//! Sprig's arithmetic. Whole numbers wrap around, as Go's do.

use super::{
    Arguments, Function, Type,
    convert::{to_float, to_int},
};
use crate::{
    error::{Fault, Outcome},
    run::Run,
    value::{Element, Value},
};

use Type::{Any, Float, Int};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("add1", &[Any], |_, a| {
        Ok(Value::Int64(to_int(a.any(0)).wrapping_add(1)))
    }),
    Function::new("add", &[], |_, a| {
        let sum = a.from(0).iter().map(to_int).fold(0, i64::wrapping_add);
        Ok(Value::Int64(sum))
    })
    .many(Any),
    Function::new("sub", &[Any, Any], |_, a| {
        Ok(Value::Int64(to_int(a.any(0)).wrapping_sub(to_int(a.any(1)))))
    }),
    Function::new("mul", &[Any], |_, a| {
        let product = a.from(0).iter().map(to_int).fold(1, i64::wrapping_mul);
        Ok(Value::Int64(product))
    })
    .many(Any),
    Function::new("div", &[Any, Any], |_, a| {
        nonzero(a).map(|(a, b)| Value::Int64(a.wrapping_div(b)))
    }),
    Function::new("mod", &[Any, Any], |_, a| {
        nonzero(a).map(|(a, b)| Value::Int64(a.wrapping_rem(b)))
    }),
    Function::new("max", &[Any], largest).many(Any),
    Function::new("biggest", &[Any], largest).many(Any),
    Function::new("min", &[Any], |_, a| {
        let least = a.from(1).iter().map(to_int).fold(to_int(a.any(0)), i64::min);
        Ok(Value::Int64(least))
    })
    .many(Any),
    Function::new("maxf", &[Any], |_, a| {
        Ok(Value::Float(extreme(a, |a, b| {
            if a == b && a.is_sign_negative() || b > a {
                b
            } else {
                a
            }
        })))
    })
    .many(Any),
    Function::new("minf", &[Any], |_, a| {
        Ok(Value::Float(extreme(a, |a, b| {
            if a == b && b.is_sign_negative() || b < a {
                b
            } else {
                a
            }
        })))
    })
    .many(Any),
    Function::new("ceil", &[Any], |_, a| Ok(Value::Float(to_float(a.any(0)).ceil()))),
    Function::new("floor", &[Any], |_, a| {
        Ok(Value::Float(to_float(a.any(0)).floor()))
    }),
    Function::new("round", &[Any, Int], round).many(Float),
    Function::new("until", &[Int], |run, a| {
        let count = a.int(0);
        count_up(run, 0, count, if count < 0 { -1 } else { 1 })
    }),
    Function::new("untilStep", &[Int, Int, Int], |run, a| {
        count_up(run, a.int(0), a.int(1), a.int(2))
    }),
    Function::new("seq", &[], seq).many(Int),
];

fn largest(_: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let largest = a.from(1).iter().map(to_int).fold(to_int(a.any(0)), i64::max);
    Ok(Value::Int64(largest))
}

fn nonzero(a: Arguments<'_>) -> Outcome<(i64, i64)> {
    match to_int(a.any(1)) {
        0 => Err(Fault::new("division by zero: test the divisor before")),
        divisor => Ok((to_int(a.any(0)), divisor)),
    }
}

fn extreme(a: Arguments<'_>, choose: impl Fn(f64, f64) -> f64) -> f64 {
    let first = to_float(a.any(0));
    a.from(1).iter().map(to_float).fold(first, |a, b| {
        if a.is_nan() || b.is_nan() {
            // An infinity that would win anyway does.
            match choose(0.0, if a.is_nan() { b } else { a }) {
                winner if winner.is_infinite() => winner,
                _ => f64::NAN,
            }
        } else {
            choose(a, b)
        }
    })
}

/// To so many decimal places; what is at or beyond the last argument's fraction goes up.
fn round(_: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let up_from = match a.any(2) {
        Value::Float(float) => *float,
        _ => 0.5,
    };
    let power = power_of_ten(a.int(1));
    let digits = power * to_float(a.any(0));
    let rounded = match digits.fract() >= up_from {
        true => digits.ceil(),
        false => digits.floor(),
    };
    Ok(Value::Float(rounded / power))
}

fn power_of_ten(places: i64) -> f64 {
    format!("1e{places}").parse().unwrap_or(f64::NAN)
}

/// How many numbers a count gives.
fn length(start: i64, stop: i64, step: i64) -> usize {
    if step == 0 || (stop < start) != (step < 0) {
        return 0;
    }
    let distance = i128::from(stop) - i128::from(start);
    let step = i128::from(step);
    usize::try_from((distance.abs() + step.abs() - 1) / step.abs()).unwrap_or(usize::MAX)
}

fn count_up(run: &mut Run, start: i64, stop: i64, step: i64) -> Outcome<Value> {
    let count = length(start, stop, step);
    run.step(count)?;
    run.make(count.saturating_mul(8))?;
    let items = (0..count as i64)
        .map(|i| Value::Int(start.wrapping_add(i.wrapping_mul(step))))
        .collect();
    run.list(Element::Int, items)
}

/// Numbers with spaces between, as the program of this name writes them.
fn seq(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let (start, step, end) = match a.from(0).len() {
        1 => (1, None, a.int(0)),
        2 => (a.int(0), None, a.int(1)),
        3 => (a.int(0), Some(a.int(1)), a.int(2)),
        _ => return run.text(b""),
    };
    let direction = if end < start { -1 } else { 1 };
    let step = step.unwrap_or(direction);
    if direction < 0 && step > 0 {
        return run.text(b"");
    }
    let count = length(start, end.wrapping_add(direction), step);
    run.step(count)?;
    run.make(count.saturating_mul(8))?;
    let numbers: Vec<_> = (0..count as i64)
        .map(|i| start.wrapping_add(i.wrapping_mul(step)).to_string())
        .collect();
    run.text(numbers.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_end_before_the_stop() {
        assert_eq!(length(0, 5, 2), 3);
        assert_eq!(length(5, 0, -2), 3);
        assert_eq!(length(0, 5, -1), 0);
        assert_eq!(length(0, 0, -1), 0);
        assert_eq!(length(0, 5, 0), 0);
        assert_eq!(length(i64::MIN, i64::MAX, 1), usize::MAX);
    }
}
