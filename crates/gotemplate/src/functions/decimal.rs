//! Sprig's arithmetic on floats, which is decimal: `addf 0.1 0.2` is 0.3.

use num_bigint::{BigInt, Sign};

use super::{Arguments, Function, Type::Any, convert::to_float};
use crate::{
    error::{Fault, Outcome},
    run::Run,
    value::Value,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("addf", &[], |run, a| fold(run, 0.0, a.from(0), Decimal::plus)).many(Any),
    Function::new("add1f", &[Any], |run, a| {
        fold(run, to_float(a.any(0)), &[Value::Int(1)], Decimal::plus)
    }),
    Function::new("subf", &[Any], |run, a| first(run, a, Decimal::minus)).many(Any),
    Function::new("mulf", &[Any], |run, a| first(run, a, Decimal::times)).many(Any),
    Function::new("divf", &[Any], |run, a| first(run, a, Decimal::over)).many(Any),
];

/// How many places a quotient has.
const PLACES: i64 = 16;
/// Beyond so many digits, a product isn't worked out.
const DIGITS: u64 = 4_000;

/// Digits times a power of ten.
struct Decimal {
    digits: BigInt,
    exponent: i64,
}

type Operation = fn(Decimal, Decimal) -> Outcome<Decimal>;

fn first(run: &mut Run, a: Arguments<'_>, operation: Operation) -> Outcome<Value> {
    fold(run, to_float(a.any(0)), a.from(1), operation)
}

fn fold(run: &mut Run, start: f64, values: &[Value], operation: Operation) -> Outcome<Value> {
    let mut result = Decimal::new(start)?;
    for value in values {
        run.step(1 + usize::try_from(result.digits.bits() / 64).unwrap_or(0))?;
        result = operation(result, Decimal::new(to_float(value))?)?;
        if result.digits.bits() > DIGITS * 4 {
            return Err(Fault::limit(format!(
                "the number has more than {DIGITS} digits: round before"
            )));
        }
    }
    Ok(Value::Float(result.to_float()))
}

impl Decimal {
    /// The shortest decimal that is this float.
    fn new(float: f64) -> Outcome<Self> {
        let not_finite = || Fault::new("this isn't a finite number: test it before");
        if !float.is_finite() {
            return Err(not_finite());
        }
        let written = format!("{float:e}");
        let (mantissa, exponent) = written.split_once('e').ok_or_else(not_finite)?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}").parse().map_err(|_| not_finite())?;
        let exponent: i64 = exponent.parse().map_err(|_| not_finite())?;
        Ok(Self {
            digits,
            exponent: exponent - fraction.len() as i64,
        })
    }

    /// The nearest float.
    fn to_float(&self) -> f64 {
        format!("{}e{}", self.digits, self.exponent)
            .parse()
            .unwrap_or(f64::NAN)
    }

    /// Both with the same exponent.
    fn aligned(self, other: Self) -> (BigInt, BigInt, i64) {
        let exponent = self.exponent.min(other.exponent);
        let scaled = |d: Self| d.digits * ten_to(d.exponent - exponent);
        (scaled(self), scaled(other), exponent)
    }

    fn plus(self, other: Self) -> Outcome<Self> {
        let (a, b, exponent) = self.aligned(other);
        Ok(Self {
            digits: a + b,
            exponent,
        })
    }

    fn minus(self, other: Self) -> Outcome<Self> {
        let (a, b, exponent) = self.aligned(other);
        Ok(Self {
            digits: a - b,
            exponent,
        })
    }

    fn times(self, other: Self) -> Outcome<Self> {
        Ok(Self {
            digits: self.digits * other.digits,
            exponent: self.exponent + other.exponent,
        })
    }

    /// To so many places, half of the last one away from zero.
    fn over(self, other: Self) -> Outcome<Self> {
        if other.digits.sign() == Sign::NoSign {
            return Err(Fault::new("division by zero: test the divisor before"));
        }
        let shift = self.exponent - other.exponent + PLACES;
        let (dividend, divisor) = match shift {
            0.. => (self.digits * ten_to(shift), other.digits),
            _ => (self.digits, other.digits * ten_to(-shift)),
        };
        let mut quotient = &dividend / &divisor;
        let remainder = &dividend % &divisor;
        if remainder.magnitude() * 2_u32 >= *divisor.magnitude() {
            match dividend.sign() == divisor.sign() {
                true => quotient += 1,
                false => quotient -= 1,
            }
        }
        Ok(Self {
            digits: quotient,
            exponent: -PLACES,
        })
    }
}

fn ten_to(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_decimal() {
        let sum = Decimal::new(0.1).and_then(|a| a.plus(Decimal::new(0.2)?));
        assert!(matches!(sum, Ok(sum) if sum.to_float() == 0.3));
    }

    #[test]
    fn zero_divides_nothing() {
        let quotient = Decimal::new(1.0).and_then(|a| a.over(Decimal::new(0.0)?));
        assert!(quotient.is_err());
    }
}
